"""Turn what a function of the notebook returns into text, and pictures, for the model."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from ollama_magics.conversation import sounds
from ollama_magics.conversation.notes import Note
from ollama_magics.conversation.sounds import Sound
from ollama_magics.conversation.value_text import ValueText
from ollama_magics.messages import Phrase, group_digits

if TYPE_CHECKING:
    from ollama_magics.conversation.images import Picture

_MAX_RESULT = 8000  # characters that go back to the model
_DEEPEST = 3  # lists in lists that are looked through for pictures and tables
_DATA = (dict, list, tuple, set, frozenset, bool, type(None), msgspec.Struct)
_SIGNATURES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"BM", b"II*\0", b"MM\0*")


@dataclass(frozen=True)
class ToolResult:
    """The text of a result, its pictures where the model sees them, and what of it does not reach the model."""

    text: str
    pictures: tuple[Picture, ...] = ()
    notes: tuple[Note, ...] = ()


class ResultWriter:
    """Writes one result of the function ``name``; a picture goes along if the model ``sees``, else the text speaks of it."""

    def __init__(self, name: str, *, sees: bool) -> None:
        self._name, self._sees = f"{name}()", sees
        self._pictures: list[Picture] = []
        self._notes: list[Note] = []

    def result(self, value: Any) -> ToolResult:
        """Return the result; raises what the code of the value raises, and OllamaMagicsError for what has no text."""
        text = self._text(value).encode("utf-8", "replace").decode()
        if len(text) > _MAX_RESULT:
            shown, count = group_digits(_MAX_RESULT), group_digits(len(text))
            self._notes.append(Note(Phrase("text_cut", name=self._name, shown=shown, count=count)))
            text = f"{text[:_MAX_RESULT]}\n(cut: {_MAX_RESULT} of {len(text)} characters)"
        return ToolResult(text, tuple(self._pictures), tuple(self._notes))

    def _text(self, value: Any) -> str:
        if isinstance(value, str):
            return value
        if _is_picture(value):
            return self._picture(value)
        if isinstance(value, (bytes, bytearray, memoryview)):
            return self._bytes(bytes(value))
        if isinstance(value, (list, tuple, dict)) and _holds_rich_values(value):
            named = value.items() if isinstance(value, dict) else ((None, one) for one in value)
            return "\n\n".join(self._text(one) if key is None else f"{key}: {self._text(one)}" for key, one in named)
        return self._plain(value)

    def _plain(self, value: Any) -> str:
        """Return data as JSON, and any other value as a prompt would hold it."""
        if hasattr(value, "model_dump") and not isinstance(value, type):  # pydantic
            return self._text(value.model_dump())
        is_data = isinstance(value, _DATA) or (hasattr(value, "__dataclass_fields__") and not isinstance(value, type))
        if not is_data:
            return str(value) if isinstance(value, type) else self._written(value)
        plain = msgspec.to_builtins(value, enc_hook=self._in_json, str_keys=True)  # msgspec itself writes infinity as null
        return json.dumps(plain, ensure_ascii=False, separators=(",", ":"))

    def _in_json(self, value: Any) -> Any:
        """Return what stands in JSON for a value that JSON does not know."""
        if _is_picture(value) or _is_table(value):
            return self._text(value)
        to_list = getattr(value, "tolist", None)  # of NumPy's arrays and single numbers
        return to_list() if to_list else value.model_dump() if hasattr(value, "model_dump") else str(value)

    def _written(self, value: Any) -> str:
        text, notes = ValueText().of(value, self._name)
        self._notes += notes
        return text

    def _picture(self, value: Any) -> str:
        from ollama_magics.conversation import image_sources  # noqa: PLC0415 - brings in Pillow, which text does not need

        found = [one for one in image_sources.collect(value, name=self._name) if not isinstance(one, Sound)]
        sizes = ", ".join(f"{one.width} × {one.height}" for one in found)
        if not self._sees:
            self._notes += [Note(Phrase("result_unseen", name=self._name))] * len(found)
            return f"(a picture of {sizes} pixels, which you cannot see)"
        self._pictures += found
        self._notes += [note for one in found for note in one.notes]
        return f"(a picture of {sizes} pixels)"

    def _bytes(self, data: bytes) -> str:
        try:
            return data.decode()
        except UnicodeDecodeError:
            self._notes.append(Note(Phrase("result_bytes", name=self._name, count=group_digits(len(data)))))
            return f"({len(data)} bytes that are no text)"


def _is_picture(value: Any) -> bool:
    """Return whether a value is a picture or a figure; an array is numbers."""
    if isinstance(value, type):
        return False
    data = getattr(value, "data", None)
    if sounds.kind_of(
        bytes((value if isinstance(value, (bytes, bytearray, memoryview)) else data if isinstance(data, bytes) else b"")[:64])
    ):
        return False
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value[:4]).startswith(_SIGNATURES)
    is_image = all(hasattr(value, method) for method in ("getpixel", "mode", "thumbnail"))
    has_image = isinstance(getattr(value, "data", None), bytes) and hasattr(value, "_repr_mimebundle_")  # IPython's
    figures = (value, getattr(value, "figure", None))
    return is_image or has_image or any(callable(getattr(one, "savefig", None)) for one in figures)


def _is_table(value: Any) -> bool:
    return hasattr(value, "columns") or hasattr(value, "to_pylist") or (hasattr(value, "head") and hasattr(value, "dtype"))


def _holds_rich_values(value: Any, depth: int = _DEEPEST) -> bool:
    """Return whether there is a picture, a table or bytes in a list or dict, which JSON would garble."""
    if not isinstance(value, (list, tuple, dict)):
        return _is_picture(value) or _is_table(value) or isinstance(value, (bytes, bytearray))
    inner = value.values() if isinstance(value, dict) else value
    return depth > 0 and any(_holds_rich_values(one, depth - 1) for one in inner)
