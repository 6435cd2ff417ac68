"""Numba kernels on plain arrays: no torch, nothing else of ours."""
