"""How a reply looks: its figures and warnings in words, and the whole as HTML and plain text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ollama_magics import markup, schema, texts
from ollama_magics.reply.rounds import Round
from ollama_magics.tools import Call

if TYPE_CHECKING:
    from ollama_magics.reply.stream import Reply

_LONGEST_LINE = 300  # characters of a call, and of its outcome, where they stand in one line


def figures(reply: Reply, *, times: bool = True) -> list[str]:
    """Return the small facts under the answer; without times for outputs that are compared."""
    stats, here = reply.stats, reply.circumstances
    facts = [reply.model]
    if stats.tokens:
        facts.append(_say(reply, "tokens", count=_grouped(stats.tokens)))
    if times and stats.tokens_per_second:
        facts.append(_say(reply, "speed", rate=f"{stats.tokens_per_second:.0f}"))
    if times and reply.first_seconds:
        facts.append(_say(reply, "first", seconds=f"{reply.first_seconds:.1f}"))
    if stats.prompt_tokens and here.context:
        used = _grouped(stats.prompt_tokens + stats.tokens)
        facts.append(_say(reply, "context", used=used, size=_grouped(here.context)))
    if here.remote_host:
        facts.append(_say(reply, "remote", host=here.remote_host))
    return facts + _shrunk(reply)


def warnings(reply: Reply) -> list[str]:
    """Return what keeps the answer from being whole and plain, one sentence each."""
    here, at_limit = reply.circumstances, reply.complete and reply.done_reason == "length"
    checks = {
        "cut": at_limit and bool(reply.so_far),
        "only_thoughts": at_limit and not reply.so_far,
        "shifted": reply.shifted,
        "incomplete": reply.closed and not reply.complete,
        "dropped": bool(reply.dropped),
        "over_maximum": here.asked_context > here.context,
    }
    counts = {"cut": reply.request.options.get("num_predict", ""), "dropped": reply.dropped, "over_maximum": here.context}
    return [_say(reply, key, count=counts.get(key, "")) for key, true in checks.items() if true]


def body_html(reply: Reply, body: str, *, streaming: bool = False) -> str:
    """Return the thoughts, the calls of functions, and the given HTML of the text, as one safe piece.

    An answer that is data is shown as a table or as JSON instead of the HTML.
    """
    language = reply.circumstances.language
    thoughts = markup.thoughts_html(reply.thinking, open=streaming and not reply.so_far, language=language)
    shown = _data_html(reply) if reply.circumstances.schema else body
    return (thoughts if reply.thinking else "") + _rounds_html(reply) + shown + _cards_html(reply.rounds.now)


def bundle(reply: Reply, *, times: bool = True) -> dict[str, str]:
    """Return the answer as ``text/html`` and ``text/plain``."""
    body = body_html(reply, markup.to_html(reply.so_far, reply.circumstances.language))
    footer = markup.footer_html(figures(reply, times=times), warnings(reply))
    return {"text/html": markup.answer_html(body + footer), "text/plain": plain_text(reply)}


def plain_text(reply: Reply) -> str:
    """Return the calls of functions, a line each, and the texts, in their order, as what a terminal may print."""
    before = [line for one in reply.rounds.ended for line in (markup.plain(one.text), *map(call_line, one.calls)) if line]
    return "\n".join([*before, markup.plain(_pretty(reply)), *map(call_line, reply.rounds.now.calls)])


def call_line(call: Call) -> str:
    """Return a call and what came of it in one line, as what a terminal may print."""
    outcome = "…" if call.result is None and call.error is None else " ".join(markup.plain(call.outcome).split())
    return " → ".join(part if len(part) <= _LONGEST_LINE else f"{part[:_LONGEST_LINE]}…" for part in (str(call), outcome))


def _rounds_html(reply: Reply) -> str:
    language = reply.circumstances.language
    return "".join(markup.to_html(one.text, language) + _cards_html(one) for one in reply.rounds.ended)


def _cards_html(one: Round) -> str:
    return "".join(
        markup.tool_card_html(
            str(call), None if call.result is None and call.error is None else call.outcome, failed=call.error is not None
        )
        for call in one.calls
    )


def _data_html(reply: Reply) -> str:
    if rows := reply.rows:
        return markup.table_html(rows, reply.circumstances.language)
    return markup.json_html(_pretty(reply)) if reply.so_far else ""


def _pretty(reply: Reply) -> str:
    """Return the text, or that of data, as soon as it is whole, in lines with indents."""
    if not (reply.circumstances.schema and reply.complete):
        return reply.so_far
    return schema.pretty(reply.so_far)


def _say(reply: Reply, key: str, **facts: object) -> str:
    return texts.phrase(key, reply.circumstances.language, **facts)


def _shrunk(reply: Reply) -> list[str]:
    shrunk = [picture for picture in reply.images if picture.shrunk_from]
    return [
        _say(reply, "shrunk", old="{} × {}".format(*picture.shrunk_from), new=f"{picture.width} × {picture.height}")
        for picture in shrunk
    ]


def _grouped(number: int) -> str:
    return f"{number:,}".replace(",", "\u202f")
