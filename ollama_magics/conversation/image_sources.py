"""Find the images and sounds in what a notebook holds: paths, bytes, arrays, figures, or lists of these."""

from __future__ import annotations

import glob
import re
import sys
import warnings
from collections.abc import Iterable
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ollama_magics import messages
from ollama_magics.conversation import files, images, pdf_pages, pixels, sounds
from ollama_magics.conversation.files import UnreadableFileError
from ollama_magics.conversation.pages import Pages
from ollama_magics.errors import PictureProblem
from ollama_magics.messages import Phrase

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ollama_magics.conversation.images import Picture

MAX_BYTES = 64_000_000  # more than any camera's JPEG, and half an hour of speech
_MOST_OF_PDF = 256_000_000  # bytes
_FIRST_PAGES = Pages()
_MAX_DEPTH = 3  # deeper lists are other data, or a list that holds itself
# by what the name of a file promises; a picture otherwise
_UNREADABLE = {".pdf": "pdf-unreadable"} | dict.fromkeys(
    (".wav", ".mp3", ".flac", ".ogg", ".opus", ".m4a", ".aac", ".aiff", ".wma"), "sound-unreadable"
)
_OUTPUT = re.compile(r"_{1,3}|_\d+")  # IPython's names of outputs
_GREY, _COLOUR, _BATCH = 2, 3, 4  # dimensions of an array
_CHANNELS = (1, 3, 4)


def from_path(text: str, pages: Pages = _FIRST_PAGES) -> list[Any]:
    """Return the pictures and sounds of a path or a pattern such as ``~/plots/*.png``, sorted by name; raises PictureProblem."""
    try:
        path = files.expanded(text)
        if files.exists(path) or not glob.has_magic(text):
            return from_file(path, pages)
    except UnreadableFileError as error:
        raise PictureProblem("picture-missing", path=text or '""', reason=error.reason) from None
    names = [Path(name) for name in sorted(glob.glob(str(path), recursive=True))]  # noqa: PTH207 - knows "**" and absolute paths
    found = [name for name in names if not name.is_dir()]
    if not found:
        raise PictureProblem("picture-missing", path=text, reason=Phrase("no_match", folder=path.parent.absolute()))
    return [picture for file in found for picture in from_file(file, pages)]


def from_file(path: Path, pages: Pages = _FIRST_PAGES) -> list[Any]:
    """Return the pictures of one file, or the sound in it, whatever its name; raises PictureProblem as ``from_path`` does."""
    try:
        data = files.read(path, lambda head: _MOST_OF_PDF if pdf_pages.is_pdf(head) else MAX_BYTES)
    except UnreadableFileError as error:
        if error.is_missing:
            raise PictureProblem("picture-missing", path=str(path), reason=error.reason) from None
        code = "picture-too-large" if error.is_large else "picture-no-file"
        raise PictureProblem(code, source=str(path), reason=error.reason) from None
    return _from_bytes(data, path.name, pages)


def collect(value: object, *, name: str = "", pages: Pages = _FIRST_PAGES) -> list[Any]:
    """Return the pictures and sounds in a value, or in a list or dict of values; ``name`` is its variable.

    A value is a ``Path`` (a plain text is refused), bytes, an open binary file or BytesIO, a Pillow image, an array, a figure,
    or an image or sound of IPython. Raises PictureProblem.
    """
    return _collect(value, name or "the picture", _MAX_DEPTH, pages)


def is_one(value: object) -> bool:
    """Return whether a value is one picture, or names its pictures as a dict does, although Python could go through it."""
    if _is_instance(value, "numpy", "ndarray"):
        return getattr(value, "ndim", 0) in (_GREY, _COLOUR)
    is_whole = isinstance(value, (str, bytes, bytearray, memoryview, dict)) or _savefig(value) is not None
    return is_whole or _is_file(value) or not isinstance(value, Iterable)


