"""Find the pictures in whatever a notebook holds: paths, bytes, arrays, figures, or lists of these."""

from __future__ import annotations

import glob
import os
import re
import stat
import sys
import warnings
from difflib import get_close_matches
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

from ollama_magics.conversation import images
from ollama_magics.conversation.images import MOST_PIXELS, from_bytes, from_image, refuse, too_many_pixels
from ollama_magics.errors import PictureProblem
from ollama_magics.messages import Phrase

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from ollama_magics.conversation.images import Picture

# 64 MB on the disk: above every camera's JPEG, and it bounds what is read before anything is known.
MOST_BYTES = 64 * 1024 * 1024


def from_path(text: str) -> list[Picture]:
    """Return the pictures of a path or a pattern such as ``plots/*.png``, sorted by name; ``~`` is the home folder."""
    path = Path(os.path.expanduser(text))  # noqa: PTH111 - Path.expanduser raises for "~nobody"
    if _status(path) is None and glob.has_magic(text):
        return [from_file(match) for match in _matches(path, text)]
    return [from_file(path)]


def from_file(path: Path) -> Picture:
    """Return the picture of one file; what it is called says nothing about what it is."""
    status = _status(path)
    if status is None:
        _missing(str(path), _nearest(path))
    if not stat.S_ISREG(status.st_mode):
        refuse("picture-unreadable", str(path), Phrase("no_file", kind=_kind(status.st_mode)))
    if status.st_size > MOST_BYTES:
        refuse("picture-too-large", str(path), Phrase("large_file", size=_size(status.st_size), most=_size(MOST_BYTES)))
    return from_bytes(_read(path), path.name)


def _matches(path: Path, text: str) -> list[Path]:
    names = [Path(name) for name in sorted(glob.glob(str(path), recursive=True))]  # noqa: PTH207 - knows "**" and absolute paths
    files = [name for name in names if not name.is_dir()]
    if not files:
        _missing(text, Phrase("no_match", folder=_folder(path)))
    return files


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError, ValueError):
        # ValueError: a NUL in the name.
        return None
    except OSError as error:
        _missing(str(path), Phrase("system_says", said=error.strerror))


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            # A file that grows, or one whose size is a lie, is cut here; no decoder takes it for whole.
            return file.read(MOST_BYTES)
    except OSError as error:
        refuse("picture-unreadable", str(path), Phrase("system_says", said=error.strerror))


def _missing(path: str, reason: Phrase) -> NoReturn:
    raise PictureProblem("picture-missing", path=path, reason=reason) from None


def _nearest(path: Path) -> Phrase:
    try:
        names = os.listdir(path.parent)  # noqa: PTH208 - names are wanted, not paths
    except (OSError, ValueError):
        return Phrase("no_folder", folder=_folder(path))
    near = get_close_matches(path.name, names[:10_000], n=1)
    folder = _folder(path)
    return Phrase("folder_has", folder=folder, near=near[0]) if near else Phrase("folder_lacks", folder=folder)


def _folder(path: Path) -> str:
    # Without a folder it is the one in which the kernel runs, which a person may not know.
    return str(path.parent.absolute())


def _kind(mode: int) -> Phrase:
    kinds = ((stat.S_ISDIR, "a_folder"), (stat.S_ISFIFO, "a_pipe"), (stat.S_ISSOCK, "a_socket"))
    return Phrase(next((key for test, key in kinds if test(mode)), "a_device"))


def _size(size: int) -> str:
    return f"{size / 1024 / 1024:.0f} MB"


_GREY, _COLOUR = 2, 3
_CHANNELS = (1, 3, 4)
_BATCH = 4


def from_array(array: NDArray[Any], source: str) -> Picture:
    """Return the picture of an array (height, width[, 1, 3 or 4]) of uint8, bool, or floats from 0 to 1."""
    from PIL import Image  # noqa: PLC0415 - only a prompt with a picture pays for Pillow

    _check_shape(array, source)
    pixels = _bytes(array, source)
    return from_image(Image.fromarray(pixels[:, :, 0] if pixels.shape[2:] == (1,) else pixels), source)


def _check_shape(array: NDArray[Any], source: str) -> None:
    shape = array.shape
    if len(shape) not in (_GREY, _COLOUR) or (len(shape) == _COLOUR and shape[2] not in _CHANNELS):
        _unknown(array, source, _shape_advice(shape))
    if not array.size:
        _unknown(array, source, Phrase("holds_nothing"))
    if shape[0] * shape[1] > MOST_PIXELS:
        too_many_pixels(shape[1], shape[0], source)


def _shape_advice(shape: tuple[int, ...]) -> Phrase:
    if len(shape) == _COLOUR and shape[0] in _CHANNELS:
        return Phrase("colours_last")
    if len(shape) == _BATCH:
        return Phrase("as_list")
    return Phrase("need_shape")


def _bytes(array: NDArray[Any], source: str) -> NDArray[np.uint8]:
    import numpy as np  # noqa: PLC0415 - an array cannot be here without it

    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype.kind != "f":
        _unknown(array, source, Phrase("need_uint8"))
    if not (np.isfinite(array).all() and array.min() >= 0 and array.max() <= 1):
        _unknown(array, source, Phrase("need_unit_floats"))
    return np.rint(array.astype(np.float32) * 255).astype(np.uint8)


def _unknown(array: NDArray[Any], source: str, advice: Phrase) -> None:
    reason = Phrase("array_of", shape=array.shape, kind=array.dtype, advice=advice)
    raise PictureProblem("picture-type-unknown", source=source, reason=reason) from None


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
        _unknown_value(name, Phrase("output_is_text"))
    if isinstance(what, str):
        raise PictureProblem("picture-is-text", source=name) from None
    if isinstance(what, (list, tuple, dict)):
        return _each(what, name, deeper)
    if axes := _axes(what):
        return _each(axes, name, deeper)
    return [_one(what, name)]


def _each(what: list[Any] | tuple[Any, ...] | dict[Any, Any], name: str, deeper: int) -> list[Picture]:
    if not what:
        _unknown_value(name, Phrase("empty_kind", kind=type(what).__name__))
    if not deeper:
        _unknown_value(name, Phrase("nested_deep"))
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
        return from_file(what.expanduser())
    if _is_a(what, "PIL.Image", "Image"):
        return images.from_image(what, name)
    if _is_a(what, "numpy", "ndarray"):
        return from_array(what, name)
    if (data := _image_bytes(what, name)) is None:
        _unknown_value(name, _nature(what))
    return images.from_bytes(data, name)


def _axes(what: Any) -> list[Any]:
    """Return the axes that plt.subplots(2, 2) gives as an array, or an empty list for anything else."""
    if _is_a(what, "numpy", "ndarray") and what.dtype.kind == "O" and what.size and _figure(what.flat[0]):
        return list(what.flat)
    return []


def _image_bytes(what: Any, name: str) -> bytes | None:
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
        images.refuse("figure-failed", name, Phrase("it_says", said=images.last_words(error)), debug=repr(error))
    return buffer.getvalue()


def _nature(what: object) -> Phrase:
    if what is None:
        return Phrase("is_none")
    if isinstance(what, ModuleType):
        return Phrase("is_module")
    if hasattr(what, "url") and hasattr(what, "data"):
        return Phrase("only_links")
    return Phrase("of_type", kind=type(what).__name__)


def _unknown_value(name: str, reason: Phrase) -> NoReturn:
    raise PictureProblem("picture-type-unknown", source=name, reason=reason) from None
