"""RecBole's models under the contract of recommenders: ``model(graph) -> (users [U, d], items [I, d])``.

RecBole computes adjacencies and histories when a model is built, and keeps embeddings from one evaluation to the next:
after a deletion both are stale. :class:`Wrapped` holds no data between calls. For each graph it builds a sibling of the
model on that graph by RecBole's own code, takes the data-derived attributes from it (:mod:`recsys.recbole.models` lists
them by class), puts them in for the time of a call and takes them out again. The table is weak: when a graph goes, so
does everything computed from it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary, ref

import torch
from torch import Tensor, nn

from graphforget.errors import InputError
from graphforget.graph import Graph
from graphforget.train import draw_seed, seeded
from recsys.recbole.clusters import cluster
from recsys.recbole.compat import compatible
from recsys.recbole.convert import dataset_of, to_graph, with_graph, without_rows
from recsys.recbole.models import KINDS, name_of
from recsys.task import Recommendation


class Wrapped(nn.Module):
    """A model of RecBole as one of ours; the model that is given is copied and left alone.

    Args:
        model: an instance of a supported class, trained or not.
        data: what it was built on: the training data loader, or its dataset.
        config: RecBole's config; None takes the one of the dataset.

    Raises:
        InputError: the class is not supported, or the model was built on a dataset of another size.
    """

    def __init__(self, model: nn.Module, data: Any, config: Any = None) -> None:
        super().__init__()
        dataset = dataset_of(data)
        config = dataset.config if config is None else config
        check(model, dataset)
        self.source = Source(type(model), config, dataset)
        self.source.table[to_graph(dataset)] = _taken(model, self.source.kind.data)
        self.inner: Any = _copy_without(model, (*self.source.kind.data, *self.source.kind.epoch))
        clear_caches(self.inner)
        self._cached_epoch: tuple[Any, dict[str, Any]] | None = None  # (weak graph, what it drew); the base clears it

    def forward(self, graph: Graph) -> tuple[Tensor, Tensor]:
        """Return [U, d] users and [I, d] items of the model on a graph; their dot product is its score."""
        with self.bound(graph) as inner:
            users, items = self.source.kind.embed(inner)
        return users, items

    def loss(self, graph: Graph, index: Tensor) -> Tensor:
        """Return RecBole's own loss of a batch, its parts summed.

        Args:
            graph: what the model may see.
            index: [3, B] users, positives and negatives. Auto-encoders and ENMF learn from the users' rows of the
                graph and ignore the items.
        """
        if self.source.kind.epoch and self._epoch_of(graph) is None:
            self.begin_epoch(graph, torch.Generator().manual_seed(_seed()))
        with self.bound(graph) as inner:
            _put(inner, self._epoch_of(graph) or {})
            options = {"encoder_flag": True} if self.source.name == "RecVAE" else {}
            found = inner.calculate_loss(self._interaction(graph, index), **options)
        return sum(found) if isinstance(found, tuple) else found  # type: ignore[return-value]

    def begin_epoch(self, graph: Graph, rng: torch.Generator) -> None:
        """Do what RecBole's trainers do before an epoch: SGL's views, NCL's clusters, RecVAE's prior."""
        if self.source.name == "RecVAE":
            self.inner.update_prior()
        if not self.source.kind.epoch:
            return
        with seeded(draw_seed(rng)), self.bound(graph) as inner:
            if self.source.name == "SGL":
                inner.graph_construction()
            else:
                cluster(inner)
            self._cached_epoch = (ref(graph), _taken(inner, self.source.kind.epoch))

    def reset_parameters(self) -> None:
        """Draw every weight anew as RecBole does: from a sibling that is built on a single interaction."""
        state = self.source.untrained().state_dict()
        self.inner.load_state_dict(state)

    def reset_rows(self, users: Tensor, items: Tensor) -> None:
        """Draw the rows of some users and items anew, at the scale of the whole table.

        Args:
            users: [n] ids. An auto-encoder has no rows for users: what it knows of one is the history in the graph.
            items: [m] ids.
        """
        new = self.source.untrained()
        whose = {"user": users, "item": items, "both": torch.cat([users, items + self.inner.n_users])}
        with torch.no_grad():
            for owner, axis, name in self.source.kind.rows:
                table = _get(self.inner, name)
                if table is not None:  # LINE of the first order has no contexts
                    ids = whose[owner].to(table.device)
                    table.index_copy_(axis, ids, _get(new, name).index_select(axis, ids))

    def train(self, mode: bool = True) -> Wrapped:
        """Set the mode of every module; SGL's own ``train`` would draw views of data that is not there."""
        for module in self.modules():
            module.training = mode
        return self

    @contextmanager
    def bound(self, graph: Graph) -> Iterator[Any]:
        """Give the RecBole model with a graph's data in place; after the block it holds none."""
        kind = self.source.kind
        _put(self.inner, self.source.data(graph))
        _mend(self.inner, self.source.name)
        try:
            yield self.inner
        finally:
            _put(self.inner, dict.fromkeys((*kind.data, *kind.epoch)))
            clear_caches(self.inner)

    def _epoch_of(self, graph: Graph) -> dict[str, Any] | None:
        if self._cached_epoch is None or self._cached_epoch[0]() is not graph:
            return None
        return self._cached_epoch[1]

    def _interaction(self, graph: Graph, index: Tensor) -> Any:
        from recbole.data.interaction import Interaction

        inner, asks = self.inner, self.source.kind.asks
        users, positives, negatives = index.to(next(self.inner.parameters()).device)
        if asks == "users":
            return Interaction({inner.USER_ID: users.unique()})
        if asks == "labels":
            label = torch.cat([torch.ones_like(users), torch.zeros_like(users)]).float()
            items = torch.cat([positives, negatives])
            return Interaction({inner.USER_ID: users.repeat(2), inner.ITEM_ID: items, inner.LABEL: label})
        if self.source.name == "SimpleX" and inner.neg_seq_len > 1:  # one block of B after the other
            pairs = torch.stack([users, positives]).repeat(1, inner.neg_seq_len - 1)
            more = Recommendation().triples(graph, graph, pairs, _seed())
            users, positives, negatives = torch.cat([torch.stack([users, positives, negatives]), more], dim=1)
        return Interaction({inner.USER_ID: users, inner.ITEM_ID: positives, inner.NEG_ITEM_ID: negatives})


