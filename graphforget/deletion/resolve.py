"""External ids to elements of the data: what a request means, by closure rules, before anything changes.

An edge goes with its twin; a node with its incident edges, features and label; a user with all interactions; an item
with its interactions and its feature rows (and so with what a model derives from them, such as nearest neighbours). A
request for a node, user or item that names a relation or a time goes to those edges only. Pairs that only validation
or test hold were never trained on: they leave the data, and no model has to change for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from graphforget.deletion.keys import Key
from graphforget.deletion.records import PAIRED, Request, State
from graphforget.deletion.vocabulary import HASHED, Vocabulary
from graphforget.errors import InputError
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.graph import Graph
from graphforget.splits import Splits

Pair = tuple[int, int]


class Found(NamedTuple):
    """What one request means.

    Args:
        state: ``RESOLVED``, ``NOT_FOUND``, ``EXEMPT``, ``OPTED_OUT`` or ``REJECTED``.
        reason: in words, without ids.
        part: kind of :class:`graphforget.forget.ForgetRequest`, "" where nothing has to change.
        rows: ids of that kind.
        pairs: edges, once each.
    """

    state: State
    reason: str = ""
    part: str = ""
    rows: tuple[int, ...] = ()
    pairs: tuple[Pair, ...] = ()


@dataclass(frozen=True, eq=False)
class Batch:
    """Requests resolved together.

    Args:
        request: what the model has to forget, or None where it was trained on none of it.
        held_out: [2, n] pairs that only validation or test hold.
        marks: (mark, kind) of every element for the suppression list.
    """

    request: ForgetRequest | None
    held_out: Tensor
    marks: dict[str, list[tuple[str, str]]]


@dataclass(frozen=True, eq=False)
class Resolver:
    """Resolves requests on the data of a version.

    Args:
        splits: the data.
        names: external ids.
        key: the controller's.
    """

    splits: Splits[Graph]
    names: Vocabulary
    key: Key

    @property
    def train(self) -> Graph:
        """What the model was trained on."""
        return self.splits.train

    def one(self, request: Request) -> Found:
        """Resolve a request.

        Example:
            >>> view = Graph.from_edges(torch.tensor([[0, 1], [1, 2]]), 3)
            >>> names = Vocabulary({"node": ("ann", "bob", "eve")})
            >>> resolver = Resolver(Splits(view, view, view), names, Key(b"sixteen bytes or"))
            >>> resolver.one(Request("r1", "node", "bob")).rows, resolver.one(Request("r2", "node", "joe")).state.value
            ((1,), 'not_found')
        """
        if request.basis == "opt_out":
            return Found(State.OPTED_OUT, "opted out: suppressed from future training, the model is unchanged")
        if request.basis.startswith("exempt"):
            return Found(State.EXEMPT, request.basis)
        kinds = (
            ("user", "item", "interaction", "edge", "modality") if self.train.bipartite else ("node", "edge", "feature")
        )
        if request.kind not in kinds:
            return Found(State.REJECTED, f"this data has no {request.kind}; it has {', '.join(kinds)}")
        if request.kind in PAIRED:
            return self._pair(request)
        kind = {"feature": "node", "modality": "item"}.get(request.kind, request.kind)
        row = self._row(kind, request.subject)
        if row is None:
            gone = self.names.find(kind, self.key.mark(kind, request.subject)) is not None
            return Found(State.NOT_FOUND, "deleted already" if gone else f"no such {kind} in the data")
        first = self.train.size[0] if kind == "item" else 0
        if self.train.removed is not None and bool(self.train.removed[first + row]):
            return Found(State.NOT_FOUND, "deleted already")
        if request.narrowed:
            return self._narrowed(request, kind, row)
        if request.kind == "modality":
            return self._modality(request, row)
        if request.kind == "feature" and "x" not in self.train.features:
            return Found(State.REJECTED, "this data has no node features")
        return Found(State.RESOLVED, part=request.kind, rows=(row,))

    def mark(self, request: Request) -> str:
        """The HMAC of the subject, by its own id where the request names a hash of that."""
        own = request.mark(self.key, undirected=self.train.undirected)
        if request.kind in PAIRED:
            ends = self._ends(request)
            hashed = HASHED in (request.subject[: len(HASHED)], request.other[: len(HASHED)])
            return self.pair_mark(*ends) if hashed and ends is not None else own
        kind = {"feature": "node", "modality": "item"}.get(request.kind, request.kind)
        row = (
            self._row(kind, request.subject) if request.subject.startswith(HASHED) and kind in self.names.ids else None
        )
        return own if row is None else self.names.marked(kind, row, self.key)

    def _ends(self, request: Request) -> Pair | None:
        kinds = ("user", "item") if self.train.bipartite else ("node", "node")
        first, second = (
            self.names.find(kind, name) for kind, name in zip(kinds, (request.subject, request.other), strict=True)
        )
        return None if first is None or second is None else (first, second)

    def _row(self, kind: str, subject: str) -> int | None:
        row = self.names.find(kind, subject)
        if row is None and subject.startswith("hmac:"):
            return self._marked[kind].get(subject)
        return row

    @cached_property
    def _marked(self) -> dict[str, dict[str, int]]:
        """{kind: {mark: row}}: requests that come back after a rollback have no other name."""
        return {
            kind: {self.names.marked(kind, row, self.key): row for row, name in enumerate(names) if name}
            for kind, names in self.names.ids.items()
        }

    @cached_property
    def _marked_pairs(self) -> dict[str, Pair]:
        found = {}
        for view in self.splits:
            for u, v in view.pairs().T.tolist():
                found[self.pair_mark(u, v)] = (u, v)
        return found

    def pair_mark(self, u: int, v: int) -> str:
        """The HMAC of an edge, by the external ids of its ends."""
        kinds = ("user", "item") if self.train.bipartite else ("node", "node")
        ends = [self.names.ids[kind][row] for kind, row in zip(kinds, (u, v), strict=True)]
        return self.key.mark("pair", *(sorted(ends) if self.train.undirected else ends))

    def _pair(self, request: Request) -> Found:
        pair = self._marked_pairs.get(request.subject) if request.hidden else self._ends(request)
        if pair is None or not any(self._has(view, pair) for view in self.splits):
            return Found(State.NOT_FOUND, f"no such {request.kind} in the data")
        if request.narrowed and pair not in self._matching(request, torch.tensor([pair]).T):
            return Found(State.NOT_FOUND, "no such edge of that relation or time")
        return Found(State.RESOLVED, part="edge", pairs=(pair,))

    def _has(self, view: Graph, pair: Pair) -> bool:
        ends = torch.tensor([pair]).T
        return bool(view.has_edges(ends)) or (self.train.undirected and bool(view.has_edges(ends.flip(0))))

    def _narrowed(self, request: Request, kind: str, row: int) -> Found:
        side = 1 if kind == "item" else 0
        pairs: list[Pair] = []
        for view in self.splits:
            hit = view.edge_index[side] == row
            hit = hit | (view.edge_index[1] == row) if kind == "node" else hit
            pairs += self._matching(request, view.edge_index[:, hit], view, hit)
        if self.train.undirected:
            pairs = [(min(pair), max(pair)) for pair in pairs]
        once = tuple(dict.fromkeys(pairs))
        if not once:
            return Found(State.NOT_FOUND, f"the {kind} has no edge of that relation or time")
        return Found(State.RESOLVED, part="edge", pairs=once)

    def _matching(
        self, request: Request, pairs: Tensor, view: Graph | None = None, hit: Tensor | None = None
    ) -> list[Pair]:
        """The edges that the request's relation and time leave."""
        found: list[Pair] = []
        views = self.splits if view is None else [view]
        for each in views:
            columns = each.locate(pairs) if hit is None else hit.nonzero().flatten()
            columns = columns[columns >= 0]
            keep = torch.ones(len(columns), dtype=torch.bool)
            if request.relation:
                keep &= self._attr(each, "type")[columns] == _number(request.relation)
            if request.t_from is not None:
                keep &= self._attr(each, "time")[columns] >= request.t_from
            if request.t_to is not None:
                keep &= self._attr(each, "time")[columns] < request.t_to
            found += [(u, v) for u, v in each.edge_index[:, columns[keep]].T.tolist()]
        return found

    def _attr(self, view: Graph, name: str) -> Tensor:
        if name not in view.edge_attrs:
            column = "relation" if name == "type" else "t_from and t_to"
            raise InputError(f"the data has no {name} of its edges (got a request with {column}); leave them empty")
        return view.edge_attrs[name]

    def _modality(self, request: Request, row: int) -> Found:
        known = sorted(self.train.features)
        name = request.relation or (known[0] if len(known) == 1 else "")
        if name not in known:
            have = ", ".join(known) or "none"
            return Found(State.REJECTED, f"relation must name one of the modalities of the data: {have}")
        return Found(State.RESOLVED, part=f"modality:{name}", rows=(row,))

    def together(self, requests: Iterable[tuple[str, Request, Found]]) -> Batch:
        """Merge requests that were found into one.

        Args:
            requests: (id, request, what it means).
        """
        rows: dict[str, set[int]] = {}
        pairs: list[Pair] = []
        marks: dict[str, list[tuple[str, str]]] = {}
        for name, request, found in requests:
            if found.part == "edge":
                pairs += found.pairs
                marks[name] = [(self.pair_mark(u, v), "pair") for u, v in found.pairs]
            elif found.part:
                rows.setdefault(found.part, set()).update(found.rows)
                marks[name] = [(self.mark(request), request.kind)]
        parts = {kind: torch.tensor(sorted(ids)) for kind, ids in rows.items()}
        trained, held_out = self._trained(pairs)
        if trained.shape[1]:
            parts["edge"] = trained
        return Batch(ForgetRequest(parts) if parts else None, held_out, marks)

    def _trained(self, pairs: Sequence[Pair]) -> tuple[Tensor, Tensor]:
        """Pairs that the model was trained on, and pairs that only the other views hold."""
        if not pairs:
            none = torch.empty(2, 0, dtype=torch.int64)
            return none, none
        ends = torch.tensor(sorted(set(pairs))).T.contiguous()
        if self.train.undirected:
            ends = torch.unique(torch.stack([ends.amin(0), ends.amax(0)]), dim=1)
        inside = self.train.has_edges(ends)
        return ends[:, inside], ends[:, ~inside]


