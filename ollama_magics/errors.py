"""The public exceptions: each says what is wrong, how we know and what to type, and contains no secret."""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, Literal, ParamSpec, Self, TypeVar, get_args

from ollama_magics import messages
from ollama_magics.messages import python_words

# OllamaMagicsError
#   AddressError        the address cannot be used
#   ConnectionProblem   nothing answers there, or not Ollama
#   ModelProblem        missing, of the wrong type, or unable to do what the cell asks
#   PromptProblem       the prompt is empty, or names something that the notebook does not have
#   RequestRefused      the server refused the request; .status
#   AnswerCut           the answer ended early; .partial holds what arrived
#   FormatProblem       a type has no JSON schema, or a reply is no such object; then .partial is the reply
#   ToolProblem         a function that cannot be offered, or calls that cannot be run
#   PromptTooLong       .tokens and .limit if the server reports them
#   EmbeddingProblem    wrong count, size or value; .rows are the positions of the texts
#   RowsProblem         data whose rows cannot be asked for, or a job of rows that cannot go on; .partial holds what is done
#   PictureProblem      not a picture, too large, unreadable
#   RecordingProblem    a recording cannot be used, or does not contain the request
#   SettingError        a value that a setting cannot take
# Interrupted(KeyboardInterrupt) is not one of them, so that `except Exception` does not catch the stop button.

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")
Part = Literal["what", "how_we_know", "remedy"]

# No colour: on JupyterLab's red background, light or dark, only the theme's own text colour is readable.
_BOLD, _PLAIN = "\x1b[1m", "\x1b[0m"


class OllamaMagicsError(Exception):
    """Base class of all errors of this package.

    Attributes:
        code: the stable name of the error, such as ``"model-missing"``.
        what: what is wrong, one sentence.
        how_we_know: what was sent and what came back, one sentence.
        remedy: what to type, one to five lines, the likeliest first.
        debug: the text of the original exception without secrets, or "".
        language: "en" or "zh", the language of the texts above.
        place: where they are shown, for what can be typed there: "notebook", "shell" or "python", perhaps with the word
            "check" or "config".
        repairs: pairs of a setting and a value that fixes the error.

    Example::

        try:
            print(om.chat("Hello", model="llama3.2"))
        except om.OllamaMagicsError as error:
            if error.code == "model-missing":
                om.pull("llama3.2")
    """

    def __init__(self, code: str, /, *, debug: str = "", **facts: object) -> None:
        super().__init__(code)
        self.code = code
        self.facts: dict[str, Any] = {
            name: value if isinstance(value, messages.Phrase) else str(value) for name, value in facts.items()
        }
        self.debug = debug
        self.language, self.place = "en", "notebook"
        self.is_unattended = False  # whether a program reads the error, of which some quote the last line only
        self._replaced: dict[str, messages.Phrase] = {}
        self.repairs: tuple[tuple[str, str], ...] = ()

    def with_advice(self, how_we_know: messages.Phrase | None = None, remedy: messages.Phrase | None = None) -> Self:
        """Replace the general texts of the code by more specific ones; return self."""
        given = {"how_we_know": how_we_know, "remedy": remedy}
        self._replaced |= {part: phrase for part, phrase in given.items() if phrase is not None}
        return self

    def redact(self, redacted: Callable[[str], str]) -> None:
        """Replace every text of the error by what ``redacted`` makes of it."""
        self.debug = redacted(self.debug)
        self.facts = {
            name: messages.Rewritten(fact, redacted) if isinstance(fact, messages.Phrase) else redacted(fact)
            for name, fact in self.facts.items()
        }
        self._replaced = {part: messages.Rewritten(phrase, redacted) for part, phrase in self._replaced.items()}

    def with_repair(self, setting: str, *values: str) -> Self:
        """Add values of a setting, each of which fixes the error, for the buttons of the panel; return self."""
        self.repairs += tuple((setting, value) for value in values)
        return self

    @property
    def what(self) -> str:
        """What is wrong, one sentence."""
        return self._text("what")

    @property
    def how_we_know(self) -> str:
        """What was sent and what came back, one sentence."""
        return self._text("how_we_know")

    @property
    def remedy(self) -> str:
        """What to type where the error is shown, in one to five lines."""
        from ollama_magics.messages import remedies  # noqa: PLC0415 - loading the extension needs no advice

        whole = self.phrase("remedy").text(self.language)
        lines = remedies.fit(whole, self.place)
        if not lines and "check" in self.place:
            lines = remedies.fit(messages.phrase("no_probe", self.language), self.place)
        return self._fitted(lines or messages.phrase("in_notebook", self.language, lines=whole))

    def _text(self, part: Part) -> str:
        return self._fitted(self.phrase(part).text(self.language))

    def _fitted(self, text: str) -> str:
        return python_words.in_python(text) if self.place.startswith("python") else text

    def lines(self) -> list[str]:
        """Return the lines to show; the last one ends with the code."""
        *start, last = [line for part in (self.what, self.how_we_know, self.remedy) for line in part.splitlines() if line]
        return [*start, f"{last}  [{self.code}]"]

    def phrase(self, part: Part) -> messages.Phrase:
        """Return one part of the text as a phrase, for use inside another one."""
        return self._replaced.get(part) or _PartOfError(self, part)

    def _render_traceback_(self) -> list[str]:
        first, *others = self.lines()
        notes = getattr(self, "__notes__", ())  # which Python's own tracebacks show as well
        cause = [f"{type(self).__name__}: {self.what}"] if self.is_unattended else []
        return [f"{_BOLD}{type(self).__name__}{_PLAIN} {first}", *others, *notes, *cause]

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), self.code, vars(self))


