"""The widgets of a form: when they are opened, what they share, and that none is left."""

from __future__ import annotations

import pytest
from ipywidgets import HTML, Button, Text, Widget

from ollama_magics.notebook.panel.form_widgets import FormWidgets


def widgets() -> set[str]:
    """Return the names of all widgets of this process."""
    return set(Widget.get_manager_state()["state"])


@pytest.fixture
def parts() -> FormWidgets:
    """Give the widgets of a form that has none yet."""
    return FormWidgets()


def test_nothing_is_opened_before_all_is_set(parts: FormWidgets) -> None:
    """A box may come before what it holds: its message names that, so that is opened first."""
    before, box = widgets(), parts.row_of()
    box.children = (parts.make(HTML), parts.note())
    assert widgets() == before
    parts.open()
    assert [child.comm is not None for child in box.children] == [True, True]
    assert parts.make(Button).comm is not None


def test_equal_layouts_and_styles_are_one(parts: FormWidgets) -> None:
    """Each is a message; another form has its own, as they are closed with it."""
    wide = {"layout": {"width": "9px"}, "style": {"description_width": "4px"}}
    one, other, narrow = parts.make(Text, **wide), parts.make(Text, **wide), parts.make(Text)
    assert (one.layout, one.style) == (other.layout, other.style)
    assert one.layout is not narrow.layout
    assert one.style is not narrow.style
    assert FormWidgets().make(Text, **wide).layout is not one.layout


def test_closing_one_keeps_what_others_share(parts: FormWidgets) -> None:
    """A button that is replaced; the layout of the others stays."""
    parts.open()
    stays, goes = parts.make(Button), parts.make(Button)
    parts.close_one(goes)
    assert goes.comm is None
    assert stays.layout.comm is not None


def test_nothing_is_left_of_a_closed_form(parts: FormWidgets) -> None:
    """Nor is anything added by a check that ends after it."""
    before = widgets()
    parts.row_of(parts.make(Text), parts.note())
    parts.open()
    parts.close()
    assert parts.make(Button).comm is None
    assert widgets() == before
