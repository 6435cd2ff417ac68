"""Diffusion models: the task, samplers, erasure methods, and the question whether a concept is gone or concealed."""
