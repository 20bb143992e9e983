"""Exchanges with a server to a readable file and back: a transport beneath the client, which it knows nothing of."""
