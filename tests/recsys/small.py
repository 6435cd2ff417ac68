"""Small recommender data with known answers."""

from __future__ import annotations

import torch

from graphforget.graph import Graph


def checkerboard(users: int, items: int) -> Graph:
    """Even users like even items and odd users odd ones, every such pair an interaction."""
    pairs = [(u, i) for u in range(users) for i in range(items) if u % 2 == i % 2]
    return Graph(torch.tensor(pairs).T.contiguous(), (users, items), bipartite=True)
