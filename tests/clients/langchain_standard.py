"""langchain's standard tests of a chat model and of embeddings, for langchain-ollama on the server at CLIENTS_URL."""

from __future__ import annotations

import os
from typing import Any

from langchain_ollama import ChatOllama, OllamaEmbeddings
from langchain_tests.integration_tests import ChatModelIntegrationTests, EmbeddingsIntegrationTests


class TestChat(ChatModelIntegrationTests):
    """A model that calls functions."""

    @property
    def chat_model_class(self) -> Any:
        """Return the class that is tested."""
        return ChatOllama

    @property
    def chat_model_params(self) -> dict[str, Any]:
        """Return how it is made."""
        return {"model": os.environ["CLIENTS_CHAT"], "base_url": os.environ["CLIENTS_URL"], "temperature": 0}

    @property
    def supports_json_mode(self) -> bool:
        """Return that formats are known."""
        return True


class TestEmbeddings(EmbeddingsIntegrationTests):
    """A model that embeds."""

    @property
    def embeddings_class(self) -> Any:
        """Return the class that is tested."""
        return OllamaEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        """Return how it is made."""
        return {"model": os.environ["CLIENTS_EMBED"], "base_url": os.environ["CLIENTS_URL"]}
