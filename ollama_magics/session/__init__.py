"""What lives as long as the notebook: settings, client and conversations, from which each request is built."""

from ollama_magics.session.notebook import Session as Session
from ollama_magics.session.notebook import current as current
