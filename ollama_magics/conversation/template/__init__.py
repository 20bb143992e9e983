"""``{{name}}`` in a prompt: replaced once by a value of the notebook, never evaluated."""