class _PartOfError(messages.Phrase):
    def __init__(self, error: OllamaMagicsError, part: Part) -> None:
        super().__init__("")
        self._error, self._place = error, get_args(Part).index(part)

    def text(self, language: str) -> str:
        facts = {name: messages.format_fact(fact, language) for name, fact in self._error.facts.items()}
        return messages.fill(messages.error(self._error.code, language)[self._place], facts)


class AddressError(OllamaMagicsError):
    """The address cannot be used."""


class ConnectionProblem(OllamaMagicsError):
    """Nothing answers at the address, or something that is not Ollama."""


class ModelProblem(OllamaMagicsError):
    """The model is missing, of the wrong type, or cannot do what is asked."""


class PromptProblem(OllamaMagicsError):
    """The prompt is empty, or names something that the notebook does not have."""


class RequestRefused(OllamaMagicsError):
    """The server refused the request; ``status`` is the HTTP status, ``retry_after`` the seconds that it asks to wait, or 0."""

    def __init__(self, code: str, /, *, status: int, retry_after: float = 0.0, **facts: Any) -> None:
        super().__init__(code, status=status, **facts)
        self.status, self.retry_after = status, retry_after


class AnswerCut(OllamaMagicsError):
    """The answer ended early; ``partial`` is the reply so far."""

    partial: Any = None


class FormatProblem(OllamaMagicsError):
    """A type has no JSON schema, or a reply is no object of it; ``partial`` is the reply in the latter case, else None."""

    partial: Any = None


class ToolProblem(OllamaMagicsError):
    """A function cannot be offered to a model, or its calls cannot be run; ``partial`` is the reply so far, or None."""

    partial: Any = None


class PromptTooLong(OllamaMagicsError):
    """The prompt does not fit the context; ``tokens`` and ``limit`` are None if the server does not report them."""

    def __init__(self, code: str, /, *, tokens: int | None = None, limit: int | None = None, **facts: Any) -> None:
        super().__init__(code, tokens=tokens or "", limit=limit or "", **facts)
        self.tokens, self.limit = tokens, limit


class EmbeddingProblem(OllamaMagicsError):
    """Texts cannot be embedded, or the vectors are wrong; ``rows`` are the positions of the texts, from 0."""

    def __init__(self, code: str, /, *, rows: tuple[int, ...] = (), **facts: Any) -> None:
        super().__init__(code, **facts)
        self.rows = rows


class RowsProblem(OllamaMagicsError):
    """Data whose rows cannot be asked for, or a job that cannot go on; ``partial`` is the result so far, or None."""

    partial: Any = None


class PictureProblem(OllamaMagicsError):
    """Not a picture, too large, or unreadable."""


class RecordingProblem(OllamaMagicsError):
    """A recording cannot be used, or does not contain the request."""


class SettingError(OllamaMagicsError):
    """A value that a setting cannot take."""


class Cancelled(Exception):
    """A wait ended because its session is closing; raised in worker threads, never shown."""


class Interrupted(KeyboardInterrupt):
    """The user stopped the cell; ``partial`` is the reply so far, or None."""

    def __init__(self, partial: Any = None, code: str = "") -> None:
        self.code = code or ("interrupted-answer-kept" if partial else "interrupted-before-answer")
        super().__init__(self.code)
        self.partial = partial
        self.language, self.place = "en", "notebook"

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), self.code, vars(self))

    def __str__(self) -> str:
        text = messages.error(self.code, self.language)[0]
        return f"{python_words.in_python(text) if self.place == 'python' else text}  [{self.code}]"

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


def _restored(kind: type[BaseException], code: str, state: dict[str, Any]) -> BaseException:
    """Return an error that was pickled in another process, whatever arguments its class takes."""
    error = kind.__new__(kind, code)
    error.__dict__.update(state)
    return error


@contextmanager
def in_language(language: Callable[[], str]) -> Iterator[None]:
    """Let errors leave for Python, with their texts in a language, which is asked for only then; also a decorator."""
    try:
        yield
    except (OllamaMagicsError, Interrupted) as error:
        error.language, error.place = language(), "python"
        raise


def suggest_names(
    function: Callable[_Parameters, _Result], elsewhere: Mapping[str, str] = MappingProxyType({})
) -> Callable[_Parameters, _Result]:
    """Return the function; a misspelt keyword is a TypeError that names the nearest parameter.

    ``elsewhere`` are names of parameters that only another call has, with that call.
    """
    names = inspect.signature(function).parameters

    @functools.wraps(function)
    def call(*args: _Parameters.args, **keywords: _Parameters.kwargs) -> _Result:
        for name in keywords:
            if name not in names:
                near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
                hint = f"; did you mean '{near[0]}'?" if near else ""
                if call_with := elsewhere.get(name):
                    hint = f"; that is a parameter of {call_with}"
                name_of_call = function.__qualname__.removesuffix(".__init__")
                raise TypeError(f"{name_of_call}() got an unexpected keyword argument '{name}'{hint}")
        return function(*args, **keywords)

    return call
