"""The real all-MiniLM-L6-v2 as one model file, since newer releases do not convert the files of its authors."""

import json
from pathlib import Path

import gguf
import numpy as np
from gguf_file import Fact, Weights

# What a model file says about a model of this family, by the name in config.json.
FIGURES = {
    "max_position_embeddings": "bert.context_length",
    "hidden_size": "bert.embedding_length",
    "num_hidden_layers": "bert.block_count",
    "intermediate_size": "bert.feed_forward_length",
    "num_attention_heads": "bert.attention.head_count",
    "layer_norm_eps": "bert.attention.layer_norm_epsilon",
    "type_vocab_size": "tokenizer.ggml.token_type_count",
}
MEAN_POOLING = 1
SPECIAL = {"unknown": "[UNK]", "seperator": "[SEP]", "padding": "[PAD]", "cls": "[CLS]", "mask": "[MASK]"}  # the key is misspelt
WORD_START, CONTINUED = "\u2581", "##"


def facts(folder: Path) -> dict[str, Fact]:
    """Return what the file says about the model, its vocabulary included."""
    config = json.loads((folder / "config.json").read_text())
    words = (folder / "vocab.txt").read_text(encoding="utf-8").splitlines()
    special = {f"tokenizer.ggml.{name}_token_id": words.index(word) for name, word in SPECIAL.items()}
    kinds = [gguf.TokenType.CONTROL if word in SPECIAL.values() else gguf.TokenType.NORMAL for word in words]
    return {
        "general.name": "all-MiniLM-L6-v2",
        **{fact: config[name] for name, fact in FIGURES.items()},
        "bert.attention.causal": False,
        "bert.pooling_type": MEAN_POOLING,
        "tokenizer.ggml.model": "bert",
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.tokens": [piece(word) for word in words],
        "tokenizer.ggml.token_type": [int(kind) for kind in kinds],
        **special,
    }


def piece(word: str) -> str:
    """Return a word of the vocabulary as llama.cpp writes it: the beginning of a word is marked, not the rest of one."""
    if word.startswith("[") and word.endswith("]"):
        return word
    return word.removeprefix(CONTINUED) if word.startswith(CONTINUED) else WORD_START + word


def tensors(folder: Path) -> dict[str, Weights]:
    """Return the weights under the names of llama.cpp, without the pooler, which Ollama does not use.

    Matrices that are multiplied have 16 bits; what is only added, as positions are, must have 32.
    """
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.BERT, json.loads((folder / "config.json").read_text())["num_hidden_layers"])
    found = {names.get_name(name, (".weight", ".bias")) or "": values for name, values in read_safetensors(folder).items()}
    found.pop("", None)
    halved = {name for name, values in found.items() if values.ndim > 1 and name.startswith(("blk.", "token_embd."))}
    return {name: values.astype(np.float16) if name in halved else values for name, values in found.items()}


def read_safetensors(folder: Path) -> dict[str, Weights]:
    """Return the 32-bit tensors of the file, which is a length, that many bytes of JSON with offsets, and the numbers."""
    data = (folder / "model.safetensors").read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    entries = {name: entry for name, entry in json.loads(data[8:start]).items() if entry.get("dtype") == "F32"}
    return {
        name: np.frombuffer(data[slice(*(start + at for at in entry["data_offsets"]))], "<f4").reshape(entry["shape"])
        for name, entry in entries.items()
    }
