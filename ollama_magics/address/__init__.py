"""What the user typed, turned into where we connect and why, without ever connecting."""

from ollama_magics.address.pasted import DEFAULT_URL as DEFAULT_URL
from ollama_magics.address.reading import Address as Address
from ollama_magics.address.reading import parse as parse
from ollama_magics.address.steps import Why as Why
from ollama_magics.secret import Secret as Secret
