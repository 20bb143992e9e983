"""Names of models as they are copied from a terminal or a page."""

import pytest

from ollama_magics.server.model_names import is_name, read_name

NAMES = {
    "llama3.2": "llama3.2",
    " gemma3:4b ": "gemma3:4b",
    "ollama run llama3.2": "llama3.2",
    "$ ollama pull llama3.2:1b": "llama3.2:1b",
    "docker exec -it ollama ollama run llama3.2": "llama3.2",
    "ollama run hf.co/bartowski/Llama-3.2-1B-Instruct-GGUF:Q8_0": "hf.co/bartowski/Llama-3.2-1B-Instruct-GGUF:Q8_0",
    "https://ollama.com/library/llama3.2": "llama3.2",
    "https://ollama.com/library/llama3.2:1b/blobs/74701a8c35f6": "llama3.2:1b",
    "ollama.com/library/gemma3/tags": "gemma3",
    "https://www.ollama.com/library/gemma3#readme": "gemma3",
    "https://ollama.com/mannix/llama3.1-8b-abliterated": "mannix/llama3.1-8b-abliterated",
    "https://huggingface.co/bartowski/Llama-GGUF": "hf.co/bartowski/Llama-GGUF",
    "https://huggingface.co/bartowski/Llama-GGUF/tree/main": "hf.co/bartowski/Llama-GGUF",
    "https://huggingface.co/b/L-GGUF/blob/main/L-3.2-Q4_K_M.gguf": "hf.co/b/L-GGUF:Q4_K_M",
    "https://huggingface.co/b/L-GGUF?show_file_info=L-IQ3_XS.gguf": "hf.co/b/L-GGUF:IQ3_XS",
    "huggingface.co/b/L-GGUF/resolve/main/L-UD-Q2_K_XL-00001-of-00002.gguf?download=true": "hf.co/b/L-GGUF:UD-Q2_K_XL",
    "registry.ollama.ai/library/parrot:latest": "registry.ollama.ai/library/parrot:latest",
    "localhost:5000/me/model": "localhost:5000/me/model",
}
NO_NAMES = [
    "",
    "a b",
    "<b>x</b>",
    "模型",
    "a/b/c/d",
    "-x",
    "x:",
    "https://ollama.com/search?q=x",
    "https://ollama.com",
    "https://huggingface.co/datasets/a/b",
    "https://example.org/library/llama3.2",
    "llama3.2; rm",
]


@pytest.mark.parametrize("typed", NAMES)
def test_a_name_is_read_from_what_was_copied(typed: str) -> None:
    """Commands, links and names."""
    assert read_name(typed) == NAMES[typed]
    assert is_name(NAMES[typed])


@pytest.mark.parametrize("typed", NO_NAMES)
def test_what_is_no_name_stays_and_is_refused(typed: str) -> None:
    """It is not sent."""
    assert not is_name(read_name(typed))
