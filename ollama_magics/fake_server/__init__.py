"""A stand-in Ollama server for trying out and testing; it shares no code with the client."""
