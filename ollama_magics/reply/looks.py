"""How a reply looks: its figures and warnings in words, and the whole as HTML and plain text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ollama_magics import markup, texts

if TYPE_CHECKING:
    from ollama_magics.reply.stream import Reply

_MOST_SHRUNK = 3  # pictures of which each is told


def figures(reply: Reply, *, times: bool = True) -> list[str]:
    """Return the small facts under the answer; without times for outputs that are compared."""
    stats, here = reply.stats, reply.circumstances
    facts = [reply.model]
    if reply.stored:
        facts.append(_say(reply, "stored_on", day=reply.stored) if times else _say(reply, "stored"))
        times = False  # they were those of another day
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
    """Return the thoughts, if any, and the given HTML of the text, as one safe piece."""
    language = reply.circumstances.language
    thoughts = markup.thoughts_html(reply.thinking, open=streaming and not reply.so_far, language=language)
    return (thoughts if reply.thinking else "") + body


def bundle(reply: Reply, *, times: bool = True) -> dict[str, str]:
    """Return the answer as ``text/html`` and ``text/plain``."""
    body = body_html(reply, markup.to_html(reply.so_far, reply.circumstances.language))
    footer = markup.footer_html(figures(reply, times=times), warnings(reply))
    return {"text/html": markup.answer_html(body + footer), "text/plain": markup.plain(reply.so_far)}


def _say(reply: Reply, key: str, **facts: object) -> str:
    return texts.phrase(key, reply.circumstances.language, **facts)


def _shrunk(reply: Reply) -> list[str]:
    shrunk = [picture for picture in reply.images if picture.shrunk_from]
    if len(shrunk) > _MOST_SHRUNK:
        return [_say(reply, "many_shrunk", count=len(shrunk), side=max(max(one.width, one.height) for one in shrunk))]
    return [
        _say(reply, "shrunk", old="{} × {}".format(*picture.shrunk_from), new=f"{picture.width} × {picture.height}")
        for picture in shrunk
    ]


def _grouped(number: int) -> str:
    return f"{number:,}".replace(",", "\u202f")
