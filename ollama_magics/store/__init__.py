"""Vectors and answers on disk, found by a hash of the request; prompts and texts are never stored."""