def is_sound(value: object) -> bool:
    """Return whether a value of a row, a path or bytes, is a sound; nothing is raised for what cannot be read."""
    head = value if isinstance(value, bytes) else b""
    if isinstance(value, (str, Path)):
        with suppress(UnreadableFileError):
            head = files.beginning(files.expanded(str(value)))
    return bool(sounds.kind_of(head))


def _from_bytes(data: bytes, source: str, pages: Pages) -> list[Any]:
    if sounds.kind_of(data):
        return [sounds.from_bytes(data, source)]
    try:
        return list(images.from_bytes(data, source, pages))
    except PictureProblem as error:
        code = "pdf-unreadable" if pdf_pages.is_pdf(data) else _UNREADABLE.get(Path(source).suffix.lower(), error.code)
        if error.code != "picture-unreadable" or code == error.code:
            raise
        raise PictureProblem(code, source=source, reason=error.facts["reason"], debug=error.debug) from None


def _collect(value: Any, name: str, depth: int, pages: Pages) -> list[Any]:
    if isinstance(value, str) and _OUTPUT.fullmatch(name):
        raise _unknown_type(name, Phrase("output_is_text"))
    if isinstance(value, str):
        raise PictureProblem("picture-is-text", source=name) from None
    if isinstance(value, (list, tuple, dict)):
        return _collect_each(value, name, depth, pages)
    # plt.subplots(2, 2) gives an array of axes
    if _is_instance(value, "numpy", "ndarray") and value.dtype.kind == "O" and value.size and _savefig(value.flat[0]):
        return _collect_each(list(value.flat), name, depth, pages)
    if isinstance(value, Path):
        return from_file(value.expanduser(), pages)
    if _is_instance(value, "PIL.Image", "Image"):
        return [images.from_image(value, name)]
    if _is_instance(value, "numpy", "ndarray"):
        return [from_array(value, name)]
    return _from_bytes(_file_bytes(value, name), name, pages)


def _collect_each(values: list[Any] | tuple[Any, ...] | dict[Any, Any], name: str, depth: int, pages: Pages) -> list[Any]:
    if not values:
        raise _unknown_type(name, Phrase("empty_kind", kind=type(values).__name__))
    if not depth:
        raise _unknown_type(name, Phrase("nested_deep"))
    drawn: set[int] = set()
    pictures: list[Any] = []
    for key, value in values.items() if isinstance(values, dict) else enumerate(values):
        figure = id(getattr(value, "figure", value))
        if _savefig(value) is None or figure not in drawn:  # the lines of one plot, or its axes, are one picture
            pictures += _collect(value, f"{name}[{key!r}]", depth - 1, pages)
        drawn.add(figure)
    return pictures


