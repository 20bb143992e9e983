"""What a notebook may hold as a picture -> checked pictures, known by their nature and never by a name."""

from __future__ import annotations

import re
import sys
import warnings
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

from ollama_magics.conversation.images import arrays, checking, files
from ollama_magics.errors import PictureProblem
from ollama_magics.messages import Phrase

if TYPE_CHECKING:
    from collections.abc import Callable

    from ollama_magics.conversation.images.picture import Picture

# Lists of lists of pictures are plausible; deeper nesting is data of another kind, or a list that holds itself.
_DEEPEST = 3
_OUTPUT = re.compile(r"_{1,3}|_\d+")  # IPython's names


def collect(what: object, *, name: str = "") -> list[Picture]:
    """Return the pictures in a ``Path``, bytes, PIL image, array, figure, IPython image, or in a list or dict of these.

    ``name`` is what the person calls it, for errors and for ``Picture.source``. A plain string is refused: a
    path must be written as one.
    """
    return _collect(what, name or "the picture", _DEEPEST)


def _collect(what: object, name: str, deeper: int) -> list[Picture]:
    if isinstance(what, str) and _OUTPUT.fullmatch(name):
        _unknown(name, Phrase("output_is_text"))
    if isinstance(what, str):
        raise PictureProblem("OM-P04", source=name) from None
    if isinstance(what, (list, tuple, dict)):
        return _each(what, name, deeper)
    if axes := _axes(what):
        return _each(axes, name, deeper)
    return [_one(what, name)]


def _each(what: list[Any] | tuple[Any, ...] | dict[Any, Any], name: str, deeper: int) -> list[Picture]:
    if not what:
        _unknown(name, Phrase("empty_kind", kind=type(what).__name__))
    if not deeper:
        _unknown(name, Phrase("nested_deep"))
    items = what.items() if isinstance(what, dict) else enumerate(what)
    drawn: set[int] = set()
    pictures: list[Picture] = []
    for key, item in items:
        figure = id(getattr(item, "figure", item))
        if _figure(item) is None or figure not in drawn:  # the lines of one plot, or its axes, are one picture
            pictures += _collect(item, f"{name}[{key!r}]", deeper - 1)
        drawn.add(figure)
    return pictures


def _one(what: Any, name: str) -> Picture:
    if isinstance(what, Path):
        return files.from_file(what.expanduser())
    if _is_a(what, "PIL.Image", "Image"):
        return checking.from_image(what, name)
    if _is_a(what, "numpy", "ndarray"):
        return arrays.from_array(what, name)
    if (data := _bytes(what, name)) is None:
        _unknown(name, _nature(what))
    return checking.from_bytes(data, name)


def _axes(what: Any) -> list[Any]:
    """Return the axes that plt.subplots(2, 2) gives as an array, or an empty list for anything else."""
    if _is_a(what, "numpy", "ndarray") and what.dtype.kind == "O" and what.size and _figure(what.flat[0]):
        return list(what.flat)
    return []


def _bytes(what: Any, name: str) -> bytes | None:
    if isinstance(what, (bytes, bytearray, memoryview)):
        return bytes(what)
    if (save := _figure(what)) is not None:
        return _drawn(save, name)
    # IPython.display.Image, and whatever else carries the bytes of a file.
    data = getattr(what, "data", None)
    return data if isinstance(data, bytes) else None


def _is_a(what: object, module: str, kind: str) -> bool:
    # Whoever holds such an object has imported its library; nobody else pays for it.
    found = getattr(sys.modules.get(module), kind, None)
    return isinstance(found, type) and isinstance(what, found)


def _figure(what: object) -> Callable[..., object] | None:
    # A matplotlib figure, or what stands in one (axes, the grids of seaborn); pyplot itself is a module, not a figure.
    if isinstance(what, (type, ModuleType)):
        return None
    save = getattr(what, "savefig", None) or getattr(getattr(what, "figure", None), "savefig", None)
    return save if callable(save) else None


def _drawn(save: Callable[..., object], name: str) -> bytes:
    buffer = BytesIO()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            save(buffer, format="png")
    # Drawing runs the person's own code and fonts; whatever goes wrong there is about this figure.
    except Exception as error:  # noqa: BLE001
        checking.refuse("OM-P06", name, Phrase("it_says", said=checking.last_words(error)), debug=repr(error))
    return buffer.getvalue()


def _nature(what: object) -> Phrase:
    if what is None:
        return Phrase("is_none")
    if isinstance(what, ModuleType):
        return Phrase("is_module")
    if hasattr(what, "url") and hasattr(what, "data"):
        return Phrase("only_links")
    return Phrase("of_type", kind=type(what).__name__)


def _unknown(name: str, reason: Phrase) -> NoReturn:
    raise PictureProblem("OM-P05", source=name, reason=reason) from None
