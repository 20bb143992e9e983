"""Requests and replies of Ollama's HTTP interface as values, without any HTTP."""

from ollama_magics.wire.answers import OLDEST_SERVER as OLDEST_SERVER
from ollama_magics.wire.answers import Chunk as Chunk
from ollama_magics.wire.answers import Embeddings as Embeddings
from ollama_magics.wire.answers import InstalledModel as InstalledModel
from ollama_magics.wire.answers import LoadedModel as LoadedModel
from ollama_magics.wire.answers import ModelCard as ModelCard
from ollama_magics.wire.answers import card as card
from ollama_magics.wire.answers import chunk as chunk
from ollama_magics.wire.answers import embeddings as embeddings
from ollama_magics.wire.answers import full_name as full_name
from ollama_magics.wire.answers import installed as installed
from ollama_magics.wire.answers import loaded as loaded
from ollama_magics.wire.answers import version as version
from ollama_magics.wire.answers import version_number as version_number
from ollama_magics.wire.lines import Body as Body
from ollama_magics.wire.lines import Lines as Lines
from ollama_magics.wire.lines import unreadable as unreadable
from ollama_magics.wire.requests import ChatRequest as ChatRequest
from ollama_magics.wire.requests import EmbedRequest as EmbedRequest
from ollama_magics.wire.requests import GenerateRequest as GenerateRequest
from ollama_magics.wire.requests import Message as Message
from ollama_magics.wire.requests import embed_request as embed_request
from ollama_magics.wire.requests import encode as encode
from ollama_magics.wire.requests import is_held_back as is_held_back
