"""The form in cell 1 of a notebook, as a person reads and fills it."""

from __future__ import annotations

import re

from playwright.sync_api import Locator

from ollama_magics import messages

from .lab_notebook import Notebook


def label(setting: str, language: str = "en") -> str:
    """Return what stands left of the field of a setting."""
    return messages.label(setting, language)


def field(notebook: Notebook, label: str) -> Locator:
    """Return the field of the form with this label."""
    return notebook.cell(1).get_by_label(label, exact=True)


def note(notebook: Notebook, label: str) -> Locator:
    """Return what stands beside the field with this label."""
    return _row(notebook, label).locator(".widget-html-content")


def choose(notebook: Notebook, label: str, word: str) -> None:
    """Click on one of the words beside a label."""
    _row(notebook, label).get_by_role("button", name=word, exact=True).click()


def chosen(notebook: Notebook, label: str) -> Locator:
    """Return the word beside a label that is chosen."""
    return _row(notebook, label).locator("button.mod-active")


def _row(notebook: Notebook, label: str) -> Locator:
    named = notebook.page.locator(".widget-label", has_text=re.compile(f"^{re.escape(label)}$"))
    return notebook.cell(1).locator(".widget-hbox", has=named)


def fill(notebook: Notebook, label: str, text: str) -> None:
    """Type into a field and leave it."""
    field(notebook, label).fill(text)
    field(notebook, label).press("Tab")


def button(notebook: Notebook, name: str) -> Locator:
    """Return the button of the form with this text."""
    return notebook.cell(1).get_by_role("button", name=name, exact=True)


def signs(notebook: Notebook) -> Locator:
    """Return the signs of the stages in the report."""
    return notebook.cell(1).locator(".widget-html-content tr > td:first-child")
