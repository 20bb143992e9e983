"""The connectivity check: find in stages why the server or the model does not answer."""
