"""How a reply looks: its figures and warnings in words, and the whole as HTML and plain text."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ollama_magics import messages
from ollama_magics.conversation import schema
from ollama_magics.conversation.tool_loop import Round
from ollama_magics.conversation.tools import Call
from ollama_magics.render import answer, cleaning, markdown, tables

if TYPE_CHECKING:
    from ollama_magics.conversation.replies import Replies
    from ollama_magics.conversation.reply import Reply
    from ollama_magics.errors import OllamaMagicsError


def provenance(reply: Reply, *, times: bool = True) -> dict[str, Any]:
    """Return model, digest, the server's version, options, seed, and the time (UTC) at which it was asked.

    What is not known is left out; ``times=False`` leaves the time out, for outputs that are compared.
    """
    here, options = reply.circumstances, dict(reply.request.options)
    facts = {
        "model": reply.model,
        "digest": here.digest,
        "server": f"Ollama {here.server_version}" if here.server_version else "",
        "options": options,
        "seed": options.get("seed"),
        "time": _moment(reply.asked_at) if times else "",
    }
    return {name: fact for name, fact in facts.items() if fact not in ("", None)}


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds") if seconds else ""


def data_html(reply: Reply) -> str:
    """Return the rows so far as a table, or what there is of the text as coloured JSON."""
    if rows := reply.rows:
        return tables.table_html(rows, reply.circumstances.language)
    return tables.json_html(pretty(reply)) if reply.so_far else ""


def pretty(reply: Reply) -> str:
    """Return the text, or that of data, as soon as it is whole, in lines with indents."""
    is_whole_data = reply.circumstances.schema is not None and reply.complete
    return schema.pretty(reply.so_far) if is_whole_data else reply.so_far


_MOST_THUMBNAILS = 12
_LONGEST_LINE = 300  # characters of a call, and of its outcome, where they stand in one line
_MOST_SHRUNK = 3  # pictures of which each is told


def figures(reply: Reply, *, times: bool = True) -> list[str]:
    """Return the small facts under the answer; without times for outputs that are compared."""
    stats, here = reply.stats, reply.circumstances
    facts = [reply.model]
    if reply.stored:
        facts.append(_say(reply, "stored_on", day=reply.stored) if times else _say(reply, "stored"))
        times = False  # they were those of another day
    if stats.tokens:
        facts.append(_say(reply, "tokens", count=messages.group_digits(stats.tokens)))
    if times and stats.tokens_per_second:
        facts.append(_say(reply, "speed", rate=f"{stats.tokens_per_second:.0f}"))
    if times and reply.first_seconds:
        facts.append(_say(reply, "first", seconds=f"{reply.first_seconds:.1f}"))
    if stats.prompt_tokens and here.context:
        used = messages.group_digits(stats.prompt_tokens + stats.tokens)
        facts.append(_say(reply, "context", used=used, size=messages.group_digits(here.context)))
    return facts + _sent(reply) + _shrunk(reply)


def warnings(reply: Reply) -> list[str]:
    """Return what keeps the answer from being whole and plain, one sentence each."""
    here, at_limit = reply.circumstances, reply.complete and reply.done_reason == "length"
    checks = {
        "cut": at_limit and bool(reply.so_far),
        "only_thoughts": at_limit and not reply.so_far,
        "shifted": reply.shifted,
        "incomplete": reply.closed and not reply.complete,
        "dropped": bool(reply.dropped),
        "left_out": bool(reply.left_out),
        "no_logprobs": reply.complete and reply.request.logprobs is True and not reply.logprobs,
        "over_maximum": here.asked_context > here.context,
    }
    counts = {
        "cut": reply.request.options.get("num_predict", ""),
        "dropped": reply.dropped,
        "left_out": reply.left_out,
        "over_maximum": here.context,
    }
    said = [_say(reply, key, count=counts.get(key, "")) for key, true in checks.items() if true]
    return said + [note.text(here.language) for note in here.notes]


def body_html(reply: Reply, body: str, *, streaming: bool = False, times: bool = True) -> str:
    """Return the thoughts, the calls of functions, and the given HTML of the text, as one safe piece.

    An answer that is data is shown as a table or as JSON instead of that HTML.
    """
    thinking = streaming and not reply.so_far
    thoughts = answer.thoughts_html(reply.thinking, _thoughts(reply, thinking=thinking, times=times), open=thinking)
    shown = data_html(reply) if reply.circumstances.schema else body
    return thoughts + _rounds_html(reply) + shown + _cards_html(reply.rounds.now)


def bundle(reply: Reply, body: str | None = None, *, times: bool = True) -> dict[str, str]:
    """Return the answer as ``text/html`` and ``text/plain``; ``body`` is the HTML of the text where it is there already."""
    page = column_html(reply, figures(reply, times=times), body, times=times)
    return {"text/html": answer.answer_html(page), "text/plain": plain_text(reply)}


def plain_text(reply: Reply) -> str:
    """Return the calls of functions, a line each, and the texts, in their order, as what a terminal may print."""
    before = [line for one in reply.rounds.ended for line in (cleaning.plain(one.text), *map(call_line, one.calls)) if line]
    return "\n".join([*before, cleaning.plain(pretty(reply)), *map(call_line, reply.rounds.now.calls)])


def call_line(call: Call) -> str:
    """Return a call and what came of it in one line, as what a terminal may print."""
    outcome = " ".join(cleaning.plain(call.outcome).split()) if call.has_ended else "…"
    return " → ".join(part if len(part) <= _LONGEST_LINE else f"{part[:_LONGEST_LINE]}…" for part in (str(call), outcome))


def metadata(reply: Reply, *, times: bool = True) -> dict[str, Any]:
    """Return what the notebook keeps of where the answer came from."""
    return {"ollama_magics": provenance(reply, times=times)}


def column_html(reply: Reply, facts: Sequence[str], body: str | None = None, *, times: bool = True) -> str:
    """Return the whole answer, its pictures and warnings, with the given facts under it."""
    html = markdown.to_html(reply.so_far, reply.circumstances.language) if body is None else body
    return body_html(reply, html, times=times) + _thumbnails(reply) + answer.footer_html(facts, warnings(reply))


def column_facts(reply: Reply, *, times: bool = True) -> list[str]:
    """Return the facts under one answer of several: its length and its speed."""
    stats = reply.stats
    facts = [_say(reply, "tokens", count=messages.group_digits(stats.tokens))] if stats.tokens else []
    if times and stats.tokens_per_second:
        facts += [_say(reply, "speed", rate=f"{stats.tokens_per_second:.0f}")]
        facts += [_say(reply, "seconds", seconds=f"{stats.seconds:.1f}")]
    return facts + _sent(reply) + _shrunk(reply)


def columns_bundle(replies: Replies, *, times: bool = True) -> dict[str, str]:
    """Return the answers beside each other as ``text/html``, and one below the other as ``text/plain``."""
    columns = [(reply.model, finished_column(replies, place, times=times)) for place, reply in enumerate(replies)]
    plain = "\n\n".join(f"{reply.model}\n{_said(replies, place)}" for place, reply in enumerate(replies))
    return {"text/html": answer.answer_html(answer.columns_html(columns)), "text/plain": cleaning.plain(plain)}


def columns_metadata(replies: Replies, *, times: bool = True) -> dict[str, Any]:
    """Return where each of the answers came from, in their order."""
    return {"ollama_magics": [provenance(reply, times=times) for reply in replies]}


def finished_column(replies: Replies, place: int, body: str | None = None, *, times: bool = True) -> str:
    """Return what came of one model: its answer, and its error if it failed."""
    reply, error = replies[place], replies.errors.get(place)
    told = answer.footer_html([], error.lines()) if error else ""
    return (column_html(reply, column_facts(reply, times=times), body, times=times) if reply.closed else "") + told


def _said(replies: Replies, place: int) -> str:
    error: OllamaMagicsError | None = replies.errors.get(place)
    return "\n".join([plain_text(replies[place]), *(error.lines() if error else ())]).strip()


def _rounds_html(reply: Reply) -> str:
    language = reply.circumstances.language
    return "".join(markdown.to_html(one.text, language) + _cards_html(one) for one in reply.rounds.ended)


def _cards_html(one: Round) -> str:
    cards = ((str(call), call.outcome if call.has_ended else None, call.error is not None) for call in one.calls)
    return "".join(tables.tool_card_html(shown, outcome, failed=failed) for shown, outcome, failed in cards)


def _thoughts(reply: Reply, *, thinking: bool, times: bool) -> str:
    if thinking:
        return _say(reply, "thinking")
    if times and reply.thought_seconds:
        return _say(reply, "thought_for", seconds=f"{reply.thought_seconds:.1f}")
    return _say(reply, "thoughts")


def _thumbnails(reply: Reply) -> str:
    more = len(reply.images) - _MOST_THUMBNAILS
    shown = [picture.thumbnail() for picture in reply.images[:_MOST_THUMBNAILS]]
    return answer.thumbnails_html(shown, _say(reply, "more_pictures", count=more) if more > 0 else "")


def _sent(reply: Reply) -> list[str]:
    host = reply.circumstances.remote_host
    return [_say(reply, "remote", host=host)] if host else []


def _say(reply: Reply, key: str, **facts: object) -> str:
    return messages.phrase(key, reply.circumstances.language, **facts)


def _shrunk(reply: Reply) -> list[str]:
    shrunk = [picture for picture in reply.images if picture.shrunk_from]
    if len(shrunk) > _MOST_SHRUNK:
        return [_say(reply, "many_shrunk", count=len(shrunk), side=max(max(one.width, one.height) for one in shrunk))]
    return [
        _say(reply, "shrunk", old="{} × {}".format(*picture.shrunk_from), new=f"{picture.width} × {picture.height}")
        for picture in shrunk
    ]
