"""What knows IPython or ipywidgets: magics, panel and display."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ollama_magics.errors import Interrupted, OllamaMagicsError

if TYPE_CHECKING:
    from ollama_magics.session.session import Session


@contextmanager
def localized_errors() -> Iterator[Session]:
    """Yield the session; errors leave in the language of the user, and an interrupt as one line."""
    from ollama_magics.session.session import current  # noqa: PLC0415 - brings in the client, which loading must not

    session = current()
    try:
        yield session
    except (OllamaMagicsError, Interrupted) as error:
        error.language, error.in_python = session.language, False
        raise
    except KeyboardInterrupt:
        raise Interrupted from None
