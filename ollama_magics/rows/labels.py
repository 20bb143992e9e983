"""Choose one of several labels for a row by one token of a model, with the probability of each label."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from numbers import Number
from typing import Any

import msgspec

from ollama_magics.errors import FormatProblem, ModelProblem, PromptProblem, RequestRefused
from ollama_magics.messages import Phrase
from ollama_magics.rows.formats import Request, RowAnswer
from ollama_magics.rows.table import free_names
from ollama_magics.server.wire import Chunk, GenerateRequest, Message

ALTERNATIVES = 20  # tokens for which a server gives probabilities at the most
# Letters without I and O, which begin many sentences or resemble a digit; then digits.
CANDIDATES = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
MOST_LABELS = ALTERNATIVES**2  # in two rounds
_LONGEST_LABEL = 200  # characters
_COMMA = re.compile("[,，、]")
_TOLERANCE = 0.01  # above 1, for the rounding of a server
LogProb = Mapping[str, Any]  # of one token, as a server gives it


@dataclass(frozen=True)
class Menu:
    """Labels of one request, each behind a letter that is one token; ``descriptions`` explain labels to the model."""

    labels: tuple[Any, ...]
    letters: str
    descriptions: Mapping[Any, str]

    @property
    def text(self) -> str:
        """The instruction for the model, the same for every row."""
        lines = [f"{letter}: {self._line(label)}" for letter, label in zip(self.letters, self.labels, strict=True)]
        return "\n".join(["Choose the label that fits best.", "", *lines, "", "Answer with its letter and nothing else."])

    def letter(self, label: Any) -> str:
        """Return the letter of a label."""
        return self.letters[self.labels.index(label)]

    def shares(self, first: LogProb) -> tuple[list[float], float]:
        """Return the probabilities of the labels, which sum to 1, and the mass on tokens that are no letter.

        ``first`` is the first token of the answer with its alternatives; a letter counts with and without a space before it.
        Raises FormatProblem (label-unknown, labels-need-logprobs).
        """
        likely = dict(_alternatives(first))
        if not likely or sum(likely.values()) > 1 + _TOLERANCE:
            raise FormatProblem("labels-need-logprobs", seen=Phrase("logprobs_none"))
        masses = dict.fromkeys(self.letters, 0.0)
        for token, share in likely.items():
            if (letter := token.strip()) in masses:
                masses[letter] += share
        if not (total := sum(masses.values())):
            raise FormatProblem("label-unknown", count=ALTERNATIVES)
        return [mass / total for mass in masses.values()], max(0.0, 1.0 - total)

    def _line(self, label: Any) -> str:
        description = self.descriptions.get(label)
        return f"{text_of(label)} ({description})" if description else text_of(label)


@dataclass(frozen=True)
class Labelled:
    """The likeliest label, or None below the threshold; a probability for each label; and the mass on other tokens."""

    label: Any
    probabilities: tuple[float, ...]
    none: float


@dataclass(frozen=True)
class LabelSet:
    """All labels that a row may get, in groups of at most 20, one menu each; the winners of the groups make the last menu."""

    labels: tuple[Any, ...]
    menus: tuple[Menu, ...]
    abstain: float = 0.0

    def next_menu(self, firsts: Sequence[LogProb]) -> Menu | None:
        """Return the menu to ask after these first tokens, or None after the last one; raises FormatProblem as ``shares``."""
        if len(firsts) < len(self.menus):
            return self.menus[len(firsts)]
        return self._last_menu(firsts) if len(firsts) == len(self.menus) > 1 else None

    def result(self, firsts: Sequence[LogProb]) -> Labelled:
        """Return the label of a row from the first tokens of its answers. Raises FormatProblem as ``shares`` does."""
        if len(firsts) < len(self.menus) + (len(self.menus) > 1):
            raise FormatProblem("labels-need-logprobs", seen=Phrase("logprobs_none"))
        rounds = [menu.shares(first) for menu, first in zip(self.menus, firsts, strict=False)]
        shares, none = rounds[0]
        if len(rounds) > 1:
            final, none = self._last_menu(firsts).shares(firsts[len(rounds)])
            # a group gets the share of its winner, and its labels their parts of it
            shares = [group * share for group, (inside, _) in zip(final, rounds, strict=True) for share in inside]
        best = max(shares)
        label = self.labels[shares.index(best)] if best >= self.abstain else None
        return Labelled(label, tuple(shares), none)

    def _last_menu(self, firsts: Sequence[LogProb]) -> Menu:
        rounds = [(menu, menu.shares(first)[0]) for menu, first in zip(self.menus, firsts, strict=False)]
        winners = tuple(menu.labels[shares.index(max(shares))] for menu, shares in rounds)
        return Menu(winners, self.menus[0].letters[: len(winners)], self.menus[0].descriptions)


def label_set(given: Any, letters: str = CANDIDATES, abstain: object = None) -> LabelSet:
    """Return the labels of a list, a dict of label and description, an Enum or a comma-separated text.

    ``letters`` are those that the model's tokenizer takes as one token. Raises PromptProblem (labels-invalid).
    """
    labels, descriptions = _read(given)
    if reason := _objection(labels):
        raise PromptProblem("labels-invalid", reason=reason)
    most = min(ALTERNATIVES, len(letters))
    if len(labels) > most**2:
        raise PromptProblem("labels-invalid", reason=Phrase("labels_letters", count=len(letters)))
    menus = tuple(Menu(group, letters[: len(group)], descriptions) for group in _groups(labels, most))
    return LabelSet(labels, menus, read_threshold(abstain))


def require_examples(given: Sequence[Any], labels: LabelSet) -> None:
    """Raise PromptProblem (labels-invalid) for an example that is no pair of a text and one of the labels."""
    for example in given:
        is_pair = isinstance(example, (tuple, list)) and len(example) == 2 and isinstance(example[0], str)
        if not is_pair or example[1] not in labels.labels:
            raise PromptProblem("labels-invalid", reason=Phrase("labels_example", example=repr(example)[:60]))


def text_of(label: Any) -> str:
    """Return a label as one line of text: the value of an Enum's member, else what str() gives."""
    return " ".join(str(label.value if isinstance(label, Enum) else label).split())


