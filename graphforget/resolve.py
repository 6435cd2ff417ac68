"""Resolve a deletion request on a graph: closure over twins and incident edges, masks, and the two parts.

The kinds are those of :class:`graphforget.forget.ForgetRequest`. Everything is checked before anything is built.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from graphforget.errors import InputError, unknown

if TYPE_CHECKING:
    from graphforget.graph import Graph

KINDS = ("edge", "node", "feature", "label", "node_class", "edge_class")
BIPARTITE_KINDS = ("interaction", "user", "item", "modality:NAME", "edge", "node")


@dataclass(frozen=True, eq=False)
class Resolved:
    """What a request means on one graph.

    Args:
        edges: [E] bool, edges to forget (twins and incident edges included).
        nodes: [N] bool, nodes to forget.
        cells: [N, F] bool over ``x``, or None: feature values to mask.
        items: {modality: [num_items] bool}, feature rows of items to mask.
        labels: [N] bool, labels to forget.
        valued: [N] bool, the nodes that lose a value but stay.
        touched: [N] bool, the nodes the forget part speaks for.
    """

    edges: Tensor
    nodes: Tensor
    cells: Tensor | None
    items: Mapping[str, Tensor]
    labels: Tensor
    valued: Tensor
    touched: Tensor


def resolve(graph: Graph, parts: Mapping[str, Tensor]) -> Resolved:
    """Resolve kind -> ids on a graph.

    Raises:
        InputError: unknown kind, ids out of range, edges that do not exist, or values the graph does not have.
    """
    device, size = graph.device, graph.num_nodes
    edges = torch.zeros(graph.num_edges, dtype=torch.bool, device=device)
    nodes = torch.zeros(size, dtype=torch.bool, device=device)
    labels, touched = nodes.clone(), nodes.clone()
    cells: Tensor | None = None
    items: dict[str, Tensor] = {}
    for kind, ids in parts.items():
        ids = ids.to(device)
        if kind == "edge" or (kind == "interaction" and graph.bipartite):
            edges |= _edges(graph, ids)
        elif kind in ("user", "item") and graph.bipartite:
            first = 0 if kind == "user" else graph.size[0]
            nodes[first : first + graph.size[kind == "item"]] |= _mask(ids, graph.size[kind == "item"], kind)
        elif kind.startswith("modality:") and graph.bipartite:
            items[kind.removeprefix("modality:")] = _rows(graph, kind.removeprefix("modality:"), ids)
        elif kind == "edge_class":
            edges |= _edge_class(graph, ids)
        elif kind == "node":
            nodes |= _mask(ids, size, "node")
        elif kind == "node_class":
            nodes |= _node_class(graph, ids)
        elif kind == "label":
            labels |= _labelled(graph, _mask(ids, size, "label"), ids)
        elif kind == "feature":
            cells = _cells(graph, ids) if cells is None else cells | _cells(graph, ids)
        else:
            raise unknown("request kind", kind, BIPARTITE_KINDS if graph.bipartite else KINDS)
    valued = _valued(graph, cells, items)
    asked = nodes | valued
    if graph.removed is not None and bool((asked & graph.removed).any()):
        gone = int((asked & graph.removed).nonzero()[0])
        raise InputError(f"node {gone} was forgotten by an earlier request; remove it from this one")
    ends = _ends(graph, graph.edge_index)
    touched[ends[:, edges].flatten()] = True
    edges |= nodes[ends].any(0)
    touched |= asked | labels
    return Resolved(edges, nodes, cells, items, labels, valued, touched)


def partition(graph: Graph, parts: Mapping[str, Tensor]) -> tuple[Graph, Graph]:
    """Return (forget, retain) of a graph; see :meth:`graphforget.graph.Graph.partition`."""
    found = resolve(graph.validate(), parts)
    removed = found.nodes if graph.removed is None else found.nodes | graph.removed
    own = graph.node_mask if graph.node_mask is not None else ~_or_none(graph.removed, found.nodes)
    asked = found.edges | found.valued[_ends(graph, graph.edge_index)].any(0)
    forget = graph.with_edges(asked, node_mask=found.touched)
    features = _masked(graph, found)
    y = graph.y
    if y is not None:
        y = y.masked_fill(found.nodes | found.labels, -1)
    retain = graph.with_edges(
        ~found.edges,
        features=features,
        y=y,
        node_mask=own & ~found.nodes & ~found.labels,
        removed=removed if bool(removed.any()) else None,
    )
    nothing = not bool(retain.node_mask.any()) or (graph.num_edges and not retain.num_edges)  # type: ignore[union-attr]
    unlabelled = bool(found.labels.any()) and y is not None and not bool((y >= 0).any())
    masked = found.cells is not None and bool((found.cells | removed[:, None]).all())
    if nothing or unlabelled or masked:
        raise InputError("the request covers everything the model learned from; train a new model instead")
    return forget, retain


def scrub(view: Graph, parts: Mapping[str, Tensor], data: Graph) -> Graph:
    """Return a validation view without what the request resolves to on ``data``."""
    found = resolve(data, parts)
    touching = found.nodes[_ends(view, view.edge_index)].any(0)
    code = view.edge_index[0] * view.size[1] + view.edge_index[1]
    gone = data.edge_index[:, found.edges]
    gone = gone if view.bipartite else torch.cat([gone, gone.flip(0)], dim=1)
    keep = ~touching & ~torch.isin(code, gone[0] * view.size[1] + gone[1])
    features = _masked(view, found)
    lost, y, node_mask = found.nodes | found.labels, view.y, view.node_mask
    if y is not None:
        if "node_class" in parts:  # the class as a whole goes, so its held-out members go as well
            lost = lost | torch.isin(y, parts["node_class"].to(y.device))
        y = y.masked_fill(lost, -1)
    if bool(lost.any()):
        node_mask = ~lost if node_mask is None else node_mask & ~lost
    negatives = view.negatives
    if negatives is not None:
        negatives = negatives[:, ~found.nodes[_ends(view, negatives)].any(0)]
    return replace(view.with_edges(keep), features=features, y=y, node_mask=node_mask, negatives=negatives)


def _masked(graph: Graph, found: Resolved) -> dict[str, Tensor]:
    """The features with the rows of forgotten nodes and the forgotten values set to zero."""
    features = dict(graph.features)
    if "x" in features and (bool(found.nodes.any()) or found.cells is not None):
        gone = found.nodes[:, None] if found.cells is None else found.nodes[:, None] | found.cells
        features["x"] = features["x"].masked_fill(gone, 0)
    if graph.bipartite:
        lost = found.nodes[graph.size[0] :]
        for name in features.keys() - {"x"}:
            rows = lost | found.items[name] if name in found.items else lost
            if bool(rows.any()):
                features[name] = features[name].masked_fill(rows[:, None], 0)
    return features


def _valued(graph: Graph, cells: Tensor | None, items: Mapping[str, Tensor]) -> Tensor:
    """[N] bool: the nodes that lose a feature value."""
    valued = torch.zeros(graph.num_nodes, dtype=torch.bool, device=graph.device)
    if cells is not None:
        valued |= cells.any(1)
    for rows in items.values():
        valued[graph.size[0] :] |= rows
    return valued


def _rows(graph: Graph, name: str, ids: Tensor) -> Tensor:
    """[num_items] bool: the items whose row of a modality goes."""
    known = tuple(sorted(graph.features.keys() - {"x"}))
    if name not in known:
        raise unknown("modality", name, known)
    return _mask(ids, graph.size[1], "item")


def _ends(graph: Graph, pairs: Tensor) -> Tensor:
    """[2, n] node ids of the endpoints: of a bipartite graph items follow the users, as in ``y`` and ``removed``."""
    return pairs + torch.tensor([[0], [graph.size[0]]], device=pairs.device) if graph.bipartite else pairs


def _or_none(mask: Tensor | None, like: Tensor) -> Tensor:
    return torch.zeros_like(like) if mask is None else mask


def _mask(ids: Tensor, size: int, kind: str) -> Tensor:
    if ids.dim() != 1:
        raise InputError(f"{kind} ids must have shape [n] (got {list(ids.shape)})")
    if int(ids.min()) < 0 or int(ids.max()) >= size:
        bad = int(ids.max()) if int(ids.max()) >= size else int(ids.min())
        raise InputError(f"{kind} ids must lie in [0, {size}) (got {bad})")
    mask = torch.zeros(size, dtype=torch.bool, device=ids.device)
    mask[ids] = True
    return mask


def _edges(graph: Graph, ids: Tensor) -> Tensor:
    if ids.dim() == 1:
        columns = _mask(ids, graph.num_edges, "edge")
        return graph.edge_mask(graph.edge_index[:, columns])
    if ids.dim() != 2 or ids.shape[0] != 2:
        raise InputError(f"edges must be columns [n] or pairs [2, n] (got {list(ids.shape)}); transpose them?")
    for row, limit in enumerate(graph.size):
        if int(ids[row].min()) < 0 or int(ids[row].max()) >= limit:
            bad = int(ids[row].max()) if int(ids[row].max()) >= limit else int(ids[row].min())
            raise InputError(f"edge ids must lie in [0, {limit}) (got {bad})")
    return graph.edge_mask(ids)


def _edge_class(graph: Graph, ids: Tensor) -> Tensor:
    if ids.dim() == 1:
        if "type" not in graph.edge_attrs:
            raise InputError(
                'an edge class by relation needs edge_attrs["type"]; or give [n, 2] labels of the endpoints'
            )
        hit = torch.isin(graph.edge_attrs["type"], ids)
    else:
        if graph.y is None:
            raise InputError("an edge class by endpoint labels needs y; the graph has no labels")
        ends = graph.y[graph.edge_index]
        hit = torch.zeros(graph.num_edges, dtype=torch.bool, device=graph.device)
        for a, b in ids.tolist():
            hit |= (ends[0] == a) & (ends[1] == b)
            if graph.undirected:
                hit |= (ends[0] == b) & (ends[1] == a)
    if not bool(hit.any()):
        raise InputError(f"no edge has the class {ids.tolist()}; check the relation types or labels")
    return hit


def _node_class(graph: Graph, ids: Tensor) -> Tensor:
    if graph.y is None:
        raise InputError("a node class needs y; the graph has no labels")
    hit = torch.isin(graph.y, ids)
    for label in ids.tolist():
        if label < 0 or not bool((graph.y == label).any()):
            known = graph.y[graph.y >= 0].unique().tolist()
            raise InputError(f"no node has the label {label}; known labels: {known}")
    return hit


def _labelled(graph: Graph, mask: Tensor, ids: Tensor) -> Tensor:
    if graph.y is None:
        raise InputError("a label request needs y; the graph has no labels")
    unlabelled = ids[graph.y[ids] < 0]
    if unlabelled.numel():
        raise InputError(f"node {int(unlabelled[0])} has no label to forget; remove it from the request")
    return mask


def _cells(graph: Graph, ids: Tensor) -> Tensor:
    x = graph.x
    cells = torch.zeros(x.shape, dtype=torch.bool, device=x.device)
    if ids.dim() == 1:
        cells[_mask(ids, x.shape[0], "feature")] = True
        return cells
    if ids.dim() != 2 or ids.shape[1] != 2:
        raise InputError(f"features must be nodes [n] or (node, column) rows [n, 2] (got {list(ids.shape)})")
    _mask(ids[:, 0].unique(), x.shape[0], "feature")
    _mask(ids[:, 1].unique(), x.shape[1], "feature column")
    cells[ids[:, 0], ids[:, 1]] = True
    return cells
