"""Slow, obvious oracles of the GNN methods in plain numpy, written from the papers' equations."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def hops(edges: Iterable[tuple[int, int]], num_nodes: int, seeds: Iterable[int], depth: int) -> list[int]:
    """Distance from the seeds along the directed edges, -1 beyond the depth."""
    found = [-1] * num_nodes
    for seed in seeds:
        found[seed] = 0
    for step in range(1, depth + 1):
        reached = [v for u, v in edges if found[u] == step - 1 and found[v] == -1]
        for v in reached:
            found[v] = step
    return found


def gcn_matrix(edges: Iterable[tuple[int, int]], num_nodes: int) -> Array:
    """D^-1/2 (A + I) D^-1/2 of directed edges (u, v): row v gathers from u."""
    a = np.eye(num_nodes)
    for u, v in edges:
        a[v, u] = 1
    scale = 1 / np.sqrt(a.sum(1))
    return scale[:, None] * a * scale[None]


def gnndelete_outputs(
    a: Array, x: Array, layers: list[tuple[Array, Array]], operators: list[tuple[Array, list[int]]]
) -> list[Array]:
    """Outputs of a GCN's layers behind their deletion operators: h[S] <- h[S] W_D before the ReLU."""
    found, h = [], x
    for (weight, bias), (deletion, nodes) in zip(layers, operators, strict=True):
        h = a @ (h @ weight.T) + bias
        for node in nodes:
            h[node] = h[node] @ deletion
        found.append(h)
        h = np.maximum(h, 0)
    return found


def gnndelete_loss(
    z: Array, zori: Array, edges: list[tuple[int, int]], non_edges: list[tuple[int, int]], kept: list[int], lam: float
) -> float:
    """One layer's lambda DEC + (1 - lambda) NI: vectors stacked along rows, means over all entries."""
    rows = np.stack([z[u] for u, _ in edges] + [z[v] for _, v in edges])
    random = np.stack([zori[p] for p, _ in non_edges] + [zori[q] for _, q in non_edges])
    dec = float(((rows - random) ** 2).mean())
    ni = float(((z[kept] - zori[kept]) ** 2).mean())
    return lam * dec + (1 - lam) * ni


def slope(f: Callable[[Array], float], at: Array, step: float = 1e-6) -> Array:
    """Gradient by central differences."""
    found = np.zeros_like(at)
    for index in np.ndindex(at.shape):
        up, down = at.copy(), at.copy()
        up[index] += step
        down[index] -= step
        found[index] = (f(up) - f(down)) / (2 * step)
    return found


def softmax_gradient(weight: Array, x: Array, y: Iterable[int]) -> Array:
    """Summed gradient of softmax regression's cross-entropy, flat; weight is [C, F]."""
    total = np.zeros_like(weight)
    for row, label in zip(x, y, strict=True):
        p = np.exp(weight @ row - (weight @ row).max())
        p /= p.sum()
        p[label] -= 1
        total += np.outer(p, row)
    return total.ravel()


def softmax_hessian(weight: Array, x: Array) -> Array:
    """Summed Hessian of softmax regression's cross-entropy: sum (diag p - p p^T) kron x x^T."""
    size = weight.size
    total = np.zeros((size, size))
    for row in x:
        p = np.exp(weight @ row - (weight @ row).max())
        p /= p.sum()
        total += np.kron(np.diag(p) - np.outer(p, p), np.outer(row, row))
    return total
