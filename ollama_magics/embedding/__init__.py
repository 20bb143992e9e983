"""Texts in any notebook form -> one checked (n, d) float32 array, in batches, of which none is lost."""

from ollama_magics.embedding.calls import call
from ollama_magics.embedding.forms import source_of, texts_of
from ollama_magics.embedding.places import Place
from ollama_magics.embedding.report import EmbedReport
from ollama_magics.embedding.results import embed
from ollama_magics.embedding.verdicts import Patience
from ollama_magics.embedding.wishes import Wish, read

__all__ = ["EmbedReport", "Patience", "Place", "Wish", "call", "embed", "read", "source_of", "texts_of"]
