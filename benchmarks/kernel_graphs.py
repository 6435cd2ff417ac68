"""Pairs on graphs: the cases of ``python -m benchmarks.kernels`` whose size is a number of edges.

The graph is random and undirected, both directions of an edge stored, ten edges a node; the CSR is built once, as
``Graph.csr`` keeps it, and is not timed. Peers get the form that they like best, and that is not timed either.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch_geometric import typing as pyg_typing
from torch_geometric.data import Data
from torch_geometric.nn.conv.gcn_conv import gcn_norm
from torch_geometric.sampler import NeighborSampler as PyGSampler
from torch_geometric.sampler import NodeSamplerInput
from torch_geometric.utils import k_hop_subgraph, negative_sampling, structured_negative_sampling

from benchmarks.pairing import Pair
from graphforget import kernels
from graphforget.errors import MissingExtra
from graphforget.gnn.dgl_interop import import_dgl
from graphforget.gnn.interop import csc_of_dgl
from graphforget.gnn.sampler import NeighborSampler
from graphforget.kernels import hops
from graphforget.kernels.csr import IntArray
from graphforget.kernels.norm import Patch, norm_patch, sym_norm
from graphforget.sparse import quiet

FAN_OUTS = [15, 10, 5]
BATCH = 1024
REQUEST = 100  # edges of a deletion


@dataclass(frozen=True)
class Random:
    """A random undirected graph of about so many directed edges, each once."""

    num_edges: int

    @property
    def num_nodes(self) -> int:
        """A tenth of the edges."""
        return max(self.num_edges // 10, 4)

    @cached_property
    def edge_index(self) -> torch.Tensor:
        """[2, E] sorted by source, both directions, no self-loop and no duplicate."""
        draw = np.random.default_rng(0)
        u, v = draw.integers(0, self.num_nodes, (2, self.num_edges // 2))
        code = np.unique(np.concatenate([u * self.num_nodes + v, v * self.num_nodes + u])[np.tile(u != v, 2)])
        return torch.from_numpy(np.stack([code // self.num_nodes, code % self.num_nodes]))

    @cached_property
    def csr(self) -> tuple[IntArray, IntArray]:
        """(indptr, indices)."""
        rows, cols = self.edge_index.numpy()
        indptr, indices, _ = kernels.from_coo(rows, cols, self.num_nodes, self.num_nodes)
        return indptr, indices

    @cached_property
    def scipy(self) -> Any:
        """The adjacency as scipy's CSR."""
        indptr, indices = self.csr
        ones = np.ones(len(indices), dtype=np.float32)
        return sp.csr_matrix((ones, indices, indptr), shape=(self.num_nodes, self.num_nodes))

    def nodes(self, count: int, turn: int) -> IntArray:
        """Some distinct nodes, others each turn."""
        return np.random.default_rng(1000 + turn).choice(self.num_nodes, min(count, self.num_nodes), replace=False)

    def slots(self, turn: int) -> IntArray:
        """A request: the slots of some edges, in one direction."""
        draw = np.random.default_rng(2000 + turn)
        return np.sort(draw.choice(self.edge_index.shape[1], min(REQUEST, self.num_edges // 4), replace=False))


def k_hop(graph: Random) -> Iterator[Pair]:
    """Nodes within 2 hops and the edges among them, relabelled, from 1, 100 and 1,000 seeds."""
    indptr, indices = graph.csr

    def ours(seeds: IntArray) -> tuple[int, int]:
        nodes = kernels.k_hop_nodes(indptr, indices, seeds, 2)
        return len(nodes), len(kernels.induced_edges(indptr, indices, nodes)[0])

    def pyg(seeds: IntArray) -> tuple[int, int]:
        found = k_hop_subgraph(
            torch.from_numpy(seeds), 2, graph.edge_index, relabel_nodes=True, num_nodes=graph.num_nodes
        )
        return len(found[0]), found[1].shape[1]

    def scipy(seeds: IntArray) -> tuple[int, int]:
        matrix, mask = graph.scipy, np.zeros(graph.num_nodes, dtype=np.float32)
        mask[seeds] = 1
        for _ in range(2):
            mask = np.minimum(mask + matrix @ mask, 1)
        nodes = np.flatnonzero(mask)
        return len(nodes), matrix[nodes][:, nodes].nnz

    peers: dict[str, Callable[[IntArray], tuple[int, int]]] = {"pyg": pyg, "scipy": scipy}
    try:
        dgl = import_dgl()
    except MissingExtra:
        pass
    else:
        made = dgl.graph((graph.edge_index[0], graph.edge_index[1]), num_nodes=graph.num_nodes)
        made.create_formats_()

        def by_dgl(seeds: IntArray) -> tuple[int, int]:
            found = dgl.khop_in_subgraph(made, torch.from_numpy(seeds), 2)[0]  # of both directions the same
            return found.num_nodes(), found.num_edges()

        peers["dgl"] = by_dgl
    for count in (1, 100, 1000):
        ready = functools.partial(graph.nodes, count)
        for name, peer in peers.items():
            yield Pair(f"k_hop_{count}", name, len(indices), ours, peer, _equal, ready)


def structured(graph: Random) -> Iterator[Pair]:
    """A destination for the source of every edge that is none of its neighbours."""
    indptr, indices = graph.csr
    edges, size, num = graph.edge_index, graph.edge_index.shape[1], graph.num_nodes
    sources = edges[0].numpy()

    def pyg(turn: int) -> Any:
        return structured_negative_sampling(edges, num, contains_neg_self_loops=False)[2].numpy()

    def same(mine: Any, theirs: Any) -> None:
        for drawn in (mine, theirs):
            if kernels.contains(indptr, indices, sources, drawn).any() or (sources == drawn).any():
                raise RuntimeError("an edge or a self-loop was drawn as a negative")

    yield Pair(
        "structured",
        "pyg",
        size,
        lambda turn: kernels.structured_negatives(indptr, indices, sources, num, turn),
        pyg,
        same,
    )


def uniform(graph: Random) -> Iterator[Pair]:
    """As many non-edges as there are edges, in either direction."""
    indptr, indices = graph.csr
    edges, size, num = graph.edge_index, graph.edge_index.shape[1], graph.num_nodes
    yield Pair(
        "uniform",
        "pyg",
        size,
        lambda turn: kernels.uniform_negatives(indptr, indices, size, num, turn),
        lambda turn: negative_sampling(edges, num, size),
    )


def neighbors(graph: Random) -> Iterator[Pair]:
    """A batch of 1,024 seeds with fan-outs 15, 10, 5 of their in-neighbours.

    DGL's hops draw anew for the nodes of the hops before, PyG's and ours for the new nodes only.
    """
    size, seeds = graph.edge_index.shape[1], functools.partial(graph.nodes, BATCH)
    yield from _against_dgl(graph, size, seeds)
    data = Data(edge_index=graph.edge_index, num_nodes=graph.num_nodes)
    has = {"torch_sparse": pyg_typing.WITH_TORCH_SPARSE, "pyg_lib": pyg_typing.WITH_PYG_LIB}
    if not any(has.values()):
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Using 'NeighborSampler' without")
        theirs = PyGSampler(data, FAN_OUTS)
    peer = "pyg_lib" if has["pyg_lib"] else "torch_sparse"  # which of the two PyG takes
    yield Pair("neighbors", peer, size, _through(NeighborSampler(data, FAN_OUTS)), _through(theirs), _near, seeds)


def _through(sampler: Any) -> Callable[[IntArray], int]:
    return lambda seeds: len(sampler.sample_from_nodes(NodeSamplerInput(None, torch.from_numpy(seeds))).edge)


def _against_dgl(graph: Random, size: int, ready: Callable[[int], IntArray]) -> Iterator[Pair]:
    try:
        dgl = import_dgl()
    except MissingExtra:
        return
    made = dgl.graph((graph.edge_index[0], graph.edge_index[1]), num_nodes=graph.num_nodes).formats("csc")
    peer = dgl.dataloading.NeighborSampler(FAN_OUTS[::-1])  # DGL lists them from the input layer on
    relation = hops.Relation(hops.ONLY, hops.ONLY, *csc_of_dgl(made)[:2])  # the same memory
    sampler = hops.HopSampler({"edges": relation}, {hops.ONLY: graph.num_nodes}, {"edges": FAN_OUTS})
    yield Pair(
        "neighbors",
        "dgl",
        size,
        lambda seeds: len(sampler.sample({hops.ONLY: seeds}, int(seeds[0])).slots["edges"]),
        lambda seeds: sum(block.num_edges() for block in peer.sample_blocks(made, torch.from_numpy(seeds))[2]),
        ready=ready,
    )


def membership(graph: Random) -> Iterator[Pair]:
    """Which of 100,000 pairs are edges."""
    indptr, indices = graph.csr
    num, codes = graph.num_nodes, (graph.edge_index[0] * graph.num_nodes + graph.edge_index[1]).numpy()
    yield Pair(
        "membership",
        "numpy_isin",
        len(indices),
        lambda pairs: int(kernels.contains(indptr, indices, *pairs).sum()),
        lambda pairs: int(np.isin(pairs[0] * num + pairs[1], codes).sum()),
        _equal,
        lambda turn: np.random.default_rng(turn).integers(0, num, (2, 100_000)),
    )


def deletion(graph: Random) -> Iterator[Pair]:
    """A new CSR without 100 edges."""
    indptr, indices = graph.csr
    edges, num = graph.edge_index, graph.num_nodes

    def rebuilt(slots: IntArray) -> int:
        keep = torch.ones(edges.shape[1], dtype=torch.bool)
        keep[torch.from_numpy(slots)] = False
        kept = edges[:, keep]
        with quiet():
            return len(torch.sparse_coo_tensor(kept, torch.ones(kept.shape[1]), (num, num)).to_sparse_csr().values())

    def ours(slots: IntArray) -> int:
        return len(kernels.remove(indptr, indices, slots)[1])

    yield Pair("deletion", "torch_rebuilt", len(indices), ours, rebuilt, _equal, graph.slots)


def norm(graph: Random) -> Iterator[Pair]:
    """The normalised adjacency after the deletion of 100 edges: patched, and normalised anew by PyG."""
    indptr, indices = graph.csr
    values, degree, edges = sym_norm(indptr, indices), np.diff(indptr), graph.edge_index
    rows = edges[0].numpy()

    def ready(turn: int) -> tuple[IntArray, torch.Tensor]:
        slots = graph.slots(turn)
        twins = kernels.locate(indptr, indices, indices[slots], rows[slots])
        keep = torch.ones(edges.shape[1], dtype=torch.bool)
        keep[torch.from_numpy(np.concatenate([slots, twins]))] = False
        return slots, keep

    def pyg(request: tuple[IntArray, torch.Tensor]) -> torch.Tensor:
        weight: torch.Tensor = gcn_norm(edges[:, request[1]], None, graph.num_nodes, add_self_loops=False)[1]
        return weight

    def ours(request: tuple[IntArray, torch.Tensor]) -> tuple[Patch, torch.Tensor]:
        return norm_patch(indptr, indices, values, degree, request[0]), request[1]

    def same(mine: tuple[Patch, torch.Tensor], theirs: torch.Tensor) -> None:
        patched = values.copy()
        patched[mine[0].slots] = mine[0].new
        torch.testing.assert_close(torch.from_numpy(patched)[mine[1]].float(), theirs)

    yield Pair("norm_patch", "pyg_gcn_norm", len(indices), ours, pyg, same, ready)


def _equal(mine: Any, theirs: Any) -> None:
    if mine != theirs:
        raise RuntimeError(f"the results differ: {mine} and {theirs}")


def _near(mine: int, theirs: int) -> None:
    """Numbers of edges drawn: the same but for chance in the later hops."""
    if abs(mine - theirs) > 0.02 * max(mine, theirs):
        raise RuntimeError(f"not the same amount was drawn: {mine} and {theirs} edges")


CASES: dict[str, Callable[[Random], Iterator[Pair]]] = {
    "k_hop": k_hop,
    "structured": structured,
    "uniform": uniform,
    "neighbors": neighbors,
    "membership": membership,
    "deletion": deletion,
    "norm_patch": norm,
}
