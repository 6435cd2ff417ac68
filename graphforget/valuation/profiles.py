"""Where edges, nodes and users lie, so that they can be valued in clusters: spectral profiles of a graph.

Left and right singular vectors of the adjacency scaled by the roots of the degrees: nodes of one community, and users
who take the same items, lie near each other. The profile of an edge is that of its two ends.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from torch import Tensor

from graphforget.errors import InputError
from graphforget.graph import Graph

FloatArray = npt.NDArray[np.float64]


def node_profiles(graph: Graph, *, dim: int = 8, seed: int = 0) -> tuple[FloatArray, FloatArray]:
    """([U, d] of the sources, [I, d] of the targets); the two are the same of a graph that is not bipartite.

    Args:
        graph: with at least one edge.
        dim: of the profiles, less where the graph is smaller.
        seed: of the factorisation.

    Raises:
        InputError: a graph without edges.

    Example:
        >>> import torch
        >>> graph = Graph(torch.tensor([[0, 1, 2], [0, 0, 1]]), (3, 2), bipartite=True)
        >>> users, items = node_profiles(graph, dim=2)
        >>> users.shape, items.shape, bool(np.allclose(users[0], users[1]))
        ((3, 2), (2, 2), True)
    """
    from scipy.sparse import coo_array, diags_array
    from sklearn.decomposition import TruncatedSVD

    if not graph.num_edges:
        raise InputError("a profile needs edges (got a graph without any)")
    rows, cols = graph.edge_index.cpu().numpy()
    both = not graph.bipartite and not graph.undirected
    pairs = (np.append(rows, cols), np.append(cols, rows)) if both else (rows, cols)
    matrix = coo_array((np.ones(len(pairs[0])), pairs), shape=graph.size).tocsr()
    left, right = (np.maximum(np.asarray(matrix.sum(axis)).ravel(), 1.0) ** -0.5 for axis in (1, 0))
    scaled = diags_array(left) @ matrix @ diags_array(right)
    count = min(dim, *graph.size)
    if min(graph.size) <= 2 * dim:  # small: exact
        u, s, v = np.linalg.svd(scaled.toarray(), full_matrices=False)
        return u[:, :count] * s[:count], v[:count].T * s[:count]
    model = TruncatedSVD(count, random_state=seed)
    users = np.asarray(model.fit_transform(scaled), dtype=np.float64)
    if not graph.bipartite:
        return users, users
    return users, np.asarray(model.components_.T * model.singular_values_, dtype=np.float64)


def edge_profiles(graph: Graph, pairs: Tensor, *, dim: int = 8, seed: int = 0) -> FloatArray:
    """[n, F] of edges [2, n]: of an undirected edge the mean of its ends, of an interaction user beside item."""
    users, items = node_profiles(graph, dim=dim, seed=seed)
    source, target = pairs.cpu().numpy()
    if graph.bipartite:
        return np.concatenate([users[source], items[target]], axis=1)
    return np.asarray((users[source] + users[target]) / 2)
