"""A language model without learned weights: a table of which token follows which."""

from itertools import pairwise

import numpy as np
import vocabulary
from gguf_file import Fact, Matrix, ones, zeros
from vocabulary import CALL, COLOURS, END, PLACE, SENTENCE, SIZE, THINK, THOUGHT, TOKENS, Token, seen, word

HEADS = 8
UNUSED_WIDTH = 64  # of the feed-forward part, which a model must have
CONTEXT_LENGTH = 8192

# How strongly one token pulls the next. What is seen pulls more than the sentence, so that a picture is talked about
# and not greeted; the end pulls more than anything seen, so that one colour is named once.
GENTLY, BY_SIGHT, FIRMLY, AT_LAST = 2.0, 3.0, 6.0, 400.0
ATTENTION_GAIN = 3.0

CHAINS = [
    (GENTLY, ["<|assistant|>", *map(word, SENTENCE), END]),
    (FIRMLY, ["<|forever|>", word("and"), word("on"), word("and")]),
    (FIRMLY, ["<|think|>", THINK, word("Hmm"), THOUGHT, word(SENTENCE[0])]),
    (FIRMLY, ["<|call|>", CALL, END]),
    *((AT_LAST, [word(colour), END]) for colour in COLOURS),
]


def facts(name: str, tokens: list[Token] = TOKENS) -> dict[str, Fact]:
    """Return what the file says about the model, its vocabulary included."""
    return {
        "general.name": name,
        "llama.context_length": CONTEXT_LENGTH,
        "llama.embedding_length": SIZE,
        "llama.block_count": 1,
        "llama.feed_forward_length": UNUSED_WIDTH,
        "llama.attention.head_count": HEADS,
        "llama.attention.head_count_kv": HEADS,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.rope.dimension_count": SIZE // HEADS,
        "llama.rope.freq_base": 10000.0,
        "llama.vocab_size": SIZE,
        **vocabulary.facts(tokens),
    }


def tensors() -> dict[str, Matrix]:
    """Return the weights: a token is embedded as a one at its own place, so the output layer is the table itself."""
    return {
        "token_embd.weight": np.eye(SIZE, dtype=np.float32),
        "output_norm.weight": ones(SIZE),
        "output.weight": table_of_what_follows() + naming_of_what_is_seen(),
        **attention([PLACE[seen(colour)] for colour in COLOURS], ATTENTION_GAIN),
        **idle_feed_forward(),
    }


def table_of_what_follows() -> Matrix:
    """Return the weights from a token (column) to the next one (row)."""
    table = zeros(SIZE, SIZE)
    for strength, chain in CHAINS:
        for before, after in pairwise(chain):
            table[PLACE[after], PLACE[before]] = strength
    return table


def naming_of_what_is_seen() -> Matrix:
    """Return the weights from the place of a seen colour to its word."""
    table = zeros(SIZE, SIZE)
    for colour in COLOURS:
        table[PLACE[word(colour)], PLACE[seen(colour)]] = BY_SIGHT
    return table


def attention(carried_places: list[int], gain: float) -> dict[str, Matrix]:
    """Return a head that looks everywhere alike (no query, no key) and carries only the tokens of these places forward."""
    carried = zeros(SIZE, SIZE)
    carried[carried_places, carried_places] = 1.0
    return {
        "blk.0.attn_norm.weight": ones(SIZE),
        "blk.0.attn_q.weight": zeros(SIZE, SIZE),
        "blk.0.attn_k.weight": zeros(SIZE, SIZE),
        "blk.0.attn_v.weight": carried,
        "blk.0.attn_output.weight": gain * np.eye(SIZE, dtype=np.float32),
    }


def idle_feed_forward() -> dict[str, Matrix]:
    """Return the part that every block has and this one does not need."""
    return {
        "blk.0.ffn_norm.weight": ones(SIZE),
        "blk.0.ffn_gate.weight": zeros(UNUSED_WIDTH, SIZE),
        "blk.0.ffn_up.weight": zeros(UNUSED_WIDTH, SIZE),
        "blk.0.ffn_down.weight": zeros(SIZE, UNUSED_WIDTH),
    }
