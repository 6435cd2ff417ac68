"""Numba kernels on plain arrays: no torch, nothing else of ours.

A public function validates, casts to contiguous int64, allocates and calls a private jitted kernel. Results are the
same for one thread and for many, and with ``NUMBA_DISABLE_JIT=1``.
"""

from __future__ import annotations

from graphforget.kernels.bpr import Negatives, alias_table
from graphforget.kernels.csr import check, common_neighbors, contains, from_coo, locate, remove, transpose
from graphforget.kernels.hops import HopSampler, Relation, sample_neighbors
from graphforget.kernels.khop import induced_edges, k_hop_distance, k_hop_nodes
from graphforget.kernels.negative import structured_negatives, uniform_negatives
from graphforget.kernels.neighbor import draw_neighbors
from graphforget.kernels.norm import norm_patch, sym_norm
from graphforget.kernels.paths import three_paths
from graphforget.kernels.rng import derive
from graphforget.kernels.spmm import spmm
from graphforget.kernels.topk import masked_top_k

__all__ = [
    "HopSampler",
    "Negatives",
    "Relation",
    "alias_table",
    "check",
    "common_neighbors",
    "contains",
    "derive",
    "draw_neighbors",
    "from_coo",
    "induced_edges",
    "k_hop_distance",
    "k_hop_nodes",
    "locate",
    "masked_top_k",
    "norm_patch",
    "remove",
    "sample_neighbors",
    "spmm",
    "structured_negatives",
    "sym_norm",
    "three_paths",
    "transpose",
    "uniform_negatives",
]
