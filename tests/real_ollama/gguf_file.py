"""A model file from a table of facts and a table of weights; it knows nothing of what they mean."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]
Weights = NDArray[np.floating[Any]]
Fact = bool | int | float | str | Sequence[Any]

# GGUF numbers have a width: the loaders expect 32 bits. A bool is an int to Python, so the exact type decides.
ADD: dict[type, Callable[[gguf.GGUFWriter, str, Any], None]] = {
    bool: gguf.GGUFWriter.add_bool,
    int: gguf.GGUFWriter.add_uint32,
    float: gguf.GGUFWriter.add_float32,
    str: gguf.GGUFWriter.add_string,
    list: gguf.GGUFWriter.add_array,
}


def write(path: Path, architecture: str, facts: Mapping[str, Fact], tensors: Mapping[str, Weights]) -> None:
    """Write a GGUF file; the weights stay in 32 or 16 bits as they are."""
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    for key, fact in facts.items():
        ADD[type(fact)](writer, key, fact)
    for name, weights in tensors.items():
        writer.add_tensor(name, weights)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def zeros(*shape: int) -> Matrix:
    """Return weights that do nothing."""
    return np.zeros(shape, np.float32)


def ones(*shape: int) -> Matrix:
    """Return weights that leave a number as it is."""
    return np.ones(shape, np.float32)
