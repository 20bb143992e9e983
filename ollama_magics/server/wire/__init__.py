"""Requests and replies of Ollama's HTTP interface as values, without any HTTP."""
