"""Clients, federated rounds, and unlearning from them: one paper a file; everything wraps any task."""
