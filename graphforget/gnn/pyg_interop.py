"""PyG data in and out, and requests as masks on it."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from itertools import chain
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data, HeteroData
from torch_geometric.transforms import BaseTransform

from graphforget import resolve
from graphforget.errors import InputError
from graphforget.forget import ForgetRequest
from graphforget.graph import Graph

EDGE_MASK, NODE_MASK = "edge_forget_mask", "node_forget_mask"


def from_pyg(data: Data | HeteroData) -> Graph:
    """Convert PyG data: homogeneous, or one relation of a HeteroData (a user-item graph when it joins two node types).

    Edge-level attributes become ``edge_attrs``; integer ``y`` [N] or [N, 1] becomes labels; a ``train_mask`` [N]
    becomes ``node_mask``. A reverse relation ``rev_*`` that mirrors the relation is not counted twice.

    Raises:
        InputError: no ``edge_index``, several relations, or an invalid graph.

    Example:
        >>> data = Data(x=torch.eye(3), edge_index=torch.tensor([[0, 1], [1, 0]]))
        >>> graph = from_pyg(data)
        >>> graph.undirected, graph.size
        (True, (3, 3))
    """
    if isinstance(data, HeteroData):
        return _from_hetero(data)
    if "edge_index" not in data or data.edge_index is None:
        raise InputError("the Data has no edge_index; turn adj_t back (ToSparseTensor made it)")
    count = num_nodes(data)
    features = {"x": data.x} if isinstance(data.get("x"), Tensor) else {}
    mask = data.get("train_mask")
    node_mask = mask if isinstance(mask, Tensor) and mask.dtype == torch.bool and mask.shape == (count,) else None
    edge_index = data.edge_index.long()
    graph = Graph(
        edge_index,
        (count, count),
        features=features,
        edge_attrs={name: data[key] for name, key in edge_keys(data).items()},
        y=labels_of(data.get("y"), count),
        node_mask=node_mask,
    ).validate()
    if not data.is_undirected():
        return graph
    return replace(graph, undirected=True).validate()


def to_pyg(graph: Graph) -> Data | HeteroData:
    """Convert to PyG: Data, or HeteroData ``user``-``interacts``-``item`` for a bipartite graph.

    Example:
        >>> to_pyg(Graph.from_edges(torch.tensor([[0], [1]]), 2, features={"x": torch.eye(2)}))
        Data(x=[2, 2], edge_index=[2, 2], num_nodes=2)
    """
    attrs = {prefixed(name): value for name, value in graph.edge_attrs.items()}
    if graph.bipartite:
        data = HeteroData()
        data["user"].num_nodes, data["item"].num_nodes = graph.size
        for name, value in graph.features.items():
            if name == "x":
                data["user"].x, data["item"].x = value[: graph.size[0]], value[graph.size[0] :]
            else:
                data["item"][name] = value
        data["user", "interacts", "item"].edge_index = graph.edge_index
        for name, value in attrs.items():
            data["user", "interacts", "item"][name] = value
        return data
    fields: dict[str, Any] = dict(graph.features)
    fields |= {"edge_index": graph.edge_index, **attrs, "num_nodes": graph.num_nodes}
    if graph.y is not None:
        fields["y"] = graph.y
    if graph.node_mask is not None:
        fields["train_mask"] = graph.node_mask
    return Data(**fields)


def num_nodes(data: Any) -> int:
    """Return the number of nodes of a PyG store."""
    count = data.num_nodes
    if count is None:
        raise InputError("the number of nodes is not known; set data.num_nodes")
    return int(count)


def prefixed(name: str) -> str:
    """Return PyG's key of an edge attribute."""
    return name if name.startswith("edge_") else f"edge_{name}"


def edge_keys(store: Any) -> dict[str, str]:
    """Return our name -> the key of each edge-level tensor of a PyG store."""
    keys: dict[str, str] = {}
    for key in store.edge_attrs():
        if key in ("edge_index", EDGE_MASK) or key.startswith("edge_label") or not isinstance(store[key], Tensor):
            continue
        short = key.removeprefix("edge_")
        keys[key if short in keys else short] = key
    return keys


def labels_of(y: Any, count: int) -> Tensor | None:
    """[N] integer labels given as [N] or [N, 1]; None for targets of another form."""
    if not isinstance(y, Tensor) or y.is_floating_point() or y.dtype == torch.bool:
        return None
    if y.shape not in ((count,), (count, 1)):
        return None
    return y.flatten().long()


