"""Make the widgets of one form, open them when all is set, share their layouts and styles, and close them."""

from __future__ import annotations

import types
from functools import cache
from threading import RLock
from typing import Any

import ipywidgets as widgets

LABEL_WIDTH, FIELD_WIDTH, GAP = 190, 300, 8  # pixels; the gap is what ipywidgets puts between a label and its field
_NARROW, _VERY_NARROW = 700, 420  # pixels of the form below which notes, and below which fields, stand on a line of their own
_HIDDEN = "ollama-hidden"
# By the width of the form, not of the window: a side bar takes its part. Without container queries the notes wrap, too.
FORM_CLASS = "ollama-form"
# A note of two lines takes no more height than the field beside it, and while a button is pressed, all of the form belongs to
# it: what the server answers changes notes, and a button that moves between press and release would get no click.
_STYLE = f"""<style>
.{FORM_CLASS} {{ container-type: inline-size; contain: layout; width: 100%; }}
.{FORM_CLASS} .{_HIDDEN} {{ display: none !important; }}
.{FORM_CLASS} .ollama-row {{ flex-flow: row wrap; max-width: 100%; }}
.{FORM_CLASS} button:active::after {{ content: ""; position: fixed; inset: 0; z-index: 1; }}
.{FORM_CLASS} .ollama-row > .ollama-note {{ align-self: center; margin-top: 0; margin-bottom: 0; }}
.{FORM_CLASS} .ollama-note .widget-html-content {{ line-height: 1.3; overflow-wrap: anywhere; }}
.{FORM_CLASS} .ollama-note .widget-html-content > div {{ line-height: 1.3 !important; padding: 0 0 0 8px !important; }}
@container (max-width: {_NARROW}px) {{
  .ollama-row > .ollama-note {{ flex-basis: 100% !important; margin: 2px 0 4px {LABEL_WIDTH + GAP}px !important; }}
  .ollama-row > .ollama-note .widget-html-content > div {{ padding: 0 !important; }}
  .ollama-row > .widget-toggle-buttons {{ flex: 1 1 0 !important; min-width: 0; }}
}}
@container (max-width: {_VERY_NARROW}px) {{
  .ollama-row > .ollama-note, .ollama-indented {{ margin-left: 2px !important; }}
  .ollama-row .widget-label {{ width: 100% !important; justify-content: flex-start !important; text-align: left; }}
  .ollama-row > .widget-text, .ollama-row > .widget-textarea, .ollama-row > .widget-combobox {{ flex-wrap: wrap; height: auto; }}
  .ollama-row input, .ollama-row textarea {{ flex: 1 1 100% !important; }}
}}
</style>"""


class FormWidgets:
    """Makes the widgets of a form in as few messages as can be.

    A kernel drops messages that are not fetched in time, even the one that ends the cell. To open a widget takes a message,
    and so do its layout, its style and each later change. Therefore nothing is opened before ``open``, and widgets of the
    same look share a layout and a style, which must not be changed.
    """

    def __init__(self) -> None:
        self._lock = RLock()
        self._is_open = False
        self._looks: dict[Any, Any] = {}  # layouts and styles by their kind and values
        self._made: list[Any] = []

    def make(
        self,
        kind: Any,
        *classes: str,
        layout: dict[str, str] | None = None,
        style: dict[str, str] | None = None,
        **state: Any,
    ) -> Any:
        """Return a new widget with these CSS classes and this state; it is opened if the form is."""
        with self._lock:
            state["layout"] = self._look(widgets.Layout, layout or {})
            if "style" in kind.class_trait_names():
                state["style"] = self._look(kind.class_traits()["style"].klass, style or {})
            widget = _unopened(kind)(_dom_classes=classes, **state)
            self._made.append(widget)
            if self._is_open:
                _open(widget)
        return widget

    def layout(self) -> Any:
        """Return the layout that sets nothing."""
        with self._lock:
            return self._look(widgets.Layout, {})

    def style_sheet(self) -> Any:
        """Return the CSS of the form as a widget that is not seen."""
        return self.make(widgets.HTML, _HIDDEN, value=_STYLE)

    def indented(self, *children: Any) -> Any:
        """Return the widgets side by side, aligned with the fields of the form."""
        layout = {"margin": f"2px 0 0 {LABEL_WIDTH + GAP}px", "flex_flow": "row wrap"}
        return self.make(widgets.HBox, "ollama-indented", layout=layout, children=children)

    def row_of(self, *children: Any) -> Any:
        """Return a field and its note side by side, or one below the other where the form is narrow."""
        return self.make(widgets.HBox, "ollama-row", children=children)

    def note(self) -> Any:
        """Return an empty note, which takes the space beside a field, or below it."""
        return self.make(widgets.HTML, "ollama-note", layout={"flex": "1 1 140px", "min_width": "140px"})

    def open(self) -> None:
        """Open all widgets that were made, as they are now, and from now on each that is made."""
        with self._lock:
            self._is_open = True
            for widget in self._made:
                _open(widget)

    def close(self) -> None:
        """Close all widgets with their layouts and styles; the kernel keeps nothing of the form, and none is opened again."""
        with self._lock:
            self._is_open = False
            for widget in (*reversed(self._made), *self._looks.values()):  # no widget loses its layout before its end
                widget.close()
            self._made.clear()

    def close_one(self, widget: Any) -> None:
        """Close a widget that is not shown any more."""
        with self._lock:
            widget.close()
            self._made = [one for one in self._made if one is not widget]

    def _look(self, kind: Any, values: dict[str, str]) -> Any:
        key = (kind, *values.items())
        if key not in self._looks:
            self._looks[key] = _unopened(kind)(**values)
        return self._looks[key]


def set_shown(widget: Any, *, is_shown: bool) -> None:
    """Show a widget of a form, or hide it."""
    if is_shown:
        widget.remove_class(_HIDDEN)
    else:
        widget.add_class(_HIDDEN)


@cache
def _unopened(kind: Any) -> Any:
    """Return the kind of widget that does not open itself when it is made."""
    return types.new_class(kind.__name__, (kind,), exec_body=lambda names: names.update(open=lambda _: None))


def _open(widget: Any) -> None:
    """Open a widget after all that it consists of, which its message names."""
    for part in (getattr(widget, "layout", None), getattr(widget, "style", None), *getattr(widget, "children", ())):
        if part is not None and part.comm is None:
            _open(part)
    widgets.Widget.open(widget)
