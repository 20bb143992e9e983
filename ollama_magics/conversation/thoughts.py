"""Separate the thoughts that a model writes between tags in its text from the answer."""

from __future__ import annotations

import re
from typing import NamedTuple

_OPENERS = ("<think>", "<thinking>", "<thought>", "<thoughts>", "<reasoning>", "<seed:think>", "[THINK]", "◁think▷")
_TAGS = (*_OPENERS, *(f"{tag[0]}/{tag[1:]}" for tag in _OPENERS))
_STOP = re.compile("|".join(["\n", *map(re.escape, _TAGS)]), re.IGNORECASE)  # a line end or a tag
_HALVES = frozenset(tag[:length].lower() for tag in _TAGS for length in range(1, len(tag)))
_LONGEST_HALF = max(map(len, _HALVES))
_TAG_STARTS = re.compile(r"[<\[◁]")
_END_OR_TAG_STARTS = re.compile(r"[\n<\[◁]")
_MOST_HELD = 64  # characters of white space that are held back
_FENCE = re.compile(r"\s*(?:(?:[-*+>]|\d+[.)])\s+)*(`{3,}(?!.*`)|~{3,})")
_LONGEST_HEAD = 120  # characters of a line that show whether it opens or closes a block of code
_INDENT = " " * 4  # what is indented by it is code
_QUOTES = frozenset("`\"'“‘«「『")  # a tag behind one of them is spoken of
_DATA = frozenset('{["')  # a text that begins so is JSON


class Split(NamedTuple):
    """The next piece of the thoughts and of the answer; with ``is_late`` all text before was thoughts, too."""

    thoughts: str = ""
    text: str = ""
    is_late: bool = False


class ThoughtSplitter:
    """Splits a growing text: ``<think>…</think>`` and its like are thoughts, also where they are not closed yet.

    An opening tag counts at the beginning of a line. A closing tag without one ends thoughts that began with the text, because
    the templates of some models write the opening tag themselves. Tags in code are text.
    """

    def __init__(self) -> None:
        self._held, self._at = "", 0  # what is not decided yet, and how much of it is by now
        self._thoughts, self._text, self._is_late = list[str](), list[str](), False  # decided since the last split
        self._closer = ""  # ends the open thoughts
        self._drops_space = self._has_thoughts = False
        self._may_close_alone = True
        self._start = ""  # the first character of the text
        self._fence = ""  # opened the block of code that we are in
        self._head, self._ticks, self._last = "", 0, ""  # of the line so far: its beginning, its backticks, its last character

    def feed(self, text: str) -> Split:
        """Return what is decided by the next piece of the text."""
        self._held += text
        while self._read_thoughts() if self._closer else self._read_text():
            pass
        self._held, self._at = self._held[self._at :], 0
        return self._split()

    def takes_whole(self, text: str) -> bool:
        """Take a piece that is part of the answer as it is, as almost all are; return False for one to ``feed``."""
        if self._held or self._closer or self._drops_space or not (self._start and text) or _END_OR_TAG_STARTS.search(text):
            return False
        self._note(text)
        return True

    def end(self) -> Split:
        """Return the rest after the last piece."""
        if self._closer:
            self._think(self._take(len(self._held)).rstrip())
        else:
            self._write(len(self._held))
        self._held, self._at = "", 0
        return self._split()

    def _split(self) -> Split:
        split = Split("".join(self._thoughts), "".join(self._text), self._is_late)
        self._thoughts, self._text, self._is_late = [], [], False
        return split

    def _take(self, end: int) -> str:
        taken, self._at = self._held[self._at : end], end
        return taken

    def _undecided(self) -> int:
        """Return where half a tag begins at the end of what is held."""
        near = max(self._at, len(self._held) - _LONGEST_HALF)
        starts = (found.start() for found in _TAG_STARTS.finditer(self._held, near))
        return next((start for start in starts if self._held[start:].lower() in _HALVES), len(self._held))

    def _before_space(self, end: int) -> int:
        """Return the beginning of the white space that ends there, as far as it is held back."""
        near = max(self._at, end - _MOST_HELD)
        return near + len(self._held[near:end].rstrip())

    def _read_thoughts(self) -> bool:
        """Take thoughts, and return whether their end was found."""
        end = re.compile(re.escape(self._closer), re.IGNORECASE).search(self._held, self._at)
        if end is None:
            self._think(self._take(self._before_space(self._undecided())))
            return False
        self._think(self._take(end.start()).rstrip())
        self._at, self._closer, self._drops_space = end.end(), "", True
        return True

    def _think(self, thoughts: str) -> None:
        if self._drops_space:
            thoughts = thoughts.lstrip()
            if thoughts and self._has_thoughts:
                self._thoughts.append("\n\n")  # between two blocks of thoughts
        if thoughts:
            self._drops_space, self._has_thoughts = False, True
            self._thoughts.append(thoughts)

    def _read_text(self) -> bool:
        """Take text up to the next line end or tag, and return whether there was one."""
        begin = self._at
        if not self._start:  # white space before the first tag is dropped
            begin = len(self._held) - len(self._held[self._at :].lstrip())
        found = _STOP.search(self._held, begin)
        if found is None:
            end = self._undecided()
            self._write(end if self._start or end > begin else self._before_space(end))
            return False
        if self._start or found.start() > begin:
            self._write(found.start())
        if found[0] == "\n":
            self._write(found.end())
            self._end_line()
        elif not self._counts(is_closing=found[0][1] == "/"):
            is_code = bool(self._fence) or self._ticks % 2 == 1
            self._may_close_alone &= is_code or found[0][1] == "/"  # a text that names the opening tag may name the other
            self._write(found.end())
        else:
            self._follow(found)
        return True

    def _write(self, end: int) -> None:
        text = self._take(end)
        if self._drops_space:
            text = text.lstrip()
        if text:
            self._drops_space, self._start = False, self._start or text.lstrip()[:1]
            self._text.append(text)
            self._note(text)

    def _note(self, text: str) -> None:
        """Note what matters of the text for the tags that may follow in its line."""
        if len(self._head) < _LONGEST_HEAD:
            self._head = (self._head + text)[:_LONGEST_HEAD]
        self._ticks, self._last = self._ticks + text.count("`"), text[-1]

    def _end_line(self) -> None:
        fence = _FENCE.match(self._head)
        if not self._fence:
            self._fence = fence[1] if fence else ""
        elif fence and fence[1].startswith(self._fence) and not self._head.strip().strip(self._fence[0]):
            self._fence = ""
        self._head, self._ticks, self._last = "", 0, ""

    def _counts(self, *, is_closing: bool) -> bool:
        if self._fence:
            return False
        if not is_closing:
            return not self._head.strip() and not (self._start and self._head.startswith(_INDENT))
        is_quoted = self._last in _QUOTES or self._ticks % 2 or self._start in _DATA
        return not self._start or (self._may_close_alone and not is_quoted)

    def _follow(self, tag: re.Match[str]) -> None:
        if tag[0][1] == "/":  # what has come so far was thoughts
            self._thoughts, self._text, self._is_late = ["".join((*self._thoughts, *self._text)).rstrip()], [], True
            self._has_thoughts = self._has_thoughts or bool(self._start)
            self._start = ""
        else:
            self._closer = f"{tag[0][0]}/{tag[0][1:]}"
        self._at, self._drops_space, self._may_close_alone = tag.end(), True, False
