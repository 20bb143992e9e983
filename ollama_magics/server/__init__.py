"""One Ollama server: its address, its protocol, the connection and its errors."""
