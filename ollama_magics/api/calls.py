"""What all public calls share: the language of errors, warnings at the line of the user, and checks of parameters."""

from __future__ import annotations

import functools
import sys
import warnings
from collections.abc import Callable, Mapping
from types import FrameType
from typing import ParamSpec, TypeVar

from ollama_magics import messages
from ollama_magics.errors import OllamaMagicsError, in_language
from ollama_magics.jobs.unused import Unused, expect_use
from ollama_magics.messages import Phrase
from ollama_magics.session.session import Session, current
from ollama_magics.settings import worker_settings
from ollama_magics.settings.parameters import require_switch

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")
_Unused = TypeVar("_Unused", bound=Unused)
_NOT_OF_THE_USER = ("ollama_magics", "contextlib")


def language_of_user() -> str:
    """Return the language of errors and warnings."""
    return current().language


def frame_of_user() -> FrameType:
    """Return the frame that called into this package."""
    frame = sys._getframe(1)  # noqa: SLF001 - Python's own way to the callers
    while frame.f_back and str(frame.f_globals.get("__name__", "")).partition(".")[0] in _NOT_OF_THE_USER:
        frame = frame.f_back
    return frame


class UserLine:
    """The line of the user that called into this package: a warning names it, also after the call has returned."""

    def __init__(self, frame: FrameType | None = None) -> None:
        frame = frame or frame_of_user()
        self._file, self._line, names = frame.f_code.co_filename, frame.f_lineno, frame.f_globals
        self._module, self._registry = str(names.get("__name__")), names.setdefault("__warningregistry__", {})

    def warn(self, text: str) -> None:
        """Show a warning."""
        warnings.warn_explicit(text, UserWarning, self._file, self._line, self._module, self._registry)

    def told_unused(self, result: _Unused, phrase: str) -> _Unused:
        """Return the result of a call that does nothing by itself; a warning says so if it is dropped without being used."""
        expect_use(result, Phrase(phrase).text(language_of_user()), self.warn)
        return result

    def warn_of_settings(self, session: Session) -> None:
        """Show the notices of the settings that were not shown before."""
        for key, facts in session.resolved.take_notices():
            self.warn(messages.notice(key, facts, session.language))


def worded(function: Callable[_Parameters, _Result]) -> Callable[_Parameters, _Result]:
    """Let errors leave a call in the language of the user, and notices of the settings as warnings; words are no booleans."""
    switches = [name for name, kind in function.__annotations__.items() if kind == "bool"]

    @functools.wraps(function)
    def call(*args: _Parameters.args, **keywords: _Parameters.kwargs) -> _Result:
        with in_language(language_of_user):
            for name in switches:
                require_switch(name, keywords.get(name))
            try:
                result = function(*args, **keywords)
            except OllamaMagicsError as error:
                if missing := _missing_in_worker(keywords):
                    error.add_note(missing)
                raise
        line = UserLine()
        line.warn_of_settings(current())
        if result is not None and (missing := _missing_in_worker(keywords)):  # a call that only sets something returns nothing
            line.warn(missing)
        return result

    return call


def _missing_in_worker(given: Mapping[str, object]) -> str:
    """Return what is set in the process that started this one, but not here, or an empty text."""
    if not (parent := worker_settings.of_parent()):
        return ""
    session = current()
    missing = worker_settings.missing(parent[1], session.settings.changed(), given)
    return Phrase("worker_settings", process=parent[0], names=", ".join(missing)).text(session.language) if missing else ""
