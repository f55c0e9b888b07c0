"""Synthetic 5T studies with known truth, independent of the reconstruction code."""
