"""The edge to the disk: received instances and the journal of what happened to them."""
