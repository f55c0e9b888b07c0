"""Regions of hippocampus and amygdala, and their share of each voxel."""