def like_data(original: Data, graph: Graph) -> Data:
    """Give a graph back as Data with everything else of the original; edge labels of forgotten edges go too."""
    count = num_nodes(original)
    same_size(graph, (count, count))
    result = copy(original)
    for key in (EDGE_MASK, NODE_MASK):
        if key in result:
            del result[key]
    keys = edge_keys(original)
    old = original.edge_index
    result.edge_index = graph.edge_index
    for name, key in keys.items():
        result[key] = graph.edge_attrs[name]
    _relabel(result, old, graph)
    if "x" in graph.features:
        result.x = graph.features["x"]
    for key in original.node_attrs():
        value = original[key]
        if key in ("x", NODE_MASK, *keys.values()) or not isinstance(value, Tensor) or value.shape[:1] != (count,):
            continue
        if key == "y" and graph.y is not None:
            result.y = graph.y.view_as(value).to(value.dtype)
        elif key == "train_mask" and graph.node_mask is not None:
            result.train_mask = graph.node_mask
        else:
            result[key] = emptied(value, graph.removed)
    if result.num_nodes != count:
        result.num_nodes = count  # guessed from the edges before, of which there are fewer now
    return result


def _relabel(result: Data, old: Tensor, graph: Graph) -> None:
    """Drop forgotten edges from edge_label_index, which RandomLinkSplit leaves beside the graph."""
    asked = result.get("edge_label_index")
    if not isinstance(asked, Tensor):
        return
    before = Graph(old.long(), graph.size, undirected=graph.undirected)
    forgotten = before.has_edges(asked) & ~graph.has_edges(asked)
    if graph.undirected:
        forgotten |= before.has_edges(asked.flip(0)) & ~graph.has_edges(asked.flip(0))
    if graph.removed is not None:
        forgotten |= graph.removed[asked].any(0)
    result.edge_label_index = asked[:, ~forgotten]
    label = result.get("edge_label")
    if isinstance(label, Tensor) and label.shape[:1] == (asked.shape[1],):
        result.edge_label = label[~forgotten]


def emptied(value: Tensor, removed: Tensor | None) -> Tensor:
    """Clear the rows of removed nodes: zero in float attributes, False in masks; other types are ids and stay."""
    if removed is None or not (value.is_floating_point() or value.dtype == torch.bool):
        return value
    return value.masked_fill(removed.to(value.device).view(-1, *[1] * (value.dim() - 1)), 0)


def same_size(graph: Graph, size: tuple[int, int]) -> None:
    """Raise InputError where a graph is not of the original's nodes."""
    if graph.size != size:
        raise InputError(f"the graph has size {graph.size}, the original {size}; they must be of the same nodes")


def relation(data: HeteroData) -> tuple[tuple[str, str, str], tuple[str, str, str] | None]:
    """Return the one relation of a HeteroData, and its mirror where there is one."""
    kinds = [kind for kind in data.edge_types if "edge_index" in data[kind]]
    forward = [kind for kind in kinds if not kind[1].startswith("rev_")] or kinds
    if len(forward) != 1:
        raise InputError(f"a HeteroData must have one relation (got {kinds}); take one out, as data[src, rel, dst]")
    (kind,) = forward
    others = [each for each in kinds if each != kind]
    if not others:
        return kind, None
    mirror = others[0]
    if len(others) > 1 or (mirror[0], mirror[2]) != (kind[2], kind[0]) or not _mirrors(data, kind, mirror):
        raise InputError(f"the relations {others} do not mirror {kind}; a HeteroData must have one relation")
    return kind, mirror


def _mirrors(data: HeteroData, kind: tuple[str, str, str], mirror: tuple[str, str, str]) -> bool:
    def codes(edges: Tensor) -> Tensor:
        return (edges[0] * num_nodes(data[kind[2]]) + edges[1]).sort().values

    return codes(data[kind].edge_index).equal(codes(data[mirror].edge_index.flip(0)))


