"""How an answer looks that is data: rows as a table, anything else as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ollama_magics.conversation.schema import records
from ollama_magics.render.markdown import data

if TYPE_CHECKING:
    from ollama_magics.conversation.reply.stream import Reply


def data_html(reply: Reply) -> str:
    """Return the rows so far as a table, or what there is of the text as coloured JSON."""
    if rows := reply.rows:
        return data.table_html(rows, reply.circumstances.language)
    return data.json_html(pretty(reply)) if reply.so_far else ""


def pretty(reply: Reply) -> str:
    """Return the text, or that of data, as soon as it is whole, in lines with indents."""
    is_whole_data = reply.circumstances.schema is not None and reply.complete
    return records.pretty(reply.so_far) if is_whole_data else reply.so_far
