"""Options of a job are read and frozen, or refused with an error that says what is possible."""

from __future__ import annotations

from typing import Any

import pytest

from ollama_magics.embeddings.batcher import task_prefix
from ollama_magics.embeddings.options import EmbedOptions, read_options
from ollama_magics.errors import SettingError


def test_nothing_typed_is_the_usual() -> None:
    """As many texts a batch as are measured, two batches in flight, no cutting, with the store."""
    assert read_options() == EmbedOptions(batch=None, parallel=None, on_error="raise", truncate=False, store=True)


def test_what_is_typed_is_read() -> None:
    """Texts from a magic line and values of Python alike."""
    typed = read_options(
        "m", batch="64", parallel="4", options=["num_thread=2", "use_mmap=false"], context="2k", base_url="a, b,a"
    )
    assert typed == read_options(
        "m", batch=64, parallel=4, options={"num_thread": 2, "use_mmap": False}, context=2048, base_url=["a", "b"]
    )
    assert typed.options == {"num_thread": 2, "use_mmap": False, "num_ctx": 2048}
    assert typed.servers == ("a", "b")


@pytest.mark.parametrize(("typed", "read_as"), [("5m", "5m"), ("0", 0), (-1, -1), ("1.5h", "1.5h"), ("300", 300)])
def test_times_are_sent_as_the_server_reads_them(typed: object, read_as: object) -> None:
    """Whole numbers are seconds."""
    assert read_options(keep_alive=typed).keep_alive == read_as


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"batch": 0}, "at least 1"),
    ({"batch": "0"}, "at least 1"),
    ({"batch": "many"}, "A whole number is needed"),  # of texts, not of tokens
    ({"dimensions": 2.5}, "A whole number is needed"),
    ({"parallel": True}, "A whole number is needed"),
    ({"parallel": 17}, "at most 16"),
    ({"dimensions": -1}, "at least 1"),
    ({"on_error": "ignore"}, "raise, nan, skip"),
    ({"query": True, "document": True}, "not both"),
    ({"keep_alive": "long"}, "30m"),
    ({"options": ["num_thred=2"]}, "Did you mean num_thread?"),
    ({"options": ["colour=red"]}, "num_ctx"),
    ({"options": ["num_thread=red"]}, "whole number"),
    ({"options": ["use_mmap=2"]}, "true or false"),
    ({"options": ["num_ctx=-5"]}, "at least 1"),
    ({"options": ["num_ctx=0"]}, "at least 1"),
    ({"options": ["num_batch=0"]}, "at least 1"),
]


@pytest.mark.parametrize(("typed", "words"), REFUSED, ids=[words for _, words in REFUSED])
def test_a_bad_value_is_refused(typed: dict[str, Any], words: str) -> None:
    """With what is possible."""
    with pytest.raises(SettingError) as caught:
        read_options(**typed)
    assert words in str(caught.value)


FAMILIES = [
    ("nomic-embed-text:v1.5", "search_query: ", "search_document: "),
    ("hf.co/nomic-ai/nomic-embed-text-v1.5-GGUF", "search_query: ", "search_document: "),
    ("mxbai-embed-large", "Represent this sentence for searching relevant passages: ", ""),
    ("snowflake-arctic-embed:110m", "Represent this sentence for searching relevant passages: ", ""),
    ("snowflake-arctic-embed2", "query: ", ""),
    ("hf.co/Snowflake/snowflake-arctic-embed-m-v2.0", "query: ", ""),
    ("hf.co/Snowflake/snowflake-arctic-embed-m-v1.5", "Represent this sentence for searching relevant passages: ", ""),
    ("bge-m3", "", ""),
    ("bge-large", "Represent this sentence for searching relevant passages: ", ""),
    ("quentinz/bge-large-zh-v1.5", "为这个句子生成表示以用于检索相关文章：", ""),
    ("jeffh/intfloat-multilingual-e5-large", "query: ", "passage: "),
]


@pytest.mark.parametrize(("model", "query", "document"), FAMILIES)
def test_families_have_their_own_words(model: str, query: str, document: str) -> None:
    """As their authors say."""
    assert (task_prefix(model, "query"), task_prefix(model, "document"), task_prefix(model, "")) == (query, document, "")


@pytest.mark.parametrize("model", ["all-minilm", "multilingual-e5-large-instruct", "llama3.2"])
def test_words_of_an_unknown_family_are_an_error(model: str) -> None:
    """Rather than none without a word."""
    assert task_prefix(model, "") == ""
    with pytest.raises(SettingError) as caught:
        task_prefix(model, "query")
    assert f"No prefix for --query is known for {model}." in str(caught.value)
