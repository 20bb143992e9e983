"""A magic line -> its options and the rest of the line, and nothing of what they mean."""
