"""A stand-in Ollama server for people and tests without one, and no client of anything."""

from ollama_magics.standin.server import StandIn
from ollama_magics.standin.version import VERSION

__all__ = ["VERSION", "StandIn"]
