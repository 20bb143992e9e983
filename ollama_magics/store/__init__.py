"""What lets a job resume: vectors and wanted answers on disk by a hash of what was asked, and never a prompt."""

from ollama_magics.store.answers import AnswerStore
from ollama_magics.store.keys import key
from ollama_magics.store.vectors import VectorStore

__all__ = ["AnswerStore", "VectorStore", "key"]
