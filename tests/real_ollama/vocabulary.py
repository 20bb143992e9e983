"""The 512 tokens that the tiny models know, in their order."""

from collections.abc import Iterable, Iterator

from gguf import TokenType

SIZE = 512
SENTENCE = ("Hello", "there", ".", "I", "am", "a", "tiny", "model", "..")
COLOURS = ("red", "green", "blue", "white", "black")
OTHER_WORDS = ("Hmm", "and", "on")

UNKNOWN, START, OLD_END, END = "<unk>", "<s>", "</s>", "<|end|>"
ROLES = ("<|system|>", "<|user|>", "<|assistant|>", "<|tool|>")
MODES = ("<|forever|>", "<|think|>", "<|call|>")  # a template ends in one of them, in the place of the assistant's
THINK, THOUGHT = "<think>", "</think>"
CALL = '{"name": "add", "parameters": {"a": 2, "b": 3}}'
JSON_PIECES = '{}[]":,0123456789-eE+truefalsn'  # so that a grammar (`format`) finds letters to choose from
SPACE = "\u2581"  # how a SentencePiece vocabulary writes a space

Token = tuple[str, TokenType]


def word(text: str) -> str:
    """Return the token of a word with the space before it."""
    return SPACE + text


def seen(colour: str) -> str:
    """Return the token that nobody types, whose place carries how much of a colour is in the picture."""
    return f"<seen {colour}>"


def _named_tokens() -> Iterator[Token]:
    yield UNKNOWN, TokenType.UNKNOWN
    yield from ((text, TokenType.CONTROL) for text in (START, OLD_END))
    yield from ((f"<0x{byte:02X}>", TokenType.BYTE) for byte in range(256))  # the whole of Unicode can be read
    yield from ((text, TokenType.CONTROL) for text in (*ROLES, END, *MODES))
    yield from ((word(text), TokenType.NORMAL) for text in (*SENTENCE, *COLOURS, *OTHER_WORDS))
    yield from ((text, TokenType.USER_DEFINED) for text in (THINK, THOUGHT, CALL))  # each one token, however long
    yield from ((piece, TokenType.NORMAL) for piece in dict.fromkeys(JSON_PIECES))
    yield SPACE, TokenType.NORMAL
    yield from ((seen(colour), TokenType.UNUSED) for colour in COLOURS)


def filled(more: Iterable[Token] = ()) -> list[Token]:
    """Return all tokens: the named ones, those of one model, and as many without a use as are missing."""
    named = [*_named_tokens(), *more]
    return named + [(f"<unused {place}>", TokenType.UNUSED) for place in range(len(named), SIZE)]


def places(tokens: list[Token]) -> dict[str, int]:
    """Return the place of each token by its text."""
    return {text: place for place, (text, _) in enumerate(tokens)}


TOKENS = filled()
PLACE = places(TOKENS)


def facts(tokens: list[Token] = TOKENS) -> dict[str, str | int | bool | list[str] | list[float] | list[int]]:
    """Return what a model file says about its tokens; an earlier NORMAL token is preferred to a later one."""
    scores = [-float(place) if kind is TokenType.NORMAL else 0.0 for place, (_, kind) in enumerate(tokens)]
    return {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.tokens": [text for text, _ in tokens],
        "tokenizer.ggml.scores": scores,
        "tokenizer.ggml.token_type": [int(kind) for _, kind in tokens],
        "tokenizer.ggml.bos_token_id": PLACE[START],
        "tokenizer.ggml.eos_token_id": PLACE[END],
        "tokenizer.ggml.unknown_token_id": PLACE[UNKNOWN],
        "tokenizer.ggml.add_bos_token": True,
    }