def read_threshold(given: object) -> float:
    """Return the probability below which a label is left open; raises PromptProblem (labels-invalid)."""
    try:
        threshold = 0.0 if given is None else float(str(given))
    except ValueError:
        threshold = math.nan
    if not 0 <= threshold <= 1:
        raise PromptProblem("labels-invalid", reason=Phrase("abstain_range", value=repr(given)[:40]))
    return threshold


def _objection(labels: Sequence[Any]) -> Phrase | None:
    if len(labels) < 2:
        return Phrase("labels_few", count=len(labels))
    if len(labels) > MOST_LABELS:
        return Phrase("labels_many", count=len(labels), most=MOST_LABELS)
    if odd := next((repr(label)[:40] for label in labels if not _is_label(label)), ""):
        return Phrase("labels_odd", label=odd, most=_LONGEST_LABEL)
    texts = Counter(text_of(label) for label in labels)
    double = next((text for text, count in texts.items() if count > 1), None)
    if double is None and len(set(labels)) < len(labels):  # True and 1
        double = next(text_of(label) for label in labels if labels.count(label) > 1)
    return None if double is None else Phrase("labels_double", label=double)


def _is_label(label: Any) -> bool:
    text = text_of(label)
    is_one = isinstance(label, (str, Number, Enum)) and label == label  # noqa: PLR0124 - NaN differs from itself
    return is_one and 0 < len(text) <= _LONGEST_LABEL and not re.search("[\ud800-\udfff]", text)


def _read(given: Any) -> tuple[tuple[Any, ...], dict[Any, str]]:
    if isinstance(given, str):
        return tuple(part.strip() for part in _COMMA.split(given) if part.strip()), {}
    if isinstance(given, Mapping):
        return tuple(given), {label: " ".join(str(text).split()) for label, text in given.items() if text}
    if isinstance(given, (set, frozenset)):  # in the same order in every process, so that stored rows are found
        given = sorted(given, key=text_of)
    try:
        len(given)  # what can be read only once is none: labels are read before the first row, and again for the letters
        return tuple(label.item() if hasattr(label, "item") else label for label in given), {}
    except TypeError:
        raise PromptProblem("labels-invalid", reason=Phrase("labels_kind", kind=type(given).__name__)) from None


def _groups(labels: tuple[Any, ...], most: int) -> Iterator[tuple[Any, ...]]:
    """Yield groups of about the same size."""
    size = math.ceil(len(labels) / math.ceil(len(labels) / most))
    for start in range(0, len(labels), size):
        yield labels[start : start + size]


