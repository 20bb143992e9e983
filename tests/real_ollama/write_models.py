"""Write the model files into a folder; start.py runs it in an environment that has gguf and numpy."""

import sys
from pathlib import Path

import encoder
import graded_model
import language_model
import minilm
from gguf_file import write


def main(folder: Path, minilm_folder: Path) -> None:
    """Write the words alone, the same words for the model that sees, its encoder, the letters, and the embedding model."""
    write(folder / "words.gguf", "llama", language_model.facts("words"), language_model.tensors())
    write(folder / "colours.gguf", "llama", language_model.facts("colours"), language_model.tensors())
    write(folder / "colours-encoder.gguf", "clip", encoder.facts(), encoder.tensors())
    write(folder / "graded.gguf", "llama", graded_model.facts(), graded_model.tensors())
    write(folder / "minilm.gguf", "bert", minilm.facts(minilm_folder), minilm.tensors(minilm_folder))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
