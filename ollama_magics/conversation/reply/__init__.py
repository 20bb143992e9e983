"""A reply: the stream that remembers what it said, what surrounds it, and how it looks."""
