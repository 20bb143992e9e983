"""The one family of errors, each of which says what is wrong, how we know and what to type, and none of which shows a secret."""

from __future__ import annotations

from typing import Any, Self

from ollama_magics import messages

# OllamaMagicsError
#   AddressError        the address cannot be used
#   ConnectionProblem   nothing answers there, or not Ollama
#   ModelProblem        missing, of the wrong type, or unable to do what the cell asks
#   PromptProblem       the prompt is empty or names what the notebook does not have
#   RequestRefused      the server said no
#   AnswerCut           the stream ended early, or is not what was asked for; .partial holds what arrived
#   FormatProblem       a type that cannot be asked for, or an object that is not there
#   ToolProblem         a function that cannot be offered, or calls that cannot be run
#   PromptTooLong       .tokens and .limit where the server gives them
#   EmbeddingProblem    wrong count, size or value; .rows names the texts
#   PictureProblem      not a picture, too large, unreadable
#   RecordingProblem    a recording cannot be used, or does not hold what is asked
#   SettingError        a value that a setting cannot take
# Interrupted(KeyboardInterrupt) stands outside, so that `except Exception` cannot swallow a press of the stop button.


# No colour: on JupyterLab's red ground, light or dark, only the theme's own text colour can be read.
_BOLD, _PLAIN = "\x1b[1m", "\x1b[0m"


class OllamaMagicsError(Exception):
    """What is wrong, how we know, what to type, and a stable code.

    Rooms raise the code and the facts; who shows the error may set ``language`` before it leaves. ``debug`` is the scrubbed
    text of the original error, for a report; ``repairs`` are settings with values that mend it.
    """

    def __init__(self, code: str, /, *, debug: str = "", **facts: object) -> None:
        super().__init__(code)
        self.code = code
        self.facts: dict[str, Any] = {
            name: value if isinstance(value, messages.Phrase) else str(value) for name, value in facts.items()
        }
        self.debug = debug
        self.language = "en"
        self._instead: dict[int, messages.Phrase] = {}
        self.repairs: tuple[tuple[str, str], ...] = ()

    def advised(self, seen: messages.Phrase | None = None, remedy: messages.Phrase | None = None) -> Self:
        """Say what was seen, and what to type, for the case at hand instead of what holds for every case; return self."""
        self._instead |= {part: words for part, words in ((1, seen), (2, remedy)) if words is not None}
        return self

    def mended_by(self, setting: str, *values: str) -> Self:
        """Keep values of a setting, with any of which the error would not have come: a click may set one; return self."""
        self.repairs += tuple((setting, value) for value in values)
        return self

    @property
    def what(self) -> str:
        """One sentence: what is wrong."""
        return self._line(0)

    @property
    def how_we_know(self) -> str:
        """One sentence: what was seen."""
        return self._line(1)

    @property
    def remedy(self) -> str:
        """What to type, in one to five lines."""
        return self._line(2)

    def lines(self) -> list[str]:
        """Return the lines to show, the last of which ends in the code."""
        *start, last = [line for part in (self.what, self.how_we_know, self.remedy) for line in part.splitlines() if line]
        return [*start, f"{last}  [{self.code}]"]

    def words(self, part: int) -> messages.Phrase:
        """Return one of the three parts (0, 1, 2) as a phrase, for telling it inside of another."""
        return self._instead.get(part) or _Part(self, part)

    def _line(self, part: int) -> str:
        return self.words(part).spoken(self.language)

    def original(self, part: int, language: str) -> str:
        """Return one of the three parts as the table of texts has it, filled with the facts."""
        facts = {name: messages.told(fact, language) for name, fact in self.facts.items()}
        return messages.fill(messages.error(self.code, language)[part], facts)

    def _render_traceback_(self) -> list[str]:
        first, *others = self.lines()
        notes = getattr(self, "__notes__", ())  # which Python's own tracebacks show as well
        return [f"{_BOLD}{type(self).__name__}{_PLAIN} {first}", *others, *notes]

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (type(self), self.code, _travelling(self))


class _Part(messages.Phrase):
    def __init__(self, error: OllamaMagicsError, part: int) -> None:
        super().__init__("")
        self._error, self._part = error, part

    def spoken(self, language: str) -> str:
        return self._error.original(self._part, language)


class AddressError(OllamaMagicsError):
    """The address cannot be used."""


class ConnectionProblem(OllamaMagicsError):
    """Nothing answers at the address, or something that is not Ollama."""


class ModelProblem(OllamaMagicsError):
    """The model is missing, of the wrong type, or cannot do what is asked."""


class PromptProblem(OllamaMagicsError):
    """The prompt is empty, or names something that the notebook does not have."""


class RequestRefused(OllamaMagicsError):
    """The server said no; ``status`` is the HTTP status."""

    def __init__(self, code: str, /, *, status: int, **facts: Any) -> None:
        super().__init__(code, status=status, **facts)
        self.status = status


class AnswerCut(OllamaMagicsError):
    """The answer ended early; ``partial`` is what holds the text so far (a reply, or the text itself)."""

    partial: Any = None


class FormatProblem(OllamaMagicsError):
    """A type that cannot be asked for, or a reply that holds no object."""


class ToolProblem(OllamaMagicsError):
    """A function that cannot be offered to a model, or calls that may not be run; ``partial`` is the reply so far, or None."""

    partial: Any = None


class PromptTooLong(OllamaMagicsError):
    """The prompt does not fit the context; ``tokens`` and ``limit`` are None where the server does not say."""

    def __init__(self, code: str, /, *, tokens: int | None = None, limit: int | None = None, **facts: Any) -> None:
        super().__init__(code, tokens=tokens or "", limit=limit or "", **facts)
        self.tokens, self.limit = tokens, limit


class EmbeddingProblem(OllamaMagicsError):
    """The texts cannot be embedded or the answer is no array of them; ``rows`` are positions, counted from 0."""

    def __init__(self, code: str, /, *, rows: tuple[int, ...] = (), **facts: Any) -> None:
        super().__init__(code, **facts)
        self.rows = rows


class PictureProblem(OllamaMagicsError):
    """Not a picture, too large, or unreadable."""


class RecordingProblem(OllamaMagicsError):
    """The file of a recording cannot be used, or does not hold what is asked."""


class SettingError(OllamaMagicsError):
    """A value that a setting cannot take."""


class Cancelled(Exception):
    """A wait was given up because its session is closing; for worker threads, never shown."""


class Interrupted(KeyboardInterrupt):
    """The person stopped the cell; ``partial`` is the reply so far, or None."""

    def __init__(self, partial: Any = None, code: str = "") -> None:
        self.code = code or ("interrupted-answer-kept" if partial else "interrupted-before-answer")
        super().__init__(self.code)
        self.partial = partial
        self.language = "en"

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (type(self), self.code, _travelling(self))

    def __str__(self) -> str:
        return f"{messages.error(self.code, self.language)[0]}  [{self.code}]"

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


def _travelling(error: BaseException) -> dict[str, Any]:
    # of a partial reply the text: itself it holds a connection, which cannot be pickled
    return {name: getattr(value, "text", value) if name == "partial" else value for name, value in vars(error).items()}


def _again(kind: type[BaseException], code: str, travelled: dict[str, Any]) -> BaseException:
    """Return an error that comes from another process, whatever arguments its class takes."""
    error = kind.__new__(kind, code)
    error.__dict__.update(travelled)
    return error
