"""Indices of asymmetry and the lateralization call."""
