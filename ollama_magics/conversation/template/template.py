"""A template and the names in it, in one pass, and nothing of how a value is written."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any

from ollama_magics.conversation.template.values import as_text, is_picture
from ollama_magics.errors import PromptProblem
from ollama_magics.messages import Phrase

# \{{name}} | {{ name }}, where the name is a Python identifier in any script
_PLACE = re.compile(r"(?P<kept>\\)?\{\{\s*(?P<name>[^\W\d]\w*)\s*\}\}")


def fill(template: str, values: Mapping[str, Any]) -> str:
    r"""Return the template with every ``{{name}}`` replaced by its value, in one pass; ``\{{name}}`` keeps its braces.

    Raises PromptProblem for a name that the values do not have, and for a picture, of which text would tell nothing.
    """

    def value(place: re.Match[str]) -> str:
        if place["kept"]:
            return place[0].removeprefix("\\")
        name = place["name"]
        if name not in values:
            raise _unknown(name, values)
        if is_picture(values[name]):
            raise PromptProblem("OM-T08", name=name, kind=type(values[name]).__name__)
        return _text_of(name, values[name])

    return _PLACE.sub(value, template)


def _text_of(name: str, value: Any) -> str:
    try:
        return as_text(value)
    except Exception as error:  # noqa: BLE001 - a value of the notebook may raise anything as it writes itself
        kind, said = type(value).__name__, f"{type(error).__name__}: {error}"[:200]
        raise PromptProblem("OM-T10", name=name, kind=kind, said=said) from None


def _unknown(name: str, values: Mapping[str, Any]) -> PromptProblem:
    known = [key for key in values if not key.startswith("_")]
    near = difflib.get_close_matches(name, known, n=1)
    return PromptProblem("OM-T02", name=name, nearest=Phrase("nearest_name", near=near[0]) if near else Phrase("none_near"))
