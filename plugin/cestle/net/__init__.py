"""The edge to the network: the only package that opens associations."""
