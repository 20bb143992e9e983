"""``{{name}}`` in a prompt: replaced once by a value of the notebook, never evaluated."""

from ollama_magics.fill.template import fill as fill
from ollama_magics.fill.values import as_text as as_text
