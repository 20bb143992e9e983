"""NumPy arrays -> PIL images, where shape and numbers leave no doubt what is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ollama_magics.conversation.images.checking import MOST_PIXELS, from_image, too_many_pixels
from ollama_magics.errors import PictureProblem
from ollama_magics.messages import Phrase

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ollama_magics.conversation.images.picture import Picture

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
    raise PictureProblem("OM-P05", source=source, reason=reason) from None
