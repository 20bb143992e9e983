"""Texts in any notebook form -> one checked (n, d) float32 array, in batches, of which none is lost."""
