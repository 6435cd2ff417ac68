"""The part of a graph that a small request concerns, cut out with the neighbourhoods that its embeddings need.

The *core* is what a method is asked about: both ends of the forgotten edges, some of their neighbours, the ends of a
replay sample of retained edges, and those of a sample of held-out ones. Around it lies the *halo*: the nodes within
``hops`` of the core, which only pass messages on. Under ``khop`` the halo is whole, and a model of as many layers whose
degrees count what is outside gives the core the very embeddings of the whole graph. Under ``sampled`` each node has at
most ``fan_outs[hop]`` neighbours. On a power-law graph two hops of a hub are much of the graph: ``auto`` counts the
neighbours before it reads them, and samples where there are more than ``limit``.

The result is a :class:`~graphforget.forget.ForgetSplit` of small Graphs, on which every method runs as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from graphforget.errors import InputError, unknown
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.graph import Graph
from graphforget.kernels.places import Hash
from graphforget.kernels.rng import derive
from graphforget.store import Store

IntArray = npt.NDArray[np.int64]
SCOPES = ("auto", "khop", "sampled")


@dataclass(frozen=True)
class Reach:
    """How far around a request to look; all numbers are our defaults.

    Args:
        scope: ``khop`` (whole neighbourhoods), ``sampled``, or ``auto``: khop up to ``limit`` neighbours.
        limit: of ``auto``, in neighbours read.
        fan_outs: neighbours a node and hop under ``sampled``; the last one serves all further hops.
        near: neighbours of each end of a forgotten edge that are asked about.
        replay: retained edges drawn from the whole graph, as a multiple of the request.
        held_out: held-out edges that are looked at, as a multiple of the request.
    """

    scope: str = "auto"
    limit: int = 50_000
    fan_outs: tuple[int, ...] = (5, 3)
    near: int = 2
    replay: int = 2
    held_out: int = 2

    def __post_init__(self) -> None:
        if self.scope not in SCOPES:
            raise unknown("scope", self.scope, SCOPES)
        for name in ("limit", "near", "replay", "held_out"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1 (got {getattr(self, name)})")
        if not self.fan_outs or min(self.fan_outs) < 1:
            raise InputError(f"fan_outs must name at least 1 neighbour for each hop (got {self.fan_outs})")


@dataclass(frozen=True, eq=False)
class Region:
    """A request, resolved on the part of a store that it concerns.

    Args:
        split: the request over local ids.
        nodes: [n] the store's id of each local node; of a user-item graph the users first.
        scope: ``khop`` or ``sampled``.
    """

    split: ForgetSplit[Graph]
    nodes: IntArray
    scope: str

    @property
    def core(self) -> int:
        """Number of nodes that are asked about."""
        return 0 if self.split.data.core is None else int(self.split.data.core.sum())

    @classmethod
    def of(
        cls,
        store: Store,
        retained: Store,
        request: ForgetRequest,
        resolved: tuple[Tensor, IntArray],
        hops: int,
        reach: Reach,
        held_out: Tensor | None,
        seed: int,
    ) -> Region:
        """Cut the region of a request out of a store.

        Args:
            store: the whole graph.
            retained: ``store.forget(request)``.
            request: what is forgotten.
            resolved: ``store.resolve(request)``.
            hops: depth of the halo: the model's layers.
            reach: how far to look.
            held_out: [2, m] validation edges, or None.
            seed: of all samples.
        """
        pairs, gone = resolved
        ends = np.unique(np.concatenate([gone, *(store.ids(pairs) if pairs.numel() else ())]))
        count = max(pairs.shape[1], 1)
        seen = _some(held_out, reach.held_out * count, derive(seed, 1), store)
        near = retained.neighbors(ends, reach.near, derive(seed, 2))[1]
        drawn = retained.sample(reach.replay * count, derive(seed, 3))
        replay = retained.ids(drawn) if drawn.numel() else ()
        held = store.ids(seen) if seen.numel() else ()
        core = np.unique(np.concatenate([ends, near, *replay, *held]))
        scope = reach.scope
        if scope == "auto":
            scope = "khop" if _within(retained, core, hops, reach.limit) else "sampled"
        fan_outs = [-1 if scope == "khop" else reach.fan_outs[min(hop, len(reach.fan_outs) - 1)] for hop in range(hops)]
        nodes, edges = expand(retained, core, fan_outs, derive(seed, 4))
        return cls(_split(store, retained, nodes, edges, core, request, pairs, seen), nodes, scope)


def expand(store: Store, core: IntArray, fan_outs: list[int], seed: int) -> tuple[IntArray, IntArray]:
    """Walk outwards from some nodes.

    Args:
        store: the retained graph.
        core: [n] distinct nodes.
        fan_outs: neighbours a node, hop by hop; -1 takes all.
        seed: of the draws.

    Returns:
        nodes [m], sorted, and the directed edges walked [2, e] in the store's ids, each with its twin, each once.

    Example:
        >>> path = Store.of(Graph.from_edges(torch.tensor([[0, 1, 2], [1, 2, 3]]), 4))
        >>> [part.tolist() for part in expand(path, np.array([0]), [-1, -1], 0)]
        [[0, 1, 2], [[0, 1, 1, 2], [1, 0, 2, 1]]]
    """
    places = Hash()
    places.start(core)
    front, nodes, codes = core, [core], []
    for hop, fan_out in enumerate(fan_outs):
        owner, found = store.neighbors(front, fan_out, derive(seed, hop))
        codes += [front[owner] * store.num_nodes + found, found * store.num_nodes + front[owner]]
        _, front = places.place(found)
        nodes.append(front)
    code = np.unique(np.concatenate(codes)) if codes else np.empty(0, dtype=np.int64)
    return np.sort(np.concatenate(nodes)), np.stack([code // store.num_nodes, code % store.num_nodes])


def _within(store: Store, core: IntArray, hops: int, limit: int) -> bool:
    """Does a whole walk read at most so many neighbours; a hop is counted by its degrees before it is read."""
    places = Hash()
    places.start(core)
    front, read = core, 0
    for _ in range(hops):
        read += int(store.degree(front).sum())
        if read > limit:
            return False
        _, front = places.place(store.neighbors(front, -1, 0)[1])
    return True


def _some(held_out: Tensor | None, count: int, seed: int, store: Store) -> Tensor:
    """[2, at most count] held-out edges."""
    if held_out is None or not held_out.numel():
        return torch.empty(2, 0, dtype=torch.int64)
    rows = np.random.default_rng(seed).integers(0, held_out.shape[1], count)
    return held_out[:, torch.from_numpy(np.unique(rows))].cpu().long()


def _split(
    store: Store,
    retained: Store,
    nodes: IntArray,
    edges: IntArray,
    core: IntArray,
    request: ForgetRequest,
    pairs: Tensor,
    seen: Tensor,
) -> ForgetSplit[Graph]:
    """The request on the graph of the region."""
    users = int(np.searchsorted(nodes, store.size[0])) if store.bipartite else 0
    size = (users, len(nodes) - users) if store.bipartite else (len(nodes), len(nodes))

    def local(rows: IntArray, cols: IntArray) -> Tensor:
        found = np.stack([np.searchsorted(nodes, rows), np.searchsorted(nodes, cols) - users])
        return torch.from_numpy(found)

    inside = np.bincount(np.searchsorted(nodes, edges[0]), minlength=len(nodes))
    outside = torch.from_numpy(retained.degree(nodes) - inside)
    if store.bipartite:
        edges = edges[:, edges[0] < store.size[0]]

    def wanted(kind: str, ids: Tensor) -> Tensor:
        if ids.dim() == 2:
            return local(*store.ids(ids))
        first, shift = (store.size[0], users) if kind == "item" else (0, 0)
        return torch.from_numpy(np.searchsorted(nodes, ids.cpu().numpy() + first) - shift)

    gone = local(*store.ids(pairs)) if pairs.numel() else pairs
    every = torch.cat([local(*edges), gone] if store.bipartite else [local(*edges), gone, gone.flip(0)], dim=1)
    mask = torch.from_numpy(np.isin(nodes, core, assume_unique=True))
    data = Graph(
        every,
        size,
        store.bipartite,
        undirected=not store.bipartite,
        features=dict(_features(store, nodes, users)),
        node_mask=mask,
        core=mask,
        outside=outside,
    )
    asked = local(*store.ids(seen)) if seen.numel() else seen
    held = Graph(asked, size, store.bipartite, features=data.features)
    asks = ForgetRequest({kind: wanted(kind, ids) for kind, ids in request.parts.items()})
    edges_in_all = store.num_edges if store.bipartite else store.num_edges // 2
    return replace(ForgetSplit.of(data, asks, held), part_of=edges_in_all)


def _features(store: Store, nodes: IntArray, users: int) -> Iterator[tuple[str, Tensor]]:
    for name in store.features:
        yield name, store.rows(name, nodes if name == "x" else nodes[users:] - store.size[0])
