"""A type in, a JSON schema out; text in, values and DataFrames out."""
