"""A prompt and its reply: template, pictures, schema, functions, conversation."""
