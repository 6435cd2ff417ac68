"""What a graph shows of an edge or a node without any model: the columns that calibration regresses beliefs on.

Everything is read from the context, in which the element itself is not linked. No column may come from the model: its
embeddings carry the memory that is to be measured (with them as columns the estimate was worse, not better).
"""

from __future__ import annotations

from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from graphforget.gnn import sparse
from graphforget.graph import Graph
from graphforget.kernels import csr, pairs
from graphforget.task import Batch

Array = npt.NDArray[np.float64]
SPARSE_BELOW = 0.1  # density of x under which it is multiplied as CSR
SKETCH = 64  # columns that features are projected to before they are propagated
_SKETCHES = WeakTensorKeyDictionary()


def edge_structure(context: Graph, batch: Batch) -> Array:
    """[B, 4] sorted log degrees, log common neighbours, their Adamic-Adar weight; with features [B, 6].

    The last two are cosines of the endpoints' features: as they are, and spread over two hops of the context
    (:func:`spread`).
    """
    u, v = (row.cpu().numpy() for row in batch.index)
    degree = context.degree.cpu().numpy().astype(np.float64)
    ends = np.sort(np.log1p(np.stack([degree[u], degree[v]], axis=1)), axis=1)
    indptr, indices, _ = context.csr
    weight = 1 / np.log(np.maximum(degree, 2.0))
    common = np.log1p(csr.common_neighbors(indptr, indices, u, v).astype(np.float64))
    adamic = np.asarray(csr.common_neighbors(indptr, indices, u, v, weight), dtype=np.float64)
    columns = [ends[:, 0], ends[:, 1], common, adamic]
    graph = cast(Graph, batch.input if batch.input is not None else context)
    if "x" in graph.features:
        columns += [_cosine(graph.x, batch.index), _cosine(spread(graph), batch.index)]
    return np.stack(columns, axis=1)


def node_structure(context: Graph, batch: Batch) -> Array:
    """[B, 2] log degree, share of labelled neighbours with the own label (smoothed); [B, 3] log number of features."""
    graph = cast(Graph, batch.input if batch.input is not None else context)
    node = batch.index.cpu()
    source, target = graph.edge_index.cpu()
    label = torch.full((graph.num_nodes,), -2)
    label[node] = batch.label.cpu()
    known = graph.y.cpu() if graph.y is not None else torch.full((graph.num_nodes,), -1)
    agree = (known[target] == label[source]).double()
    seen = (known[target] >= 0).double()
    same = torch.zeros(graph.num_nodes, dtype=torch.float64).index_add(0, source, agree)[node]
    total = torch.zeros(graph.num_nodes, dtype=torch.float64).index_add(0, source, seen)[node]
    columns = [graph.degree.cpu()[node].double().log1p(), (same + 0.5) / (total + 1)]
    if "x" in graph.features:
        columns.append((graph.x[batch.index] != 0).sum(1).cpu().double().log1p())
    return torch.stack(columns, dim=1).numpy()


def spread(graph: Graph) -> Tensor:
    """[N, <= 64] centred features after two steps of D^-1/2 (A + I) D^-1/2: what untrained propagation says of a node.

    More than 64 columns are first projected to 64 by fixed random signs (Achlioptas, 2003).
    """
    if graph.outside is not None:
        sparse.tell_outside(graph.edge_index, graph.outside)
    adjacency = sparse.cached("sym", graph.edge_index, graph.num_nodes)
    return sparse.product(adjacency, sparse.product(adjacency, _sketch(graph)))


def _sketch(graph: Graph) -> Tensor:
    """[N, <= 64] projected and centred features, computed once as long as the very tensor lives."""
    x = graph.x
    version, found = _SKETCHES.get(x, (None, None))
    if version != x._version:
        dense = x.shape[1] <= SKETCH
        signs = torch.randint(2, (x.shape[1], SKETCH), generator=torch.Generator().manual_seed(0))
        rows = graph.sparse_x if graph.x_density < SPARSE_BELOW else x
        found = x.float() if dense else rows.float() @ (2.0 * signs - 1).to(x.device)
        found = found - found.mean(0)
        _SKETCHES[x] = x._version, found
    return cast(Tensor, found)


def _cosine(x: Tensor, ends: Tensor) -> Array:
    """[B] by a kernel that reads two rows a pair: gathering wide rows first costs more than all the rest."""
    rows = x.detach().cpu() if x.dtype == torch.float64 else x.detach().float().cpu()
    table, (u, v) = rows.contiguous().numpy(), ends.cpu().numpy()
    dot, *squares = (pairs.pair_dot(table, *each).astype(np.float64) for each in ((u, v), (u, u), (v, v)))
    return np.asarray(dot / np.maximum(np.sqrt(squares[0] * squares[1]), 1e-12))
