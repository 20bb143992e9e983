"""The only room that knows HTTP: requests as values in, answers as values out, every failure one of our errors."""

from ollama_magics.client.server import Client as Client
from ollama_magics.client.server import Page as Page
from ollama_magics.client.timeouts import Timeouts as Timeouts
