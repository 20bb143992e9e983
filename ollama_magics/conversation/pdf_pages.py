"""Draw the pages of a PDF as pictures."""

from __future__ import annotations

import importlib
import math
import threading
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, TypeVar

from ollama_magics.conversation.notes import Note
from ollama_magics.errors import PictureProblem
from ollama_magics.messages import Phrase

if TYPE_CHECKING:
    from PIL.Image import Image

    from ollama_magics.conversation.pages import Pages

MARK, _MARK_WITHIN = b"%PDF-", 1024  # bytes from the start, within which readers look for it
_Converted = TypeVar("_Converted")
_MOST_SCALE = 300 / 72  # pixels for each point, 1/72 inch: 300 for each inch
_ALONE = threading.Lock()  # PDFium is not made for several threads
_PASSWORD_NEEDED = 4  # of PDFium's error codes


def is_pdf(data: bytes) -> bool:
    """Return whether the beginning of a file is that of a PDF."""
    return MARK in data[:_MARK_WITHIN]


def draw(
    data: bytes, source: str, pages: Pages, longest_side: int, convert: Callable[[Image, str], _Converted]
) -> tuple[list[_Converted], list[Note]]:
    """Return what ``convert`` makes of each page, of its image and name, and what to report about the document.

    ``longest_side`` is that of an image, in pixels. Raises PictureProblem: pdf-needs-package without pypdfium2, pdf-encrypted,
    picture-unreadable, page-missing, pages-too-many.
    """
    try:
        pdfium = importlib.import_module("pypdfium2")  # an optional package
    except ImportError:
        raise PictureProblem("pdf-needs-package", source=source) from None

    try:
        with _ALONE, ExitStack() as opened, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of forms that it cannot draw, which are reported
            document = pdfium.PdfDocument(data)
            opened.callback(document.close)
            document.init_forms()  # so that what was filled in is drawn; does nothing where there is no form
            if not (count := len(document)):
                raise PictureProblem("picture-unreadable", source=source, reason=Phrase("no_pages"))
            found, cut = pages.of(count, source)
            notes = [] if cut is None else [cut]
            if document.get_formtype() in (pdfium.raw.FORMTYPE_XFA_FULL, pdfium.raw.FORMTYPE_XFA_FOREGROUND):
                notes.append(Note(Phrase("pdf_dynamic")))
            # one after another, so that only one is in memory as an image
            return [convert(_page(document, page, source, longest_side), f"{source}#page={page + 1}") for page in found], notes
    except pdfium.PdfiumError as error:
        if getattr(error, "err_code", None) == _PASSWORD_NEEDED:
            raise PictureProblem("pdf-encrypted", source=source) from None
        reason = Phrase("pdf_broken", said=str(error)[:200])
        raise PictureProblem("picture-unreadable", source=source, reason=reason, debug=repr(error)) from None


def _page(document: Any, number: int, source: str, longest_side: int) -> Image:
    """Return one page, white where nothing is drawn, whatever its size on paper."""
    page = document[number]
    try:
        sizes = page.get_size()
        if not all(math.isfinite(size) and size > 0 for size in sizes):
            reason = Phrase("pdf_no_size", page=number + 1)
            raise PictureProblem("picture-unreadable", source=source, reason=reason)
        scale = min(longest_side / max(sizes), _MOST_SCALE)
        bitmap = page.render(scale=scale)
        try:
            image: Image = bitmap.to_pil().convert("RGB")
            return image.copy()  # the memory of the page goes with it
        finally:
            bitmap.close()
    finally:
        page.close()
