"""What lets a job resume: vectors on disk by a hash of what was asked, and never a text."""

from ollama_magics.store.keys import key
from ollama_magics.store.vectors import VectorStore

__all__ = ["VectorStore", "key"]