def _from_hetero(data: HeteroData) -> Graph:
    kind, _ = relation(data)
    source, _, target = kind
    store = data[kind]
    edge_attrs = {name: store[key] for name, key in edge_keys(store).items()}
    if source == target:
        count = num_nodes(data[source])
        plain = Data(edge_index=store.edge_index, num_nodes=count)
        for key in ("x", "y", "train_mask"):
            if isinstance(data[source].get(key), Tensor):
                plain[key] = data[source][key]
        for name, value in edge_attrs.items():
            plain[prefixed(name)] = value
        return from_pyg(plain)
    size = (num_nodes(data[source]), num_nodes(data[target]))
    features: dict[str, Tensor] = {}
    ends = [data[kind_].get("x") for kind_ in (source, target)]
    if all(isinstance(x, Tensor) for x in ends) and ends[0].shape[1:] == ends[1].shape[1:]:
        features["x"] = torch.cat(ends)
    for key, value in data[target].items():
        if isinstance(value, Tensor) and value.is_floating_point() and value.dim() == 2 and value.shape[0] == size[1]:
            if key != "x":
                features[key] = value
            elif "x" not in features:
                features[target] = value
    graph = Graph(store.edge_index.long(), size, bipartite=True, features=features, edge_attrs=edge_attrs)
    return graph.validate()


def like_hetero(original: HeteroData, graph: Graph) -> HeteroData:
    """Give a graph back as HeteroData with everything else of the original; a mirror relation follows."""
    kind, mirror = relation(original)
    source, _, target = kind
    size = (num_nodes(original[source]), num_nodes(original[target]))
    same_size(graph, size)
    result = copy(original)
    ends = [(source, slice(0, size[0]))]
    ends += [(target, slice(size[0], None))] if source != target else []
    for name, rows in ends:
        store = result[name]
        removed = None if graph.removed is None else graph.removed[rows]
        if NODE_MASK in store:
            del store[NODE_MASK]
        for key, value in list(store.items()):
            if isinstance(value, Tensor) and value.shape[:1] == (num_nodes(original[name]),):
                store[key] = emptied(value, removed)
        if "x" in graph.features and "x" in store:
            store.x = graph.features["x"][rows]
        if source == target and graph.y is not None and "y" in store:
            store.y = graph.y.view_as(store.y).to(store.y.dtype)
        if source == target and graph.node_mask is not None and "train_mask" in store:
            store.train_mask = graph.node_mask
        store.num_nodes = num_nodes(original[name])
    store = result[kind]
    if EDGE_MASK in store:
        del store[EDGE_MASK]
    for name, key in edge_keys(original[kind]).items():
        store[key] = graph.edge_attrs[name]
    store.edge_index = graph.edge_index
    if mirror is not None:
        back = result[mirror]
        for key in list(edge_keys(original[mirror]).values()):
            if key not in edge_keys(original[kind]).values():
                raise InputError(f"{key} of {mirror} is not on {kind}; it cannot be carried over")
            back[key] = store[key]
        back.edge_index = graph.edge_index.flip(0)
    return result


class MarkForget(BaseTransform):  # type: ignore[misc]
    """A PyG transform that marks what to forget: ``edge_forget_mask`` [E] and ``node_forget_mask`` [N].

    Args:
        edges: [2, n] pairs; of an undirected graph either direction marks both.
        nodes: [n] ids.

    Raises:
        InputError: when called: an edge or a node that the data does not have.

    Example:
        >>> data = Data(edge_index=torch.tensor([[0, 1, 2], [1, 0, 0]]), num_nodes=3)
        >>> MarkForget(edges=[[0], [1]])(data).edge_forget_mask.tolist()
        [True, False, False]
    """

    def __init__(
        self,
        edges: Tensor | Sequence[Sequence[int]] | None = None,
        nodes: Tensor | Sequence[int] | None = None,
    ) -> None:
        if edges is None and nodes is None:
            raise InputError("nothing to mark (got neither edges nor nodes); name at least one element to forget")
        self.edges = None if edges is None else ForgetRequest.of("edge", edges)
        self.nodes = None if nodes is None else ForgetRequest.of("node", nodes)

    def forward(self, data: Data) -> Data:
        """Set the masks on a copy of the data (BaseTransform copies it)."""
        graph = from_pyg(data)
        if self.edges is not None:
            data[EDGE_MASK] = resolve.resolve(graph, self.edges.parts).edges
        if self.nodes is not None:
            data[NODE_MASK] = resolve.resolve(graph, self.nodes.parts).nodes
        return data

    def __repr__(self) -> str:
        parts = chain(*(request.parts.items() for request in (self.edges, self.nodes) if request is not None))
        return f"MarkForget({', '.join(f'{ids.shape[-1]} {kind}s' for kind, ids in parts)})"
