"""Synthetic tables: how near they are to real ones, whose rows they repeat, and generators to compare."""
