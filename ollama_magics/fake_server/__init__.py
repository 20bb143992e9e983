"""A stand-in Ollama server for people and tests without one, and no client of anything."""