class Source:
    """What a wrapped model is built from: its class, config, id maps, and the weak table of what graphs gave.

    Copies of a wrapped model share it.
    """

    def __init__(self, model_class: type[nn.Module], config: Any, dataset: Any) -> None:
        self.model_class, self.config = model_class, config
        self.name = name_of(model_class)
        self.kind = KINDS[self.name]
        self.dataset = without_rows(dataset)
        self.table: WeakKeyDictionary[Graph, dict[str, Any]] = WeakKeyDictionary()

    def __deepcopy__(self, memo: dict[int, Any]) -> Source:
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "table": None}  # weak references are not pickled

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, table=WeakKeyDictionary())

    def build(self, graph: Graph, seed: int) -> nn.Module:
        """Build an untrained model of the class on a graph."""
        with compatible(), seeded(seed):
            dataset = with_graph(self.dataset, graph)
            return self.model_class(self.config, dataset).to(self.config["device"])

    def data(self, graph: Graph) -> dict[str, Any]:
        """Return {attribute: value} that RecBole computes from a graph."""
        if not self.kind.data:
            return {}
        if graph not in self.table:
            self.table[graph] = _taken(self.build(graph, int(self.config["seed"])), self.kind.data)
        return self.table[graph]

    def untrained(self) -> nn.Module:
        """Build a model with new weights, drawn from torch's state, that has seen one made-up interaction."""
        seed = _seed()
        size = (int(self.dataset.user_num), int(self.dataset.item_num))
        columns = {name: torch.ones(1) for name in ("rating", "time")}
        return self.build(Graph(torch.ones(2, 1, dtype=torch.int64), size, bipartite=True, edge_attrs=columns), seed)


def check(model: nn.Module, dataset: Any) -> None:
    """Raise InputError when a model cannot be wrapped with a dataset."""
    name_of(type(model))
    check_size(model, dataset)
    if getattr(model, "inter_matrix_type", "01") != "01":
        raise InputError("DMF on ratings is not supported (got inter_matrix_type='rating'); train it with '01'")


def check_size(model: nn.Module, dataset: Any) -> None:
    """Raise InputError when a model was built on a dataset with other numbers of users or items."""
    given = (int(model.n_users), int(model.n_items))  # type: ignore[arg-type]
    size = (int(dataset.user_num), int(dataset.item_num))
    if given != size:
        raise InputError(
            f"the model was built on another dataset: it has {given} users and items with padding (got {size} in the "
            "data); give the data it was trained on"
        )


def clear_caches(model: nn.Module) -> None:
    """Set to None what RecBole keeps from one evaluation to the next: it would score by the old weights and data."""
    for name in getattr(model, "other_parameter_name", ()):
        if name.startswith("restore_") or name == "i_embedding":  # other classes keep their one result there
            setattr(model, name, None)


def _mend(inner: Any, name: str) -> None:
    """Let the two classes run on less data than they were trained on, where RecBole itself would fail."""
    if name == "FISM":  # a user without history: 0 ** -alpha is infinite
        inner.history_lens = inner.history_lens.clamp(min=1)
    if name == "DGCF":  # fewer interactions make the sample larger than what it is drawn from
        inner.cor_batch_size = min(inner.cor_batch_size, inner.n_users, inner.n_items)


def _copy_without(model: nn.Module, names: tuple[str, ...]) -> nn.Module:
    """Copy a model but for some attributes, which are None in the copy."""
    own = _taken(model, names)
    _put(model, dict.fromkeys(names))
    try:
        return copy.deepcopy(model)
    finally:
        _put(model, own)


def _seed() -> int:
    return int(torch.randint(2**31, ()))


def _owner(model: nn.Module, name: str) -> tuple[Any, str]:
    *path, last = name.split(".")
    owner: Any = model
    for part in path:
        owner = owner[int(part)] if part.lstrip("-").isdigit() else getattr(owner, part, None)
    return owner, last


def _get(model: nn.Module, name: str) -> Any:
    owner, last = _owner(model, name)
    return owner[int(last)] if last.isdigit() else getattr(owner, last, None)


def _taken(model: nn.Module, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: _get(model, name) for name in names}


def _put(model: nn.Module, values: dict[str, Any]) -> None:
    for name, value in values.items():
        owner, last = _owner(model, name)
        setattr(owner, last, value)
