"""Benchmarks: ``python -m benchmarks.NAME``, one short file a data set, the same flags and JSON lines for all."""
