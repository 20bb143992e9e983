"""A language model that chooses among letters with known probabilities, by the word that is in the text."""

import string

import language_model
import numpy as np
import vocabulary
from gguf import TokenType
from gguf_file import Fact, Matrix, ones
from vocabulary import SIZE, word

# By the word in the text: the probability of each next token. A letter may come with or without a space before it, and
# "strange" leaves much to a token that is no letter.
GRADES = {
    "wonderful": {word("A"): 0.5, "A": 0.2, "B": 0.2, "C": 0.1},
    "awful": {"A": 0.1, "B": 0.4, word("B"): 0.3, "C": 0.2},
    "unclear": {"A": 0.2, "B": 0.1, "C": 0.7},
    "strange": {"A": 0.3, "B": 0.2, "C": 0.1, word("Hello"): 0.4},
}
LETTERS = string.ascii_uppercase
SURE = 20.0  # the logit of a certain token; all others have 0, which is e^-20 of it
GAIN = 1_000_000.0  # what is carried from the text outweighs the last token of the prompt, however long the text is

TOKENS = vocabulary.filled(
    [
        *((text, TokenType.NORMAL) for letter in LETTERS for text in (letter, word(letter)) if text not in vocabulary.PLACE),
        *((text, TokenType.USER_DEFINED) for text in GRADES),
    ]
)
PLACE = vocabulary.places(TOKENS)


def facts() -> dict[str, Fact]:
    """Return what the file says about the model."""
    return language_model.facts("graded", TOKENS)


def tensors() -> dict[str, Matrix]:
    """Return the weights: the state before the output is one word of the text, with the length that the norm gives it."""
    output = language_model.tensors()["output.weight"]
    for text, grades in GRADES.items():
        for token, probability in grades.items():
            output[PLACE[token], PLACE[text]] = (SURE + np.log(probability)) / np.sqrt(SIZE)
    return {
        "token_embd.weight": np.eye(SIZE, dtype=np.float32),
        "output_norm.weight": ones(SIZE),
        "output.weight": output,
        **language_model.attention([PLACE[text] for text in GRADES], GAIN),
        **language_model.idle_feed_forward(),
    }