def _file_bytes(value: Any, name: str) -> bytes:
    """Return the bytes of an image file: given, drawn by a figure, or carried by another object."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if _is_file(value):
        return _content(value, name)
    if save := _savefig(value):
        buffer = BytesIO()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                save(buffer, format="png", **_ground_of(value))
        except Exception as error:  # noqa: BLE001 - drawing runs the user's own code and fonts, which may raise anything
            reason = Phrase("it_says", said=images.last_line(error))
            raise PictureProblem("figure-failed", source=name, reason=reason, debug=repr(error)) from None
        return buffer.getvalue()
    if isinstance(data := getattr(value, "data", None), bytes):  # IPython.display.Image
        return data

    if value is None or isinstance(value, ModuleType):
        raise _unknown_type(name, Phrase("is_none" if value is None else "is_module"))
    if hasattr(value, "url") and hasattr(value, "data"):
        raise _unknown_type(name, Phrase("only_links"))
    raise _unknown_type(name, Phrase("of_type", kind=type(value).__name__))


def _is_file(value: object) -> bool:
    return not isinstance(value, type) and callable(getattr(value, "read", None))


def _content(file: Any, name: str) -> bytes:
    """Return all that is in an open file or a BytesIO, wherever it was read or written last; there it stays."""
    try:
        place = file.tell() if file.seekable() else None
        if place is not None:
            file.seek(0)
        data = file.read(_MOST_OF_PDF + 1)
        if place is not None:
            file.seek(place)
    except (OSError, ValueError, AttributeError) as error:  # one that is closed, or was opened to be written
        raise PictureProblem("picture-no-file", source=name, reason=Phrase("it_says", said=images.last_line(error))) from None
    if not isinstance(data, bytes):
        raise _unknown_type(name, Phrase("opened_as_text"))
    limit = _MOST_OF_PDF if pdf_pages.is_pdf(data) else MAX_BYTES
    if len(data) > limit:
        reason = Phrase("large_file", size=messages.bytes_text(len(data)), most=messages.bytes_text(limit))
        raise PictureProblem("picture-too-large", source=name, reason=reason)
    return data


def _is_instance(value: Any, module: str, kind: str) -> bool:
    # Whoever has such an object has imported its library; nobody else pays for it.
    found = getattr(sys.modules.get(module), kind, None)
    return isinstance(found, type) and isinstance(value, found)


def _savefig(value: object) -> Callable[..., object] | None:
    """Return ``savefig`` of a matplotlib figure or of what is in one (axes, lines, seaborn's grids); None for other values."""
    if isinstance(value, (type, ModuleType)):  # pyplot itself is a module
        return None
    save = getattr(value, "savefig", None) or getattr(getattr(value, "figure", None), "savefig", None)
    return save if callable(save) else None


def _ground_of(value: Any) -> dict[str, Any]:
    """Return the options by which a figure keeps its own colour, whatever the style now in force says of saving."""
    colour = getattr(getattr(value, "figure", value), "get_facecolor", None)
    return {"facecolor": colour(), "transparent": False} if colour else {}


def _unknown_type(name: str, reason: Phrase) -> PictureProblem:
    return PictureProblem("picture-type-unknown", source=name, reason=reason)


def from_array(array: NDArray[Any], source: str) -> Picture:
    """Return the picture of an array of numbers or bools (height, width[, 1, 3 or 4]); raises PictureProblem.

    Floats from 0 to 1 and whole numbers from 0 to 255 are what they are; other numbers are scaled, which is in its notes.
    """
    import numpy as np  # noqa: PLC0415 - where there is an array, it is already imported
    from PIL import Image  # noqa: PLC0415 - only a prompt with an image pays for Pillow

    shape = array.shape
    if len(shape) not in (_GREY, _COLOUR) or (len(shape) == _COLOUR and shape[2] not in _CHANNELS):
        is_channels_first = len(shape) == _COLOUR and shape[0] in _CHANNELS
        advice = "colours_last" if is_channels_first else "as_list" if len(shape) == _BATCH else "need_shape"
        raise _unknown_array(array, source, advice)
    if not array.size:
        raise _unknown_array(array, source, "holds_nothing")
    if array.dtype.kind not in "biuf":
        raise _unknown_array(array, source, "need_numbers")
    images.require_size(shape[1], shape[0], source)

    if array.dtype == np.bool_:
        array = array.astype(np.uint8) * np.uint8(255)
    if isinstance(array, np.ma.MaskedArray):  # what is below a mask is no data
        array = np.ma.filled(array.astype(np.float64), np.nan)
    is_bytes = array.dtype == np.uint8 and array.max() >= pixels.DIMMEST
    scaled = (np.ascontiguousarray(array), ()) if is_bytes else pixels.eight_bits(array)
    if scaled is None:
        raise _unknown_array(array, source, "need_finite")
    found, notes = scaled
    return images.from_image(Image.fromarray(found[:, :, 0] if found.shape[2:] == (1,) else found), source, notes)


def _unknown_array(array: NDArray[Any], source: str, advice: str) -> PictureProblem:
    return _unknown_type(source, Phrase("array_of", shape=array.shape, kind=array.dtype, advice=Phrase(advice)))
