"""Write small PDF files for tests."""

from __future__ import annotations

import zlib


def pdf(*pages: str, size: str = "0 0 200 100", catalog: str = "", trailer: str = "") -> bytes:
    """Return a PDF whose pages each have that drawing, such as ``1 0 0 rg 0 0 200 100 re f``: red all over."""
    kids = " ".join(f"{4 + 2 * number} 0 R" for number in range(len(pages)))
    objects = [
        f"<< /Type /Catalog /Pages 2 0 R {catalog} >>".encode(),
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} /MediaBox [{size}] >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for number, drawing in enumerate(pages):
        stream = zlib.compress(drawing.encode())
        page = f"<< /Type /Page /Parent 2 0 R /Resources << /Font << /F 3 0 R >> >> /Contents {5 + 2 * number} 0 R >>"
        content = f"<< /Length {len(stream)} /Filter /FlateDecode >>\nstream\n".encode()
        objects += [page.encode(), content + stream + b"\nendstream"]
    return _file(objects, trailer)


def _file(objects: list[bytes], trailer: str) -> bytes:
    data, places = bytearray(b"%PDF-1.7\n"), []
    for number, content in enumerate(objects, 1):
        places.append(len(data))
        data += f"{number} 0 obj\n".encode() + content + b"\nendobj\n"
    start = len(data)
    data += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode()
    data += "".join(f"{place:010} 00000 n \n" for place in places).encode()
    data += f"trailer << /Size {len(objects) + 1} /Root 1 0 R {trailer} >>\nstartxref\n{start}\n%%EOF\n".encode()
    return bytes(data)


def coloured(red: int, green: int, blue: int) -> str:
    """Return the drawing of a page in one colour, of parts that are 0 or 1."""
    return f"{red} {green} {blue} rg -9999 -9999 99999 99999 re f"


ENCRYPTED = (
    "/Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O <" + "28" * 32 + "> /U <" + "29" * 32 + "> >> "
    "/ID [<00112233445566778899aabbccddeeff> <00112233445566778899aabbccddeeff>]"
)
