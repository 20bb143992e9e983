"""Functions of the notebook that a model may call: what it is told of them, and how a call is checked and run."""
