"""What the node answers over HTTP: its health and its figures."""
