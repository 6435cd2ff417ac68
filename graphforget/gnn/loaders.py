"""``NeighborLoader`` and ``LinkNeighborLoader`` of PyG on our sampler: change the import, and nothing else.

Everything but the sampling is PyG's own, by inheritance: batching, workers, features, transforms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from torch import Tensor
from torch_geometric import loader
from torch_geometric.sampler import NumNeighbors
from torch_geometric.sampler.base import SubgraphType
from torch_geometric.typing import EdgeType

from graphforget.errors import NotApplicable
from graphforget.gnn.sampler import NeighborSampler

Fans: TypeAlias = NumNeighbors | Sequence[int] | Mapping[EdgeType, Sequence[int]]


class NeighborLoader(loader.NeighborLoader):  # type: ignore[misc] # PyG has no annotations that mypy reads
    """Mini-batches around nodes, as ``torch_geometric.loader.NeighborLoader`` makes them.

    Args:
        data: as for :class:`NeighborSampler`, as all that follow.
        num_neighbors: neighbours a hop.
        input_nodes: the seeds: ids, a mask, or (node type, either); None takes all.
        input_time: the time of each seed; None takes the nodes' own.
        replace: draw with replacement.
        subgraph_type: ``directional``, ``bidirectional`` or ``induced``.
        disjoint: a subgraph a seed.
        temporal_strategy: ``uniform`` or ``last``.
        time_attr: name of a time.
        weight_attr: PyG's name of edge weights, which this sampler does not serve.
        is_sorted: the edges are sorted by target.
        seed: an integer in [0, 2**64).
        options: further ones of PyG's loader and of torch's ``DataLoader``.

    Raises:
        InputError: what cannot be sampled.

    Example:
        >>> import torch
        >>> from torch_geometric.data import Data
        >>> ring = Data(x=torch.eye(4), edge_index=torch.tensor([[1, 2, 3, 0], [0, 1, 2, 3]]))
        >>> [batch.n_id.tolist() for batch in NeighborLoader(ring, [1, 1], batch_size=2)]
        [[0, 1, 2, 3], [2, 3, 0, 1]]
    """

    def __init__(
        self,
        data: Any,
        num_neighbors: Fans,
        input_nodes: Any = None,
        input_time: Tensor | None = None,
        replace: bool = False,
        subgraph_type: SubgraphType | str = "directional",
        disjoint: bool = False,
        temporal_strategy: str = "uniform",
        time_attr: str | None = None,
        weight_attr: str | None = None,
        *,
        is_sorted: bool = False,
        seed: int = 0,
        **options: Any,
    ) -> None:
        _unweighted(weight_attr)
        sampler = NeighborSampler(
            data,
            num_neighbors,
            replace=replace,
            subgraph_type=subgraph_type,
            disjoint=disjoint,
            temporal_strategy=temporal_strategy,
            time_attr=time_attr,
            is_sorted=is_sorted,
            seed=seed,
        )
        super().__init__(
            data,
            num_neighbors,
            input_nodes=input_nodes,
            input_time=input_time,
            time_attr=time_attr,
            neighbor_sampler=sampler,
            **options,
        )


class LinkNeighborLoader(loader.LinkNeighborLoader):  # type: ignore[misc] # as above
    """Mini-batches around edges, as ``torch_geometric.loader.LinkNeighborLoader`` makes them.

    Args:
        data: as for :class:`NeighborSampler`, as all that follow but the edges.
        num_neighbors: neighbours a hop.
        edge_label_index: the edges: [2, n], or (edge type, [2, n] or None); None takes all.
        edge_label: [n] labels.
        edge_label_time: [n] times, with ``time_attr``.
        replace: draw with replacement.
        subgraph_type: ``directional``, ``bidirectional`` or ``induced``.
        disjoint: a subgraph an edge.
        temporal_strategy: ``uniform`` or ``last``.
        neg_sampling: PyG's ``NegativeSampling``; PyG draws the negatives, and does not look whether they are edges.
        time_attr: name of a time.
        weight_attr: PyG's name of edge weights, which this sampler does not serve.
        is_sorted: the edges are sorted by target.
        seed: an integer in [0, 2**64).
        options: further ones of PyG's loader and of torch's ``DataLoader``.

    Raises:
        InputError: what cannot be sampled.
    """

    def __init__(
        self,
        data: Any,
        num_neighbors: Fans,
        edge_label_index: Any = None,
        edge_label: Tensor | None = None,
        edge_label_time: Tensor | None = None,
        replace: bool = False,
        subgraph_type: SubgraphType | str = "directional",
        disjoint: bool = False,
        temporal_strategy: str = "uniform",
        neg_sampling: Any = None,
        *,
        time_attr: str | None = None,
        weight_attr: str | None = None,
        is_sorted: bool = False,
        seed: int = 0,
        **options: Any,
    ) -> None:
        _unweighted(weight_attr)
        sampler = NeighborSampler(
            data,
            num_neighbors,
            replace=replace,
            subgraph_type=subgraph_type,
            disjoint=disjoint,
            temporal_strategy=temporal_strategy,
            time_attr=time_attr,
            is_sorted=is_sorted,
            seed=seed,
        )
        super().__init__(
            data,
            num_neighbors,
            edge_label_index=edge_label_index,
            edge_label=edge_label,
            edge_label_time=edge_label_time,
            neg_sampling=neg_sampling,
            time_attr=time_attr,
            neighbor_sampler=sampler,
            **options,
        )


def _unweighted(weight_attr: str | None) -> None:
    if weight_attr is not None:
        raise NotApplicable(f"edge weights are not sampled by (got weight_attr={weight_attr!r}); leave it out")
