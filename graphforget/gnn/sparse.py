"""Sparse products of the reference networks: adjacency and feature matrices as CSR, with a cheap backward.

A matrix is built once for an ``edge_index`` or feature tensor and kept in a weak table: when the graph goes, the matrix
goes, so that no adjacency with forgotten edges survives in a model.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from graphforget.kernels import csr, pairs
from graphforget.sparse import Sparse, of_coo, product, quiet

__all__ = ["Sparse", "aggregate", "cached", "features", "pair_dot", "product", "quiet"]

_TABLES: dict[str, WeakTensorKeyDictionary] = {}
_OUTSIDE = WeakTensorKeyDictionary()


class _PairDot(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, u: Tensor, v: Tensor) -> Tensor:
        ctx.save_for_backward(rows, u, v)
        return torch.from_numpy(pairs.pair_dot(rows.detach().numpy(), u.numpy(), v.numpy()))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        rows, u, v = ctx.saved_tensors
        weight = grads[0]
        if torch.is_grad_enabled():  # second derivatives: the same in tensor operations
            total = torch.zeros_like(rows).index_add(0, u, weight[:, None] * rows.index_select(0, v))
            return total.index_add(0, v, weight[:, None] * rows.index_select(0, u)), None, None
        size = rows.shape[0]
        source, target = torch.cat([u, v]).numpy(), torch.cat([v, u]).numpy()
        indptr, indices, perm = csr.from_coo(source, target, size, size)
        value = torch.cat([weight, weight])[torch.from_numpy(perm)]
        with quiet():
            matrix = torch.sparse_csr_tensor(
                torch.from_numpy(indptr), torch.from_numpy(indices), value, (size, size), check_invariants=False
            )
        return matrix @ rows.contiguous(), None, None


def pair_dot(rows: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """[n] <rows[u], rows[v]> of rows [N, d], differentiable; by a kernel on CPU, in tensor operations elsewhere."""
    if rows.device.type != "cpu" or rows.dtype not in (torch.float32, torch.float64):
        return (rows.index_select(0, u) * rows.index_select(0, v)).sum(1)
    result: Tensor = _PairDot.apply(rows, u, v)  # type: ignore[no-untyped-call]
    return result


def cached(kind: str, key: Tensor, num_nodes: int, dtype: torch.dtype = torch.float32) -> Sparse:
    """Return the matrix of a kind for an edge_index [2, E], built once as long as that very tensor lives.

    Args:
        kind: ``sym`` D^-1/2 (A + I) D^-1/2 (GCN), ``mean`` D^-1 A (GraphSAGE), ``sum`` A (GIN).
        key: edge_index.
        num_nodes: N.
        dtype: of the values.
    """
    table = _TABLES.setdefault(kind, WeakTensorKeyDictionary())
    version = (key._version, num_nodes, dtype)
    found = table.get(key)
    if found is None or found[0] != version:
        found = (version, _build(kind, key, num_nodes, dtype))
        table[key] = found
    sparse: Sparse = found[1]
    return sparse


def aggregate(kind: str, edge_index: Tensor, rows: Tensor) -> Tensor:
    """[N, d] the product of the matrix of a kind (see :func:`cached`) with rows [N, d].

    While torch exports a model it is written in gathers and scatters, which every runtime knows and whose shapes do not
    depend on the values of ``edge_index``.
    """
    if not torch.compiler.is_exporting():
        return product(cached(kind, edge_index, rows.shape[0], rows.dtype), rows)
    source, target = edge_index[0], edge_index[1]
    kept = (source != target).to(rows.dtype) if kind == "sym" else torch.ones_like(source, dtype=rows.dtype)
    degree = torch.zeros_like(rows[:, 0]).index_add(0, target, kept)
    messages = rows.index_select(0, source)
    if kind == "sym":  # a self-loop of weight 1 in place of any other
        scale = (degree + 1).rsqrt()
        kept = kept * scale.index_select(0, source) * scale.index_select(0, target)
        own = rows * scale.square()[:, None]
    else:
        own = torch.zeros_like(rows)
    if kind == "mean":
        kept = kept / degree.index_select(0, target)
    return own.index_add(0, target, messages * kept[:, None])


def tell_outside(key: Tensor, outside: Tensor) -> None:
    """Say how many edges of each node are not in an edge_index [2, E], which is a local part of a larger graph.

    Its matrices are then those of the larger graph: degrees count what is outside, and the messages that a node gets
    stand for those that it would get (the sum is scaled up; a mean needs nothing).

    Args:
        key: edge_index; as long as that very tensor lives.
        outside: [N].
    """
    _OUTSIDE[key] = outside


def features(x: Tensor) -> Sparse:
    """Return a CSR feature matrix beside its transpose, built once as long as the tensor lives."""
    table = _TABLES.setdefault("features", WeakTensorKeyDictionary())
    found = table.get(x)
    if found is None:
        with quiet():
            found = x.t().to_sparse_csr()  # holding x itself here would keep the key alive for ever
        table[x] = found
    return Sparse(x, found)


def _build(kind: str, edge_index: Tensor, num_nodes: int, dtype: torch.dtype) -> Sparse:
    source, target = edge_index
    outside = _OUTSIDE.get(edge_index)
    off = source != target
    if kind == "sym":  # self-loops are replaced by one of weight 1, as PyG's gcn_norm does
        source, target = source[off], target[off]
    degree = torch.bincount(target, minlength=num_nodes).to(dtype)
    stands_for = torch.ones_like(degree)  # messages that each message stands for
    if outside is not None:
        whole = degree + outside.to(dtype)
        stands_for = whole / degree.clamp(min=1)
    if kind == "sym":
        scale = (1 + degree * stands_for).rsqrt()
        loop = torch.arange(num_nodes, device=source.device)
        value = torch.cat([scale[source] * scale[target] * stands_for[target], scale.square()])
        source, target = torch.cat([source, loop]), torch.cat([target, loop])
    elif kind == "mean":
        value = 1 / degree[target]
    else:
        value = stands_for[target]
    size = (num_nodes, num_nodes)
    return of_coo(target, source, value, size)
