"""Graphs that need no file and no network: digits, the karate club, and a stochastic block model."""

from __future__ import annotations

import networkx as nx
import numpy as np
import torch

from graphforget.errors import InputError
from graphforget.graph import Graph
from graphforget.train import seeded


def digits(neighbours: int = 8) -> Graph:
    """Return scikit-learn's 1,797 digits as a symmetrised nearest-neighbour graph on their pixels.

    Distances are whole numbers and ties go to the smaller id, so the graph is the same on every machine.

    Args:
        neighbours: edges that each image starts.

    Returns:
        Graph: x [1797, 64] pixels in [0, 1], y the digit.

    Raises:
        InputError: ``neighbours`` is not in [1, 1796].

    Example:
        >>> digits().num_nodes
        1797
    """
    with seeded(0):  # importing it draws from Python's global random state
        from sklearn.datasets import load_digits
    bunch = load_digits()
    pixels = bunch.data  # [1797, 64] whole numbers 0 to 16: sums of products are exact in float64
    count = len(pixels)
    if not 1 <= neighbours < count:
        raise InputError(f"neighbours must lie in [1, {count - 1}] (got {neighbours})")
    square = (pixels**2).sum(1)
    distance = square[:, None] + square[None] - 2 * (pixels @ pixels.T)
    key = distance * count + np.arange(count)  # the smaller id wins a tie
    np.fill_diagonal(key, np.inf)
    near = np.argpartition(key, neighbours, axis=1)[:, :neighbours]
    pairs = np.stack([np.repeat(np.arange(count), neighbours), near.ravel()])
    x = torch.from_numpy(pixels / 16).float()
    y = torch.from_numpy(bunch.target).long()
    return Graph.from_edges(torch.from_numpy(pairs), count, features={"x": x}, y=y)


def karate() -> Graph:
    """Return Zachary's karate club: 34 members, 78 friendships, y the side each took.

    Example:
        >>> graph = karate()
        >>> graph.num_nodes, graph.pairs().shape[1], int(graph.y.sum())
        (34, 78, 17)
    """
    club = nx.karate_club_graph()
    y = torch.tensor([int(side != "Mr. Hi") for _, side in sorted(club.nodes(data="club"))])
    return Graph.from_edges(torch.tensor(list(club.edges())).T, club.number_of_nodes(), y=y)


def sbm(
    sizes: tuple[int, ...] = (300, 300, 300),
    p_in: float = 0.03,
    p_out: float = 0.002,
    *,
    num_features: int = 16,
    signal: float = 1.0,
    seed: int = 0,
) -> Graph:
    """Draw a stochastic block model with planted features.

    Args:
        sizes: nodes of each block; y is the block.
        p_in: chance of an edge inside a block.
        p_out: chance of an edge between blocks.
        num_features: F; every block has a centre of length ``signal``, each node unit noise around it.
        signal: 0 hides the blocks from the features.
        seed: of the whole draw.

    Returns:
        Graph: undirected, x [N, F], y [N].

    Raises:
        InputError: an empty block, a chance outside [0, 1], or no feature.

    Example:
        >>> graph = sbm((5, 5), 1.0, 0.0, num_features=2)
        >>> graph.pairs().shape[1], graph.x.shape[1]
        (20, 2)
    """
    if not sizes or min(sizes) < 1:
        raise InputError(f"every block must have a node (got sizes={sizes})")
    if not (0 <= p_in <= 1 and 0 <= p_out <= 1):
        raise InputError(f"p_in and p_out must lie in [0, 1] (got {p_in} and {p_out})")
    if num_features < 1:
        raise InputError(f"num_features must be at least 1 (got {num_features})")
    rng = np.random.default_rng(seed)
    start = np.concatenate([[0], np.cumsum(sizes)])
    blocks = []
    for a in range(len(sizes)):
        for b in range(a, len(sizes)):
            rows, cols = np.nonzero(rng.random((sizes[a], sizes[b])) < (p_in if a == b else p_out))
            rows, cols = rows + start[a], cols + start[b]
            blocks.append(np.stack([rows, cols])[:, rows < cols])
    y = np.repeat(np.arange(len(sizes)), sizes)
    centres = rng.standard_normal((len(sizes), num_features))
    centres *= signal / np.linalg.norm(centres, axis=1, keepdims=True)
    x = centres[y] + rng.standard_normal((len(y), num_features))
    pairs = torch.from_numpy(np.concatenate(blocks, axis=1))
    return Graph.from_edges(pairs, len(y), features={"x": torch.from_numpy(x).float()}, y=torch.from_numpy(y))
