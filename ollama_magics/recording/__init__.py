"""Exchanges with a server to a readable file and back: a transport beneath the client, which it knows nothing of."""

from ollama_magics.recording.tapes import Tape as Tape
from ollama_magics.recording.tapes import tape as tape
