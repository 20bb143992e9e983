"""Look into the pixels of a PNG: whether they are all there, and a large one in strips, so that the whole is never in memory."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from io import BytesIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_ROWS = 16  # of the result, that are decoded at a time
_PIECE = 2**20  # bytes that are unpacked at a time
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of a pixel, by the colour type of the header
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))  # x, y and steps
_CHANNELS = {2: "RGB", 6: "RGBA"}  # by the colour type of the header


def reduced(data: bytes, factor: int) -> Image | None:
    """Return the image of a PNG, each side divided by ``factor``; None where it is not of 8-bit colours in plain order.

    Raises ValueError for one that is damaged.
    """
    from PIL import Image as Pillow  # noqa: PLC0415 - only a prompt with an image pays for Pillow

    chunks = dict[bytes, bytes]()
    pixels = _pixels(data, chunks)
    first = next(pixels, b"")
    width, height, depth, colours, *_, interlaced = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    mode = _CHANNELS.get(colours)
    if mode is None or depth != 8 or interlaced or b"tRNS" in chunks:
        return None

    found = Pillow.new(mode, (-(-width // factor), -(-height // factor)))
    stride, previous, held, row = 1 + len(mode) * width, bytes(len(mode) * width), bytearray(first), 0
    while row < height:
        count = min(_ROWS * factor, height - row)
        while len(held) < stride * count:
            held += next(pixels)
        strip = _decoded(width, colours, previous, bytes(held[: stride * count]))
        del held[: stride * count]
        previous = strip.crop((0, count, width, count + 1)).tobytes()
        found.paste(strip.crop((0, 1, width, count + 1)).reduce(factor), (0, row // factor))
        row += count
    return found


def require_all_rows(data: bytes) -> None:
    """Raise ValueError for a PNG whose data end well but before its last row; decoders leave the rest black."""
    chunks, held = dict[bytes, bytes](), 0
    for piece in _pixels(data, chunks):  # which raises at the end of the file
        held += len(piece)
        if held >= _unpacked_size(chunks[b"IHDR"]):
            return


def _unpacked_size(header: bytes) -> int:
    """Return the bytes of all rows, each with the byte that names its filter; an interlaced image has those of seven images."""
    width, height, depth, colours, *_, interlaced = struct.unpack(">IIBBBBB", header)
    bits = depth * _SAMPLES[colours]
    sizes = [(width, height)]
    if interlaced:
        sizes = [(-(-(width - x) // dx), -(-(height - y) // dy)) for x, y, dx, dy in _PASSES]
    return sum(rows * (1 + (columns * bits + 7) // 8) for columns, rows in sizes if columns > 0 and rows > 0)


def _decoded(width: int, colours: int, previous: bytes, rows: bytes) -> Image:
    """Return the image of some rows as a file holds them, with the row before them on top, to which they may refer."""
    from PIL import Image as Pillow  # noqa: PLC0415 - as above

    height = len(rows) // (1 + len(previous)) + 1
    header = struct.pack(">IIBBBBB", width, height, 8, colours, 0, 0, 0)
    body = zlib.compress(b"\0" + previous + rows, 0)
    file = _SIGNATURE + b"".join(_chunk(*one) for one in ((b"IHDR", header), (b"IDAT", body), (b"IEND", b"")))
    image = Pillow.open(BytesIO(file), formats=["PNG"])
    image.load()
    return image


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _pixels(data: bytes, chunks: dict[bytes, bytes]) -> Iterator[bytes]:
    """Yield the rows of a PNG in pieces, and put what stands before them into ``chunks``; raises ValueError at a damaged one."""
    position, unpacker = len(_SIGNATURE), zlib.decompressobj()
    while position < len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        body = data[position + 8 : position + 8 + length]
        if data[position + 8 + length : position + 12 + length] != struct.pack(">I", zlib.crc32(name + body)):
            raise ValueError(f"broken PNG file (chunk {name!r})")
        position += 12 + length
        if name != b"IDAT":
            chunks[name] = body
        while name == b"IDAT" and body:
            yield unpacker.decompress(body, _PIECE)
            body = unpacker.unconsumed_tail
    raise ValueError("image file is truncated")
