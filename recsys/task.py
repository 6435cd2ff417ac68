"""How recommenders are run, trained and scored: pairwise ranking of items for users.

The model contract is ``model(graph) -> (users [U, d], items [I, d])``; a score is their dot product. A model that has
its own full training loss names it ``loss(graph, index)`` for triples [3, B] of users, positives and negatives, and
what it wants done before an epoch ``begin_epoch(graph, rng)``. Any other model is trained by BPR.

An element is an interaction. Asked beside a negative it is the row [y_up, y_un] with label 0, so that cross-entropy is
BPR and its reverse has label 1. Asked alone its second logit is the user's mean score over all items: the belief in a
pair is how far it stands above the user's average item.

Negatives avoid the positives of context and view. Items that a request removed are no negative: a model that never saw
an item cannot be taught that it is disliked. ``removed_negatives`` keeps them in, as RecBole's sampler does. They are
uniform, or by popularity in the context, in which nothing forgotten counts any more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from graphforget.errors import InputError, NotApplicable, unknown
from graphforget.forget import ForgetSplit
from graphforget.graph import Graph
from graphforget.kernels import csr, khop, negative
from graphforget.kernels.bpr import Negatives
from graphforget.task import Ask, Batch, Task, evaluating
from graphforget.train import Recipe, draw_seed
from recsys import derived, metrics
from recsys.profile import Profile
from recsys.structure import pair_structure
from recsys.tables import tables

IntArray = npt.NDArray[np.int64]
NEGATIVES = ("uniform", "popularity")
UNSEEN = 1e-9  # interactions that an item without any counts for
RECIPE = Recipe(epochs=1000, patience=60, lr=1e-3, batch_size=2048, eval_every=2)


def embed(model: nn.Module, graph: Graph) -> tuple[Tensor, Tensor]:
    """[U, d] users and [I, d] items of a model on a graph.

    Raises:
        InputError: the model returns something else.
    """
    found = model(graph)
    shapes = [list(part.shape) if isinstance(part, Tensor) else type(part).__name__ for part in _parts(found)]
    if len(shapes) != 2 or any(
        not isinstance(part, Tensor) or part.dim() != 2 or part.shape[0] != size
        for part, size in zip(_parts(found), graph.size, strict=False)
    ):
        raise InputError(
            f"model(graph) must return (users [{graph.size[0]}, d], items [{graph.size[1]}, d]) (got {shapes}); "
            "check its forward"
        )
    users, items = found
    return users, items


def _parts(found: Any) -> tuple[Any, ...]:
    return tuple(found) if isinstance(found, tuple | list) else (found,)


@dataclass(frozen=True)
class Recommendation(Task[Graph]):
    """Rank items for users.

    Args:
        recipe: see :class:`graphforget.task.Task`; Adam 1e-3, batches of 2,048, patience 60 by default.
        factory: see :class:`graphforget.task.Task`.
        cut: k of the recall@k and ndcg@k that training watches.
        removed_negatives: keep removed items in the pool of negatives.
        negatives: ``uniform``, or ``popularity``: in proportion to the interactions of each item in the context.
        max_users: rank for at most so many users of a part, evenly spaced (None: for all).
        beside: [U] item that a pair of each user is asked beside; None: the user's mean over all items.

    Example:
        >>> from recsys.models.bpr import BPR
        >>> graph = Graph(torch.tensor([[0, 0, 1], [0, 1, 2]]), (2, 4), bipartite=True)
        >>> task = Recommendation()
        >>> task.outputs(BPR(2, 4), graph, task.elements(graph, graph)).shape
        torch.Size([3, 2])
    """

    recipe: Recipe | Any = RECIPE
    cut: int = 20
    removed_negatives: bool = False
    negatives: str = "uniform"
    max_users: int | None = None
    beside: Tensor | None = None

    score_name: ClassVar[str] = "recall@20"

    def __post_init__(self) -> None:
        if self.negatives not in NEGATIVES:
            raise unknown("distribution of negatives", self.negatives, NEGATIVES)

    def batches(self, context: Graph, view: Graph, rng: torch.Generator | None) -> Iterator[Batch]:
        """Interactions once each, [2, B]; with ``rng`` triples [3, B] with a fresh negative each."""
        pairs = view.pairs()
        if not pairs.shape[1]:
            return
        if rng is None:
            yield Batch(pairs, torch.zeros(pairs.shape[1], dtype=torch.int64, device=pairs.device))
            return
        order = torch.randperm(pairs.shape[1], generator=rng).to(pairs.device)
        index = self.triples(context, view, pairs[:, order], draw_seed(rng))
        label = torch.zeros(index.shape[1], dtype=torch.int64, device=pairs.device)
        size = getattr(self.recipe, "batch_size", None) or index.shape[1]
        for part, zeros in zip(index.split(size, dim=1), label.split(size), strict=True):
            yield Batch(part, zeros)

    def triples(self, context: Graph, view: Graph, pairs: Tensor, seed: int) -> Tensor:
        """[3, n] pairs with an item that the user has in neither context nor view.

        Raises:
            InputError: a user has every item; the message lists such users.
        """
        indptr, indices, catalogue = self._taken(context, view)
        users = pairs[0].cpu().numpy()
        try:
            if self.negatives == "popularity":
                counts = derived.of(context).item_degree.cpu().numpy()[catalogue]
                drawn = Negatives(indptr, indices, len(catalogue), counts + UNSEEN).draw(users, seed)
            else:
                drawn = negative.structured_negatives(indptr, indices, users, len(catalogue), seed, exclude_self=False)
        except ValueError as error:
            full = np.flatnonzero(np.bincount(users, minlength=len(indptr) - 1) * (np.diff(indptr) >= len(catalogue)))
            if not len(full):
                raise InputError(f"no negative item can be drawn: {error}") from error
            more = f" and {len(full) - 5:,} more" if len(full) > 5 else ""
            raise InputError(
                f"no negative item can be drawn for user {', '.join(map(str, full[:5]))}{more}, with all"
                f" {len(catalogue):,} items: such a user teaches no preference; leave it out of the training data, or"
                " forget it whole"
            ) from error
        return torch.cat([pairs, torch.from_numpy(catalogue[drawn]).to(pairs.device)[None]])

    def _taken(self, context: Graph, view: Graph) -> tuple[IntArray, IntArray, IntArray]:
        """(indptr, indices, catalogue): each user's positives among the items that can be drawn, relabelled; cached."""
        table = _TAKEN.setdefault(context, WeakKeyDictionary())
        found = table.get(view)
        if found is None or found[0] != self.removed_negatives:
            edges = context.edge_index if view is context else torch.cat([context.edge_index, view.edge_index], dim=1)
            users, items = edges.cpu().numpy()
            keep = np.ones(context.size[1], dtype=bool)
            if context.removed is not None and not self.removed_negatives:
                keep = ~context.removed[context.size[0] :].cpu().numpy()
            if context.core is not None:
                keep = keep & context.core[context.size[0] :].cpu().numpy()
            label, inside = np.cumsum(keep) - 1, keep[items]
            code = np.unique(users[inside] * context.size[1] + label[items[inside]])
            users, items = code // context.size[1], code % context.size[1]
            indptr, indices, _ = csr.from_coo(users, items, context.size[0], int(keep.sum()))
            found = (self.removed_negatives, (indptr, indices, np.flatnonzero(keep)))
            table[view] = found
        return found[1]

    def last_shown(self, model: nn.Module, split: ForgetSplit[Graph]) -> Tensor:
        """[U] the item at place ``cut`` of each user's ranking of what it never had, the forgotten among what it had.

        To be shown is to stand above it. A user with fewer such items than ``cut`` has its last one.
        """
        with evaluating(model), torch.no_grad():
            users, items = embed(model, split.retain)
        *mask, catalogue = self._taken(split.retain, split.gone)
        shown = torch.from_numpy(catalogue).to(items.device)
        everyone = torch.arange(len(users), device=users.device)
        ranked = metrics.rank(users, items[shown], everyone, (mask[0], mask[1]), min(self.cut, len(catalogue))).items
        last = np.maximum((ranked >= 0).sum(1) - 1, 0)
        return torch.from_numpy(catalogue[ranked[np.arange(len(ranked)), last]])

    def bind(self, model: nn.Module, context: Graph) -> Ask:
        """Embed once; see :meth:`graphforget.task.Task.bind`."""
        device = next((p.device for p in model.parameters()), context.device)
        users, items = embed(model, context.to(device))
        mean = items.index_select(0, derived.of(context).catalogue.to(device)).mean(0)
        beside = None if self.beside is None else self.beside.to(device)

        def ask(batch: Batch) -> Tensor:
            index = batch.index.to(device)
            u, p = users.index_select(0, index[0]), items.index_select(0, index[1])
            if len(index) == 3:
                other = items.index_select(0, index[2])
            else:
                other = mean if beside is None else items.index_select(0, beside.index_select(0, index[0]))
            return torch.stack([(u * p).sum(1), (u * other).sum(1)], dim=1)

        return ask

    def begin_epoch(self, model: nn.Module, context: Graph, rng: torch.Generator) -> None:
        """Call the model's own ``begin_epoch`` when it has one."""
        begin = getattr(model, "begin_epoch", None)
        if callable(begin):
            begin(context, rng)

    def loss(self, model: nn.Module, context: Graph, batch: Batch) -> Tensor:
        """The model's own loss of triples, or BPR: -mean log sigmoid(y_up - y_un)."""
        own = getattr(model, "loss", None)
        if callable(own) and len(batch.index) == 3 and not bool(batch.label.any()):
            found: Tensor = own(context, batch.index)
            return found
        return super().loss(model, context, batch)

    def evaluate(
        self, model: nn.Module, context: Graph, view: Graph, reference: Tensor | None = None
    ) -> dict[str, float]:
        """Recall and ndcg of a view's interactions; the context's other interactions are not shown."""
        with evaluating(model), torch.no_grad():
            users, items = embed(model, context)
        mask = derived.of(_besides(context, view)).positives
        truth = derived.of(view).positives
        asked = metrics.thinned(view.edge_index[0].unique(), self.max_users)
        ranked = metrics.rank(users, items, asked, mask, self.cut)
        found = metrics.figures(ranked, truth, (self.cut,))
        return {name: float(value.mean()) for name, value in found.items()}

    def held_out_score(self, model: nn.Module, context: Graph, held_out: Graph) -> float:
        """recall@cut of the held-out interactions."""
        return self.evaluate(model, context, held_out)[f"recall@{self.cut}"]

    def scores(self, outputs: Tensor, batch: Batch) -> Tensor:
        """[B] how far the pair stands above its negative, or above the user's mean."""
        return outputs[:, 0] - outputs[:, 1]

    def shift(self, outputs: Tensor, batch: Batch, delta: Tensor) -> Tensor:
        """[B, 2] outputs with the pair's score lowered by delta."""
        return torch.stack([outputs[:, 0] - delta, outputs[:, 1]], dim=1)

    def structure(self, context: Graph, batch: Batch) -> npt.NDArray[np.float64]:
        """[B, 6 + M] see :func:`recsys.structure.pair_structure`."""
        return pair_structure(context, batch)

    def sample(self, view: Graph, count: int, rng: torch.Generator) -> Batch:
        """A random sample of the view's interactions."""
        pairs = view.pairs()
        rows = torch.randperm(pairs.shape[1], generator=rng)[:count].to(view.device)
        return Batch(pairs[:, rows], torch.zeros(len(rows), dtype=torch.int64, device=view.device))

    def unlinked(self, split: ForgetSplit[Graph], batch: Batch) -> Graph:
        """The retain graph without those of the interactions that are in it."""
        inside = split.retain.has_edges(batch.index[:2])
        return split.retain.unlinked(batch.index[:2, inside]) if bool(inside.any()) else split.retain

    def depth(self, model: nn.Module) -> int:
        """Hops that a row reads: the model's ``layers`` or ``n_layers``; none where it has no such number (BPR).

        Raises:
            NotApplicable: the model links items of the whole catalogue to one another.
        """
        if getattr(model, "item_layers", 0):
            raise NotApplicable(f"{type(model).__name__} propagates on a graph of all items; unlearn it in full")
        layers = getattr(model, "layers", getattr(model, "n_layers", 0))
        return layers if isinstance(layers, int) else 0

    def tables(self, model: nn.Module, size: tuple[int, int]) -> Iterator[tuple[str, nn.Parameter, str]]:
        """See :func:`recsys.tables.tables`."""
        return tables(model, size)

    def near(self, split: ForgetSplit[Graph], batch: Batch, hops: int) -> Tensor:
        """[B] bool: are the user or the items within ``hops`` of the request (in the whole graph)."""
        distance = self.distance(split, hops)
        shift = torch.tensor([[0], *[[split.data.size[0]]] * (len(batch.index) - 1)], device=batch.index.device)
        return (distance[(batch.index + shift).to(distance.device)] >= 0).any(0).to(batch.index.device)

    def distance(self, split: ForgetSplit[Graph], hops: int) -> Tensor:
        """[U + I] hops from the request's users and items in the whole graph, -1 beyond ``hops``."""
        key = _DISTANCE.setdefault(split, {})
        if hops not in key:
            users, items = split.data.edge_index.cpu().numpy()
            items = items + split.data.size[0]
            total = sum(split.data.size)
            indptr, indices, _ = csr.from_coo(np.append(users, items), np.append(items, users), total, total)
            found = khop.k_hop_distance(indptr, indices, split.forget.nodes().cpu().numpy(), hops)
            key[hops] = torch.from_numpy(np.asarray(found, dtype=np.int64))
        return key[hops]

    def region(self, split: ForgetSplit[Graph], hops: int) -> float:
        """Share of users and items within ``hops`` of the request."""
        return float((self.distance(split, hops) >= 0).float().mean())

    def profile(self, model: nn.Module, context: Graph, split: ForgetSplit[Graph], test: Graph) -> Profile:
        """Rankings for every part; the masks are those of the retain part, the same for every model."""
        with evaluating(model), torch.no_grad():
            users, items = embed(model, context)
        return Profile.of(users.detach(), items.detach(), split, test, self.max_users)

    def figures(self, profile: Profile) -> dict[tuple[str, str], float]:
        """Ranking figures of one model; see :class:`recsys.profile.Profile`."""
        return profile.figures()

    def apart(self, profile: Profile, other: Profile) -> dict[tuple[str, str], float]:
        """Distance of two models' rankings."""
        return profile.apart(other)


_TAKEN: WeakKeyDictionary[Graph, WeakKeyDictionary[Graph, Any]] = WeakKeyDictionary()
_BESIDES: WeakKeyDictionary[Graph, WeakKeyDictionary[Graph, Graph]] = WeakKeyDictionary()
_DISTANCE: WeakKeyDictionary[Any, dict[int, Tensor]] = WeakKeyDictionary()


def _besides(context: Graph, view: Graph) -> Graph:
    """The context without the interactions of a view, which are not hidden from its own ranking; cached."""
    table = _BESIDES.setdefault(context, WeakKeyDictionary())
    if view not in table:
        table[view] = replace(context.without(view))  # a new Graph even when nothing goes: the key would keep itself
    return table[view]
