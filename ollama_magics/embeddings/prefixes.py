"""The words that families of embedding models expect before a query or a document, as data."""

from __future__ import annotations

import re

from ollama_magics.errors import SettingError

_SEARCHING = "Represent this sentence for searching relevant passages: "

# what the name of a model holds: (before a query, before a document), each as its authors' model card says; the first that fits
_FAMILIES: tuple[tuple[str, tuple[str, str]], ...] = (
    ("nomic-embed-text", ("search_query: ", "search_document: ")),  # huggingface.co/nomic-ai/nomic-embed-text-v1.5
    ("mxbai-embed-large", (_SEARCHING, "")),  # huggingface.co/mixedbread-ai/mxbai-embed-large-v1
    (r"snowflake-arctic-embed(2|.*-v2)", ("query: ", "")),  # huggingface.co/Snowflake/snowflake-arctic-embed-l-v2.0
    ("snowflake-arctic-embed", (_SEARCHING, "")),  # huggingface.co/Snowflake/snowflake-arctic-embed-l
    ("bge-m3", ("", "")),  # huggingface.co/BAAI/bge-m3: "no longer requires adding instructions"
    (r"bge-(small|base|large)-zh", ("为这个句子生成表示以用于检索相关文章：", "")),  # huggingface.co/BAAI/bge-large-zh-v1.5
    (r"bge-(small|base|large)", (_SEARCHING, "")),  # huggingface.co/BAAI/bge-large-en-v1.5
    (r"(^|[-/])e5-(?!.*instruct)", ("query: ", "passage: ")),  # huggingface.co/intfloat/multilingual-e5-large
)


def prefix(model: str, task: str) -> str:
    """Return what goes before each text for the task, ``query``, ``document`` or none.

    Raises SettingError for a model of which no such words are known.
    """
    if not task:
        return ""
    for pattern, (query, document) in _FAMILIES:
        if re.search(pattern, model.lower()):
            return query if task == "query" else document
    reason = "No words that it expects there are known."
    example = f"write them into the texts: x = %embed ['{task}: ' + text for text in texts]"
    raise SettingError("OM-S01", value=f"--{task}", setting=model, reason=reason, example=example)
