"""PyG's neighbour sampling on the kernels: mini-batches without pyg-lib and torch-sparse.

    from graphforget.gnn.loaders import NeighborLoader      # instead of torch_geometric.loader

:class:`NeighborSampler` is a ``torch_geometric.sampler.BaseSampler``, so PyG's ``NodeLoader`` and ``LinkLoader`` take
it as it is. It returns what pyg-lib returns, field by field; only the random draws are others. They follow from
``seed``, the number of the call and, in a worker process, the seed that torch gave it; not from the number of threads.

Deviations: edge weights are not served, and a hop whose every fan-out is 0 is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import get_worker_info
from torch_geometric.sampler import (
    BaseSampler,
    EdgeSamplerInput,
    HeteroSamplerOutput,
    NegativeSampling,
    NodeSamplerInput,
    NumNeighbors,
    SamplerOutput,
)
from torch_geometric.sampler.base import SubgraphType
from torch_geometric.sampler.neighbor_sampler import edge_sample, node_sample
from torch_geometric.typing import EdgeType

from graphforget.errors import InputError, unknown
from graphforget.gnn.relations import HOMOGENEOUS, Columns, columns_of
from graphforget.kernels import hops
from graphforget.kernels.rng import derive

STRATEGIES = ("uniform", "last")


class NeighborSampler(BaseSampler):  # type: ignore[misc] # PyG has no annotations that mypy reads
    """Sample neighbourhoods of a PyG graph.

    Args:
        data: ``Data``, ``HeteroData``, or a pair of a ``FeatureStore`` and a ``GraphStore``.
        num_neighbors: neighbours a hop, -1 for all; in a heterogeneous graph also a list an edge type, where 0 leaves
            the edge type out.
        replace: draw with replacement.
        subgraph_type: ``directional`` (the edges drawn), ``bidirectional`` (and their reverse) or ``induced`` (all
            edges among the nodes drawn).
        disjoint: a subgraph of its own for each seed.
        temporal_strategy: ``uniform``, or ``last`` for the latest neighbours that are not too late.
        time_attr: name of an integer time of nodes or edges; a seed's subgraph holds nothing later than the seed.
        is_sorted: the edges are sorted by target (and by time within), so no sorted copy is made.
        seed: an integer in [0, 2**64).

    Raises:
        InputError: what cannot be sampled: ids out of range, fan-outs that do not fit, a time that is not there.

    Example:
        >>> from torch_geometric.data import Data
        >>> path = Data(edge_index=torch.tensor([[1, 2, 3], [0, 1, 2]]), num_nodes=4)
        >>> batch = NeighborSampler(path, [2, 2]).sample_from_nodes(NodeSamplerInput(None, torch.tensor([0])))
        >>> batch.node.tolist(), batch.row.tolist(), batch.col.tolist(), batch.num_sampled_nodes
        ([0, 1, 2], [1, 2], [0, 1], [1, 1, 1])
    """

    def __init__(
        self,
        data: Any,
        num_neighbors: NumNeighbors | Sequence[int] | Mapping[EdgeType, Sequence[int]],
        *,
        replace: bool = False,
        subgraph_type: SubgraphType | str = "directional",
        disjoint: bool = False,
        temporal_strategy: str = "uniform",
        time_attr: str | None = None,
        is_sorted: bool = False,
        seed: int = 0,
    ) -> None:
        kinds = tuple(kind.value for kind in SubgraphType)
        if str(getattr(subgraph_type, "value", subgraph_type)) not in kinds:
            raise unknown("subgraph type", subgraph_type, kinds)
        if temporal_strategy not in STRATEGIES:
            raise unknown("temporal strategy", temporal_strategy, STRATEGIES)
        self.subgraph_type = SubgraphType(subgraph_type)
        self.columns: Columns = columns_of(data, time_attr, is_sorted)
        self.num_neighbors = num_neighbors if isinstance(num_neighbors, NumNeighbors) else NumNeighbors(num_neighbors)
        self.disjoint = bool(disjoint) or self.columns.temporal
        if self.disjoint and self.subgraph_type is SubgraphType.induced:
            raise InputError("an induced subgraph is that of all seeds together; leave out disjoint, time or induced")
        self.seed, self.calls = seed, 0
        try:
            self._hops = hops.HopSampler(
                self.columns.relations,
                self.columns.num_nodes,
                self._fan_outs(),
                replace=replace,
                disjoint=self.disjoint,
                last=temporal_strategy == "last",
            )
            derive(seed)
        except ValueError as error:
            raise InputError(str(error)) from error

    def _fan_outs(self) -> dict[str, list[int]]:
        types = self.columns.edge_types
        if types is None:
            if not isinstance(self.num_neighbors.values, list | tuple):
                raise InputError(f"a graph of one edge type takes one list (got {self.num_neighbors.values})")
            return {HOMOGENEOUS: list(self.num_neighbors.get_values())}
        try:
            found = self.num_neighbors.get_values(list(types))
        except ValueError as error:
            raise InputError(f"num_neighbors: {error}; give each edge type a list, or a default") from error
        return {"__".join(each): list(found[each]) for each in types}

    @property
    def is_hetero(self) -> bool:
        """Whether the graph has kinds of nodes and edges."""
        return self.columns.edge_types is not None

    @property
    def is_temporal(self) -> bool:
        """Whether times are respected."""
        return self.columns.temporal

    @property
    def num_nodes(self) -> int | dict[str, int]:
        """Number of nodes, by kind in a heterogeneous graph."""
        counts = self.columns.num_nodes
        return counts if self.is_hetero else counts[HOMOGENEOUS]

    @property
    def edge_permutation(self) -> Any:
        """The edge that each sampled ``edge`` number stands for; None where they are the same."""
        perms = self.columns.perms
        if not self.is_hetero:
            return perms[HOMOGENEOUS]
        return {each: perms["__".join(each)] for each in self.columns.edge_types or ()}

    def sample_from_nodes(self, index: NodeSamplerInput) -> SamplerOutput | HeteroSamplerOutput:
        """Sample around nodes."""
        return self._finished(node_sample(index, self._sample))

    def sample_from_edges(
        self, index: EdgeSamplerInput, neg_sampling: NegativeSampling | None = None
    ) -> SamplerOutput | HeteroSamplerOutput:
        """Sample around the ends of edges, and around the negatives that PyG draws for them."""
        if self.columns.node_times and index.time is None:
            raise InputError("sampling edges by time needs the time of each: pass edge_label_time")
        node_time: Any = self.columns.node_times or None
        if node_time and not self.is_hetero:
            node_time = node_time[HOMOGENEOUS]
        found = edge_sample(index, self._sample, self.num_nodes, self.disjoint, node_time, neg_sampling)
        return self._finished(found)

    def _finished(self, found: Any) -> Any:
        return found.to_bidirectional() if self.subgraph_type is SubgraphType.bidirectional else found

    def _sample(
        self, seed: Tensor | dict[str, Tensor], seed_time: Tensor | dict[str, Tensor] | None = None
    ) -> SamplerOutput | HeteroSamplerOutput:
        nodes = seed if isinstance(seed, dict) else {HOMOGENEOUS: seed}
        times = seed_time if isinstance(seed_time, dict) or seed_time is None else {HOMOGENEOUS: seed_time}
        if times is None and self.columns.node_times:
            times = {kind: self.columns.time_of(kind, ids) for kind, ids in nodes.items()}
        worker = get_worker_info()
        salt = derive(self.seed, worker.seed if worker else 0, self.calls)
        self.calls += 1
        try:
            found = self._hops.sample(
                {kind: ids.numpy() for kind, ids in nodes.items()},
                salt,
                None if times is None else {kind: time.numpy() for kind, time in times.items()},
                induced=self.subgraph_type is SubgraphType.induced,
            )
        except ValueError as error:
            raise InputError(str(error)) from error
        return self._hetero(found) if self.is_hetero else self._homogeneous(found)

    def _homogeneous(self, found: hops.Sample) -> SamplerOutput:
        only = HOMOGENEOUS
        return SamplerOutput(
            node=torch.from_numpy(found.nodes[only]),
            row=torch.from_numpy(found.rows[only]),
            col=torch.from_numpy(found.cols[only]),
            edge=torch.from_numpy(found.slots[only]),
            batch=None if found.batch is None else torch.from_numpy(found.batch[only]),
            num_sampled_nodes=None if found.num_edges is None else found.num_nodes[only],
            num_sampled_edges=None if found.num_edges is None else found.num_edges[only],
        )

    def _hetero(self, found: hops.Sample) -> HeteroSamplerOutput:
        names = {each: "__".join(each) for each in self.columns.edge_types or ()}

        def by_type(parts: Mapping[str, np.ndarray[Any, Any]]) -> dict[Any, Tensor]:
            return {each: torch.from_numpy(parts[name]) for each, name in names.items()}

        counts = found.num_edges
        return HeteroSamplerOutput(
            node={kind: torch.from_numpy(ids) for kind, ids in found.nodes.items()},
            row=by_type(found.rows),
            col=by_type(found.cols),
            edge=by_type(found.slots),
            batch=None if found.batch is None else {kind: torch.from_numpy(ids) for kind, ids in found.batch.items()},
            num_sampled_nodes=None if counts is None else found.num_nodes,
            num_sampled_edges=None if counts is None else {each: counts[name] for each, name in names.items()},
        )
