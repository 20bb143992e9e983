"""What knows IPython or ipywidgets: magics, panel and display."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from IPython import get_ipython
from IPython.core.error import UsageError

# Loading the extension imports this package: what only a magic that runs needs is imported by its functions.
if TYPE_CHECKING:
    from ollama_magics.session.session import Session


def usage_error(key: str, **facts: object) -> UsageError:
    """Return IPython's error for a mistake on a magic line, with a phrase in the language of the user."""
    from ollama_magics.messages import Phrase  # noqa: PLC0415 - as above
    from ollama_magics.session.session import current  # noqa: PLC0415 - as above

    return UsageError(Phrase(key, **facts).text(current().language))


@contextmanager
def localized_errors() -> Iterator[Session]:
    """Yield the session; errors leave in the language of the user, and an interrupt as one line.

    At the end the notices of the settings that nobody has shown yet are written, such as a keyring that cannot be used.
    """
    from ollama_magics.errors import Interrupted, OllamaMagicsError  # noqa: PLC0415 - as above
    from ollama_magics.jobs.interrupt import defer_interrupt  # noqa: PLC0415 - as above

    def interrupted() -> Interrupted:
        error = Interrupted()
        error.language = session.language
        return error

    try:
        with defer_interrupt():  # the first cell of a process brings in most of the package here
            from ollama_magics import messages  # noqa: PLC0415 - as above
            from ollama_magics.notebook.display import lines  # noqa: PLC0415 - as above
            from ollama_magics.session.session import current  # noqa: PLC0415 - as above

            session = current()
    except KeyboardInterrupt:
        raise interrupted() from None
    try:
        yield session
    except (OllamaMagicsError, Interrupted) as error:
        error.language, error.place = session.language, "notebook"
        if isinstance(error, OllamaMagicsError):
            from ollama_magics.notebook.front_end import front_end  # noqa: PLC0415 - as above

            user = front_end(get_ipython())
            error.is_unattended = user.in_kernel and not user.can_ask
        raise
    except KeyboardInterrupt:
        raise interrupted() from None
    finally:
        lines.say_lines(messages.notice(key, facts, session.language) for key, facts in session.resolved.take_notices())