def _alternatives(first: LogProb) -> Iterator[tuple[str, float]]:
    """Yield the tokens that could have been the first one, with their probabilities; entries without a token are left out."""
    for entry in [*(first.get("top_logprobs") or ()), first]:
        token, value = entry.get("token"), entry.get("logprob")
        if isinstance(token, str) and token and isinstance(value, (int, float)) and value <= _TOLERANCE:
            yield token, math.exp(value)


class LabelsFormat:
    """One token for each row: ``label``, the probability of each label as ``p_LABEL``, and ``p_none``.

    ``examples`` are prompts with their labels, sent as earlier turns with every menu that has the label.
    """

    def __init__(self, labels: LabelSet, examples: Sequence[tuple[str, Any]] = ()) -> None:
        self._labels, self._examples = labels, examples
        kinds = {type(label) for label in labels.labels}
        kind = kinds.pop() if len(kinds) == 1 else object
        self._names = [f"p_{text_of(label)}" for label in labels.labels]
        self._none = free_names(["p_none"], self._names)["p_none"]  # of a label "none" there is a probability as well
        self.columns: dict[str, type] = {"label": kind if kind in (str, int, float, bool) else object}
        self.columns |= dict.fromkeys([*self._names, self._none], float)

    def adapt(self, request: Request) -> Request:
        """Return the request for one token with probabilities; raises ModelProblem (labels-need-thinking-off).

        It has the first menu and no examples of other menus.
        """
        if request.think not in (False, msgspec.UNSET):
            raise ModelProblem("labels-need-thinking-off", model=request.model)
        return self._with(self._labels.menus[0], request)

    def next_request(self, request: Request, answer: RowAnswer) -> Request | None:
        """Return the next request of a row after the answers so far, or None; ``request`` is that of the row without a menu."""
        menu = self._labels.next_menu(answer.logprobs)
        return self._with(menu, request) if menu else None

    def decode(self, answer: RowAnswer) -> Mapping[str, Any]:
        """Return the label and the probabilities; raises FormatProblem (label-unknown, labels-need-logprobs)."""
        found = self._labels.result(answer.logprobs)
        return {"label": found.label, **dict(zip(self._names, found.probabilities, strict=True)), self._none: found.none}

    def _with(self, menu: Menu, request: Request) -> Request:
        fields: dict[str, Any] = {
            "options": request.options | {"num_predict": 1, "temperature": 0.0},
            "logprobs": True,
            "top_logprobs": ALTERNATIVES,
        }
        if isinstance(request, GenerateRequest):
            system = "\n\n".join(text for text in (request.system, menu.text) if text)
            return msgspec.structs.replace(request, system=system, **fields)
        given = [message.content for message in request.messages if message.role == "system"]
        row = [message for message in request.messages if message.role != "system"]
        first = Message("system", "\n\n".join([*given, menu.text]))
        return msgspec.structs.replace(request, messages=(first, *self._turns(menu), *row), **fields)

    def _turns(self, menu: Menu) -> Iterator[Message]:
        for text, label in self._examples:
            if label in menu.labels:
                yield Message("user", text)
                yield Message("assistant", menu.letter(label))


def single_token_letters(model: str, options: Mapping[str, Any], send: Callable[[Any], Iterator[Chunk]]) -> str:
    """Return the letters that are one token each, for which the model reads a few of them; loads the model.

    Raises ModelProblem (labels-need-logprobs) where its answer has no log probabilities.
    """

    def length(text: str) -> int:
        # raw: no template, so that the letters are all that is counted
        request = GenerateRequest(
            model=model,
            prompt=text,
            raw=True,
            logprobs=True,
            options={**options, "num_predict": 1},
        )
        chunks = list(send(request))
        if not any(chunk.logprobs for chunk in chunks):
            raise ModelProblem("labels-need-logprobs", seen=Phrase("logprobs_none"))
        return chunks[-1].prompt_eval_count

    first = CANDIDATES[0]
    try:
        one = length(first)
        step = length(f"{first}\n{first}") - one  # tokens of a line of one letter
        if step <= 2 and length("\n".join(CANDIDATES)) == one + step * (len(CANDIDATES) - 1):
            return CANDIDATES
        return "".join(letter for letter in CANDIDATES if length(f"{first}\n{letter}") == one + min(step, 2))
    except RequestRefused:  # a server without raw prompts, such as a cloud model: the rows will show
        return CANDIDATES
