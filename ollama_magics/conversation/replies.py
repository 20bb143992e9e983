"""The replies of several models to one prompt, which are asked one after another."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Self, overload

from msgspec.structs import replace

from ollama_magics.conversation.reply import Reply, answer_view, exchange_of
from ollama_magics.errors import (
    AnswerCut,
    ConnectionProblem,
    FormatProblem,
    ModelProblem,
    OllamaMagicsError,
    PromptTooLong,
    RequestRefused,
    ToolProblem,
)
from ollama_magics.render.answer import AnswerView, Output, columns_output
from ollama_magics.render.shown_once import ShownOnce
from ollama_magics.server.wire import ChatRequest

if TYPE_CHECKING:
    import pandas as pd

# Errors after which the next model is asked; with any other one the prompt itself is wrong.
_OF_ONE_MODEL = (ModelProblem, ConnectionProblem, RequestRefused, AnswerCut, FormatProblem, PromptTooLong, ToolProblem)


class Replies(ShownOnce, Sequence[Reply]):
    """The replies in the order of the models, as a sequence.

    ``models`` are their names, ``errors`` the errors of those that failed, by their positions. A model that failed leaves the
    text so far; the others answer all the same.

    Example: ``_ollama.frame`` after a cell with two ``-m`` compares lengths and speeds.
    """

    def __init__(self, models: Sequence[str], ask: Callable[[str], Reply], language: str) -> None:
        self.models = tuple(models)
        self.errors: dict[int, OllamaMagicsError] = {}
        self._ask, self._language = ask, language
        self._replies = [Reply(ChatRequest(model=model, messages=()), self._not_asked) for model in models]

    def __getstate__(self) -> dict[str, Any]:
        """Return the replies that were asked for, as data."""
        asked = {place: reply for place, reply in enumerate(self._replies) if exchange_of(reply).is_sent}
        return {"models": self.models, "errors": self.errors, "language": self._language, "asked": asked}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["models"], self._not_asked, state["language"])  # type: ignore[misc]
        self.errors = state["errors"]
        for place, reply in state["asked"].items():
            self._replies[place] = reply

    def stream(self) -> Generator[int, None, None]:
        """Ask one model after another; yield the position of each before it is asked and whenever its answer has grown."""
        for place, model in enumerate(self.models):
            yield place
            try:
                with self._ask(model) as reply:
                    self._replies[place] = reply
                    for _ in reply.chunks():
                        yield place
            except _OF_ONE_MODEL as error:
                error.language, error.place = self._language, "notebook"
                self.errors[place] = error

    def close(self) -> None:
        """Close the connections, so that the servers stop writing."""
        for reply in self._replies:
            reply.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _error: BaseException | None, _trace: object) -> None:
        """Raise the error of the first model that failed, once all others have answered."""
        if kind is None and self.errors:
            raise self.errors[min(self.errors)]

    @property
    def text(self) -> str:
        """The answers so far, one below the other; asks for nothing."""
        texts = [exchange_of(reply) for reply in self._replies]
        return "\n\n".join(exchange.partial_text for exchange in texts if exchange.begun)

    @property
    def frame(self) -> pd.DataFrame:
        """The replies as a pandas DataFrame with a row for each: model, text, counts, speeds (seconds, tokens), error."""
        import pandas as pd  # noqa: PLC0415 - only who asks for a frame needs pandas

        names = ("tokens", "seconds", "tokens_per_second", "first_token_seconds")
        rows = []
        for place, reply in enumerate(self._replies):
            exchange = exchange_of(reply)
            row: dict[str, Any] = {"model": reply.model, "text": exchange.partial_text}
            row |= {name: getattr(exchange.stats, name) for name in names}
            row["tokens_per_second"] = row["tokens_per_second"] or float("nan")  # a zero would be wrong
            error = self.errors.get(place)
            row |= {"done_reason": exchange.done_reason, "error": f"{error.what} [{error.code}]" if error else None}
            rows.append(row)
        return pd.DataFrame(rows)

    def _not_asked(self, request: Any) -> Iterator[Any]:
        raise self.errors.get(self.models.index(request.model)) or LookupError(f"{request.model} was not asked")

    @overload
    def __getitem__(self, place: int) -> Reply: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[Reply]: ...

    def __getitem__(self, place: int | slice) -> Reply | Sequence[Reply]:
        return self._replies[place]

    def __len__(self) -> int:
        return len(self._replies)

    def __repr__(self) -> str:
        return f"<Replies of {', '.join(self.models)}>"

    def _repr_mimebundle_(self, **_: object) -> Output:
        return columns_output(column_views(self))


def has_begun(shown: Reply | Replies) -> bool:
    """Return whether there is anything of an answer to show."""
    return any(exchange_of(reply).begun for reply in (shown if isinstance(shown, Replies) else (shown,)))


def column_views(replies: Replies, *, times: bool = True) -> list[AnswerView]:
    """Return what is shown of each reply: its answer once it has ended, and its error."""
    return [column_view(replies, place, times=times) for place in range(len(replies))]


def column_view(replies: Replies, place: int, *, times: bool = True) -> AnswerView:
    """Return what is shown of one of the replies."""
    reply, error = replies[place], replies.errors.get(place)
    view = answer_view(reply, times=times, in_column=True)
    if not exchange_of(reply).closed:
        view = AnswerView(model=reply.model, provenance=view.provenance)
    return replace(view, error=error.lines()) if error else view
