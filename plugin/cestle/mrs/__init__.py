"""MEGA-PRESS: from averages or transients to GABA+/Cr and Glx/Cr with their errors."""
