"""Density-matrix simulation of coupled spins in liquid, for one voxel and shaped pulses."""
