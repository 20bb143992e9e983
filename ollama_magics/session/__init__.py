"""What lives as long as the notebook: settings, client and conversations, from which each request is built."""
