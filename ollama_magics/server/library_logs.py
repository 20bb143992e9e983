"""Keep secrets out of what the library below logs of requests and responses, however much it is told to log."""

from __future__ import annotations

import logging
from weakref import WeakValueDictionary

from ollama_magics.server.redaction import Redaction

# At DEBUG httpcore logs what headers a server sends, and an answer that is no HTTP: a server may repeat a key there.
_LOGGERS = ("httpcore.connection", "httpcore.http11", "httpcore.proxy")


class _Filter(logging.Filter):
    """Replaces the secrets of the clients that exist now; records of others stay as they are."""

    def __init__(self) -> None:
        super().__init__()
        self.redactions: WeakValueDictionary[int, Redaction] = WeakValueDictionary()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return True, since every record is logged, after its text was replaced."""
        text = logged = record.getMessage()
        for held in self.redactions.valuerefs():
            if redaction := held():
                text = redaction.text(text)
        if text != logged:
            record.msg, record.args = text, ()
        return True


_FILTER = _Filter()


def keep_out(redaction: Redaction) -> None:
    """Let these secrets be replaced in what is logged for as long as the redaction is used."""
    if redaction:
        _FILTER.redactions[id(redaction)] = redaction
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(_FILTER)  # which adds it once
