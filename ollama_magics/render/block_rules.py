"""Rules for whole lines: tables whose cells hold bars, task lists, folded parts, comments."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ollama_magics.render import formulas

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markdown_it.rules_block import StateBlock
    from markdown_it.rules_core import StateCore

_DELIMITER_ROW = re.compile(r"\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*")
_ALIGNMENTS = {"--": "", ":-": "left", "-:": "right", "::": "center"}  # by the ends of a cell of the second row
_MOST_EMPTY_CELLS = 10_000  # that are added to the short rows of a table
_SPECIAL = re.compile(r"\\.|`+|[$|\\]", re.DOTALL)


def cells(row: str, count: int) -> list[str]:
    """Return the cells of a row of a table; bars in code and formulas do not end one.

    ``count`` is the number of columns: where only a row that is cut at every bar, as GitHub cuts it, has as many, it is cut so.
    """
    found = _cut(row, spans=True)
    if len(found) != count and len(plain := _cut(row, spans=False)) == count:
        return plain
    return found


def _cut(row: str, *, spans: bool) -> list[str]:
    last_runs = {len(run[0]): run.start() for run in re.finditer("`+", row)} if spans else {}
    found, cell, position = list[str](), list[str](), 0
    while special := _SPECIAL.search(row, position):
        cell.append(row[position : special.start()])
        position = special.end()
        if special[0] == "|":
            found.append("".join(cell))
            cell = []
        elif special[0] == r"\|":
            cell.append("|")
        elif special[0][0] == "`":
            if last_runs.get(len(special[0]), 0) > special.start():
                position = _run_end(row, special)
            cell.append(row[special.start() : position].replace(r"\|", "|"))
        else:
            formula = formulas.find(row, special.start()) if spans else None
            position = max(position, special.start() + len(formula.source)) if formula else position
            cell.append(row[special.start() : position])
    found.append("".join((*cell, row[position:])))
    first, last = not found[0], len(found) > 1 and not found[-1]
    return [one.strip(" \t") for one in found[first : len(found) - last]]


def _run_end(row: str, opening: re.Match[str]) -> int:
    """Return the end of the code that backticks begin, which end in as many."""
    runs = re.compile("`+").finditer(row, opening.end())
    return next(run.end() for run in runs if len(run[0]) == len(opening[0]))


def table_rule(state: StateBlock, start: int, end: int, silent: bool) -> bool:  # noqa: FBT001 - the signature of a markdown-it rule
    """Make the tokens of a table."""
    if start + 2 > end or state.sCount[start + 1] < state.blkIndent or any(map(state.is_code_block, (start, start + 1))):
        return False
    first, second = _line(state, start), _line(state, start + 1)
    if "|" not in first or second.startswith(("- ", "-\t")) or not _DELIMITER_ROW.fullmatch(second):
        return False
    delimiters = [cell.strip(" \t") for cell in second.strip("|").split("|")]
    head = cells(first, len(delimiters))
    if len(head) != len(delimiters):
        return False
    if silent:
        return True

    aligns = [_ALIGNMENTS[f"{one[0]}{one[-1]}"] for one in delimiters]
    table = state.push("table_open", "table", 1)
    state.push("thead_open", "thead", 1)
    _push_row(state, start, "th", head, aligns)
    state.push("thead_close", "thead", -1)
    state.line = start + 2
    _push_rows(state, end, aligns)
    state.push("table_close", "table", -1)
    table.map = [start, state.line]
    return True


def _line(state: StateBlock, line: int) -> str:
    return state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]].strip(" \t")


def _push_rows(state: StateBlock, end: int, aligns: Sequence[str]) -> None:
    first, empty = state.line, 0
    parent, state.parentType = state.parentType, "table"
    ends, silent = state.md.block.ruler.getRules("blockquote"), True
    for line in range(first, end):
        is_outside = state.isEmpty(line) or state.sCount[line] < state.blkIndent or state.is_code_block(line)
        if is_outside or any(rule(state, line, end, silent) for rule in ends):
            break
        row = cells(_line(state, line), len(aligns))
        empty += max(0, len(aligns) - len(row))
        if empty > _MOST_EMPTY_CELLS:
            break
        if line == first:
            state.push("tbody_open", "tbody", 1)
        _push_row(state, line, "td", row, aligns)
        state.line = line + 1
    if state.line > first:
        state.push("tbody_close", "tbody", -1)
    state.parentType = parent


def _push_row(state: StateBlock, line: int, tag: str, row: Sequence[str], aligns: Sequence[str]) -> None:
    state.push("tr_open", "tr", 1)
    for place, align in enumerate(aligns):
        opening = state.push(f"{tag}_open", tag, 1)
        if align:
            opening.attrs = {"style": f"text-align:{align}"}
        inline = state.push("inline", "", 0)
        inline.content, inline.map = row[place] if place < len(row) else "", [line, line + 1]
        inline.children = []
        state.push(f"{tag}_close", tag, -1)
    state.push("tr_close", "tr", -1)


_TASK = re.compile(r"\[([ xX])\][ \t]+(?=\S)")
_BOXES = {" ": "☐", "x": "☑"}


def task_rule(state: StateCore) -> None:
    """Turn ``[ ]`` and ``[x]`` at the beginning of an item of a list into a box."""
    for item, paragraph, inline in zip(state.tokens, state.tokens[1:], state.tokens[2:], strict=False):
        if item.type == "list_item_open" and paragraph.type == "paragraph_open" and (task := _TASK.match(inline.content)):
            inline.content = f"{_BOXES[task[1].lower()]} {inline.content[task.end() :]}"
            item.info = "task"


_RULE = re.compile(r"<hr\s*/?>", re.IGNORECASE)


def hidden_rule(state: StateBlock, start: int, end: int, silent: bool) -> bool:  # noqa: FBT001 - as above
    """Make nothing of a comment that fills its lines, and a rule of ``<hr>``; what a blank line cuts in two is no comment."""
    first = _line(state, start)
    if state.is_code_block(start) or not first.startswith("<"):
        return False
    name, stop = "hr", start + 1
    if not _RULE.fullmatch(first):
        name, stop = "comment", _comment_end(state, start, end) if first.startswith("<!--") else 0
    if stop and not silent:
        state.push(name, name, 0).map = [start, stop]
        state.line = stop
    return bool(stop)


def _comment_end(state: StateBlock, start: int, end: int) -> int:
    """Return the line after a comment, or 0 where it has no end or does not fill its last line."""
    if formulas.last_place(state.src, "-->") < state.bMarks[start]:
        return 0
    for line in range(start, min(end, start + formulas.MOST_LINES)):
        text = _line(state, line)
        if not text or (line > start and state.sCount[line] < state.blkIndent):
            return 0
        if "-->" in text:
            return line + 1 if text.index("-->") == len(text) - len("-->") else 0
    return 0


_DETAILS = re.compile(r"<details>[ \t]*(?:<summary>(.*)</summary>)?", re.IGNORECASE)
_SUMMARY = re.compile(r"<summary>(.*)</summary>", re.IGNORECASE)
_DETAILS_END = re.compile(r"</details>", re.IGNORECASE)


def details_rule(state: StateBlock, start: int, end: int, silent: bool) -> bool:  # noqa: FBT001 - as above
    """Make a folded part of the lines from ``<details>`` to ``</details>``, or to the end where it is not closed yet."""
    opening = None if state.is_code_block(start) else _DETAILS.fullmatch(_line(state, start))
    if opening is None:
        return False
    if silent:
        return True
    stop = _closing_line(state, start + 1, end)
    token = state.push("details_open", "details", 1)
    token.map = [start, min(end, stop + 1)]
    if stop == end:
        token.attrSet("open", "")
    first, title = start + 1, opening[1]
    if title is None and first < stop and (summary := _SUMMARY.fullmatch(_line(state, first))):
        first, title = first + 1, summary[1]
    if title is not None:
        state.push("summary_open", "summary", 1)
        inline = state.push("inline", "", 0)
        inline.content, inline.map, inline.children = title.strip(" \t"), [start, first], []
        state.push("summary_close", "summary", -1)
    last, state.lineMax, parent, state.parentType = state.lineMax, stop, state.parentType, "details"
    state.md.block.tokenize(state, first, stop)
    state.lineMax, state.parentType = last, parent
    state.push("details_close", "details", -1)
    state.line = min(end, stop + 1)
    return True


def _closing_line(state: StateBlock, start: int, end: int) -> int:
    """Return the line that closes a folded part, with those in it; ``end`` where there is none."""
    depth = 1
    for line in range(start, end):
        if state.sCount[line] < state.blkIndent and not state.isEmpty(line):
            break
        text = _line(state, line)
        depth += bool(_DETAILS.fullmatch(text)) - bool(_DETAILS_END.fullmatch(text))
        if not depth:
            return line
    return end
