"""The replies of several models to one prompt, which are asked one after another."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Self, overload

from ollama_magics.conversation import reply_view
from ollama_magics.conversation.reply import Reply
from ollama_magics.errors import (
    AnswerCut,
    ConnectionProblem,
    ModelProblem,
    OllamaMagicsError,
    PromptTooLong,
    RequestRefused,
    ToolProblem,
)
from ollama_magics.server.wire import ChatRequest

if TYPE_CHECKING:
    import pandas as pd

# What one model may fail with while another answers; anything else is wrong with the prompt and concerns them all.
_OF_ONE_MODEL = (ModelProblem, ConnectionProblem, RequestRefused, AnswerCut, PromptTooLong, ToolProblem)


class Replies(Sequence[Reply]):
    """The replies in the order of the models, as a sequence with ``.frame``; asked for by ``stream()``.

    A model that failed leaves what it had said, and its error in ``errors``, by its place; the others answer all the same.
    """

    def __init__(self, models: Sequence[str], ask: Callable[[str], Reply], language: str = "en") -> None:
        self.models, self.language = tuple(models), language
        self.painted = False  # as in Reply
        self.errors: dict[int, OllamaMagicsError] = {}
        self._ask = ask
        self._replies = [Reply(ChatRequest(model=model, messages=()), self._not_asked) for model in models]

    def stream(self) -> Generator[int, None, None]:
        """Ask one model after another; yield the place of each before it is asked and whenever its answer has grown."""
        for place, model in enumerate(self.models):
            yield place
            try:
                yield from self._one(place, model)
            except _OF_ONE_MODEL as error:
                error.language = self.language
                self.errors[place] = error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _error: BaseException | None, _trace: object) -> None:
        """Raise the error of the first model that failed, if one has, once all others have answered."""
        if kind is None and self.errors:
            raise self.errors[min(self.errors)]

    @property
    def so_far(self) -> str:
        """The answers as far as they have come, one below the other."""
        return "\n\n".join(reply.so_far for reply in self._replies if reply.begun)

    @property
    def frame(self) -> pd.DataFrame:
        """The replies as a pandas DataFrame with a row for each: model, text, counts, speeds (seconds, tokens), error."""
        import pandas as pd  # noqa: PLC0415 - only who asks for a frame needs pandas

        return pd.DataFrame([self._row(place, reply) for place, reply in enumerate(self._replies)])

    def _one(self, place: int, model: str) -> Iterator[int]:
        with self._ask(model) as reply:
            self._replies[place] = reply
            for _ in reply:
                yield place

    def _row(self, place: int, reply: Reply) -> dict[str, Any]:
        stats, error = reply.stats, self.errors.get(place)
        return {
            "model": reply.model,
            "text": reply.so_far,
            "tokens": stats.tokens,
            "seconds": stats.seconds,
            "tokens_per_second": stats.tokens_per_second,
            "first_token_seconds": stats.first_token_seconds,
            "done_reason": reply.done_reason,
            "error": f"{error.what} [{error.code}]" if error else None,
        }

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

    def _repr_mimebundle_(self, **_: object) -> tuple[dict[str, str], dict[str, Any]]:
        return reply_view.columns_bundle(self), reply_view.columns_metadata(self)

    def _ipython_display_(self) -> None:
        # As in Reply.
        if not self.painted:
            raise NotImplementedError