def remaining(splits: Splits[Graph], batch: Batch) -> tuple[ForgetSplit[Graph] | None, Splits[Graph]]:
    """Take what a batch names out of the data.

    Returns:
        The split for the unlearner (None where the model was trained on none of it), and the three views that are left.

    Raises:
        InputError: the batch covers everything.
    """
    views = [splits.train, *(_dropped(view, batch.held_out) for view in (splits.val, splits.test))]
    if batch.request is None:
        return None, Splits(*views)
    split = ForgetSplit.of(views[0], batch.request, views[1])
    return split, Splits(split.retain, split.held_out, views[2].scrub(batch.request.parts, views[0]))


def _dropped(view: Graph, pairs: Tensor) -> Graph:
    """A view without some pairs, in either direction where the data is undirected."""
    if not pairs.shape[1]:
        return view
    both = pairs if view.bipartite else torch.cat([pairs, pairs.flip(0)], dim=1)
    code = both[0] * view.size[1] + both[1]
    return view.with_edges(~torch.isin(view.edge_index[0] * view.size[1] + view.edge_index[1], code))


def counts(split: ForgetSplit[Graph] | None, batch: Batch) -> dict[str, int]:
    """What a batch comes to: shown before anything changes."""
    found = {"held_out_edges": int(batch.held_out.shape[1])}
    if split is None or batch.request is None:
        return found
    before, after = split.data, split.retain
    gone = _removed(after) & ~_removed(before)
    users = before.size[0]
    if before.bipartite:
        found |= {"users": int(gone[:users].sum()), "items": int(gone[users:].sum())}
        found["interactions"] = before.num_edges - after.num_edges
    else:
        found |= {"nodes": int(gone.sum()), "edges": (before.num_edges - after.num_edges) // (1 + before.undirected)}
        if before.y is not None and after.y is not None:
            found["labels"] = int((before.y != after.y).sum())
    rows = 0
    for name, values in before.features.items():
        if values is not after.features[name]:
            rows += int((values != after.features[name]).any(1).sum())
    found["feature_rows"] = rows
    return {name: value for name, value in found.items() if value}


def _removed(graph: Graph) -> Tensor:
    return torch.zeros(graph.num_nodes, dtype=torch.bool) if graph.removed is None else graph.removed


def _number(relation: str) -> int:
    try:
        return int(relation)
    except ValueError as error:
        raise InputError(f"relation must be the number of an edge type (got {relation[:80]!r}); look it up") from error
