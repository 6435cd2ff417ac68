"""Numba kernels on plain arrays: no torch, nothing else of ours.

A public function validates, casts to contiguous int64, allocates and calls a private jitted kernel. Results are the
same for one thread and for many, and with ``NUMBA_DISABLE_JIT=1``.
"""

from __future__ import annotations

from graphforget.kernels.csr import check, common_neighbors, contains, from_coo, locate, remove, transpose
from graphforget.kernels.khop import induced_edges, k_hop_distance, k_hop_nodes
from graphforget.kernels.negative import structured_negatives, uniform_negatives
from graphforget.kernels.paths import three_paths
from graphforget.kernels.rng import derive
from graphforget.kernels.topk import masked_top_k

__all__ = [
    "check",
    "common_neighbors",
    "contains",
    "derive",
    "from_coo",
    "induced_edges",
    "k_hop_distance",
    "k_hop_nodes",
    "locate",
    "masked_top_k",
    "remove",
    "structured_negatives",
    "three_paths",
    "transpose",
    "uniform_negatives",
]
