"""Connections whose waits an interrupt or a cancel flag can end, as a transport of httpx."""

from ollama_magics.transport.sending import SYSTEM_WAY as SYSTEM_WAY
from ollama_magics.transport.sending import SlicedTransport as SlicedTransport
from ollama_magics.transport.sending import Tape as Tape
from ollama_magics.transport.sending import Way as Way
from ollama_magics.transport.sending import hurry as hurry
from ollama_magics.transport.sending import proxy_for as proxy_for
from ollama_magics.transport.sending import without_password as without_password
from ollama_magics.transport.sockets import Resolve as Resolve
from ollama_magics.transport.sockets import SlicedBackend as SlicedBackend
from ollama_magics.transport.waiting import SLICE as SLICE
