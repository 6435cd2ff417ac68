"""Unlearn from a trained model of RecBole and give back a model of RecBole.

1. Raw tokens become RecBole's ids; unknown ones are listed.
2. The model is wrapped, the training data becomes a graph, a method of ours unlearns.
3. The data sets lose the rows: users and items lose them in train, valid and test, their side features are blanked.
4. A second instance of the model is built on the retained training data and gets the new weights; nothing is cached.

The graph is data: what the given objects and the files of the original run still hold is listed in ``Result.report``.
:func:`recsys.recbole.save` writes a checkpoint and data without the forgotten.
"""

from __future__ import annotations

import copy
import importlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import nn

from graphforget.errors import InputError, unknown
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.graph import Graph
from graphforget.task import Task
from graphforget.unlearner import Unlearner
from recsys.recbole.compat import compatible
from recsys.recbole.convert import dataset_of, to_graph, without_rows
from recsys.recbole.loaders import loaders_of, quiet_trainer
from recsys.recbole.own import Own, state_of
from recsys.recbole.places import places
from recsys.recbole.request import Forgotten, resolve
from recsys.recbole.wrap import Wrapped, check_size, clear_caches
from recsys.task import RECIPE, Recommendation

USUAL = "mmrecun_calibrated"
METHODS = {  # those that keep the architecture; RecEraser gives an ensemble, which RecBole cannot load
    "row_reset": ("recsys.row_reset", "RowReset"),
    "retrain": ("graphforget.methods.retrain", "Retrain"),
    "finetune": ("graphforget.methods.finetune", "FineTune"),
    "mmrecun": ("recsys.mmrecun", "MMRecUN"),
    "mmrecun_calibrated": ("recsys.mmrecun_calibrated", "CalibratedMMRecUN"),
    "rrl": ("recsys.rrl", "RRL"),
    "scif": ("recsys.scif", "SCIF"),
    "amnesiac": ("recsys.amnesiac", "Amnesiac"),
    "gradient_ascent": ("graphforget.methods.gradient_ascent", "GradientAscent"),
    "d2dgn": ("graphforget.methods.d2dgn", "D2DGN"),
    "d2dgn_calibrated": ("graphforget.methods.d2dgn_calibrated", "CalibratedD2DGN"),
}


@dataclass(frozen=True, eq=False)
class Result:
    """What :func:`unlearn` gives back.

    Args:
        model: an instance of the given class, built on the retained training data, without caches.
        config: RecBole's config of the given data.
        dataset: the retained training data.
        train_data: data loaders without the forgotten, ids unchanged.
        valid_data: likewise.
        test_data: likewise; None when no test data was given.
        skipped: tokens that were not found, with ``skip_missing=True``.
        report: place -> what it may still hold of the forgotten.
        record: what the method left for the next request.
    """

    model: nn.Module
    config: Any
    dataset: Any
    train_data: Any
    valid_data: Any
    test_data: Any
    skipped: tuple[str, ...]
    report: Mapping[str, str]
    record: Mapping[str, Any]


class Data(NamedTuple):
    """RecBole's three data loaders; the last is None when there is no test data."""

    train_data: Any
    valid_data: Any
    test_data: Any


def unlearn(
    model: nn.Module,
    train_data: Any,
    valid_data: Any,
    test_data: Any = None,
    *,
    users: Iterable[str] | None = None,
    items: Iterable[str] | None = None,
    interactions: Iterable[tuple[str, str]] | None = None,
    features: Mapping[str, Iterable[str]] | None = None,
    method: str | Unlearner = USUAL,
    task: Task[Any] | None = None,
    skip_missing: bool = False,
    seed: int = 0,
) -> Result:
    """Unlearn users, items, single interactions or item features from a trained model of RecBole.

    Args:
        model: an instance of a supported class (:func:`recsys.recbole.supported`); left untouched.
        train_data: RecBole's data loader that it was trained on; left untouched, as the other two.
        valid_data: for stop rules, and to be filtered.
        test_data: to be filtered; never read by a method.
        users: raw tokens, as in the .inter file.
        items: raw tokens.
        interactions: (user, item) pairs of raw tokens.
        features: modality -> raw tokens of items whose features go (a withdrawn licence); only our own models read any.
        method: a name in ``METHODS`` or any Unlearner.
        task: how such models run; None takes learning rate, batch size and weight decay of the config.
        skip_missing: leave out tokens that the data does not know, instead of raising.
        seed: of everything random.

    Raises:
        InputError: an unsupported or foreign model, unknown tokens, or an empty request; nothing was changed.
    """
    data = (train_data, valid_data, test_data)
    if features and not isinstance(model, Own):
        raise InputError(f"{type(model).__name__} of RecBole reads no item features; nothing has to be unlearned")
    forgotten = resolve(_datasets(data), users, items, interactions, features, skip_missing)
    chosen = _method(method)
    train, valid = dataset_of(train_data), dataset_of(valid_data)
    config = train.config
    with compatible():
        own = isinstance(model, Own)
        given = _ours(model, train) if own else Wrapped(model, train, config)
        graph, held_out = (to_graph(part).to(config["device"]) for part in (train, valid))
        split = ForgetSplit.of(graph, _request(forgotten, train, graph), held_out)
        found = chosen.unlearn(given, task or task_of(config), split, seed=seed)
        if type(found.model) is not type(given):
            raise InputError(
                f"{type(chosen).__name__} returns another kind of model (got {type(found.model).__name__}), which "
                "RecBole cannot load; choose a method that keeps the architecture"
            )
        kept = _filtered(config, data, forgotten)
        dataset = dataset_of(kept.train_data)
        state = state_of(found.model) if own else found.model.inner.state_dict()
        new = rebuilt(type(model), config, dataset, state, seed)
        nn.Module.train(new, model.training)
    return Result(new, config, dataset, *kept, forgotten.skipped, places(config, forgotten), found.record)


def filtered(
    train_data: Any,
    valid_data: Any,
    test_data: Any = None,
    *,
    users: Iterable[str] | None = None,
    items: Iterable[str] | None = None,
    interactions: Iterable[tuple[str, str]] | None = None,
    features: Mapping[str, Iterable[str]] | None = None,
    skip_missing: bool = False,
) -> Data:
    """Return data loaders without users, items or interactions, ids unchanged, as :func:`unlearn` does.

    A model that is computed from the data when it is built (EASE, ItemKNN, ...) forgets exactly when it is built anew
    on ``filtered(...).train_data.dataset``.

    Args:
        train_data: RecBole's data loaders; left untouched.
        valid_data: likewise.
        test_data: likewise, or None.
        users: raw tokens, as in the .inter file.
        items: raw tokens.
        interactions: (user, item) pairs of raw tokens.
        features: modality -> raw tokens of items whose features go.
        skip_missing: leave out tokens that the data does not know, instead of raising.

    Raises:
        InputError: unknown tokens, or an empty request.
    """
    data = (train_data, valid_data, test_data)
    forgotten = resolve(_datasets(data), users, items, interactions, features, skip_missing)
    with compatible():
        return _filtered(dataset_of(train_data).config, data, forgotten)


def evaluate(model: nn.Module, train_data: Any, eval_data: Any, config: Any = None) -> dict[str, float]:
    """Score a model by RecBole's own ``Trainer.evaluate``, without writing a file.

    Args:
        model: of RecBole.
        train_data: its training data loader; some metrics count items there.
        eval_data: the data loader to rank.
        config: which metrics at which cut; None takes the one of the data.

    Returns:
        {"recall@10": ..., ...} as RecBole names them.

    Raises:
        InputError: there is nothing to rank.
    """
    if not len(dataset_of(eval_data)):
        raise InputError("the data to rank holds no interaction; pass the data loader of another part")
    config = train_data.config if config is None else config
    training = model.training
    with compatible():
        clear_caches(model)
        trainer = quiet_trainer(config, model)
        trainer.eval_collector.data_collect(train_data)
        found = trainer.evaluate(eval_data, load_best_model=False, show_progress=False)
        clear_caches(model)
    nn.Module.train(model, training)  # not SGL's own train, which would draw views
    return {name: float(value) for name, value in found.items()}


def rebuilt(model_class: type[nn.Module], config: Any, dataset: Any, state: Mapping[str, Any], seed: int) -> nn.Module:
    """Build a model of RecBole on a data set, give it weights, and leave nothing cached."""
    torch.manual_seed(seed)
    new = model_class(config, dataset).to(config["device"])
    new.load_state_dict(copy.deepcopy(dict(state)))
    clear_caches(new)
    return new


def task_of(config: Any) -> Recommendation:
    """Return the task with the learning rate, batch size and weight decay of a config of RecBole."""
    recipe = replace(
        RECIPE,
        lr=float(config["learning_rate"]),
        batch_size=int(config["train_batch_size"]),
        weight_decay=float(config["weight_decay"] or 0),
    )
    return Recommendation(recipe=recipe)


def _ours(model: Any, dataset: Any) -> Any:
    """The recommender inside a model of :mod:`recsys.recbole.own`: it has our contract already."""
    check_size(model, dataset)
    return model.recommender


def _datasets(data: Iterable[Any]) -> list[Any]:
    return [dataset_of(part) for part in data if part is not None]


def _filtered(config: Any, data: Iterable[Any], forgotten: Forgotten) -> Data:
    kept = [forgotten.filtered(part) for part in _datasets(data)]
    tested = len(kept) == 3
    made = loaders_of(config, kept if tested else [*kept, without_rows(kept[1])])
    return Data(made[0], made[1], made[2] if tested else None)


def _request(forgotten: Forgotten, dataset: Any, graph: Graph) -> ForgetRequest:
    if not (bool(forgotten.hit(dataset).any()) or forgotten.features):
        raise InputError("the model was not trained on any of these interactions; nothing has to be unlearned")
    parts = {}
    nodes = torch.cat([forgotten.users, forgotten.items + graph.size[0]])
    if len(nodes):
        parts["node"] = nodes
    learned = forgotten.pairs[:, graph.has_edges(forgotten.pairs).cpu()]
    if learned.shape[1]:
        parts["edge"] = learned
    parts |= {f"modality:{name}": rows for name, rows in forgotten.features.items()}
    return ForgetRequest(parts)


def _method(method: str | Unlearner) -> Unlearner:
    if isinstance(method, Unlearner):
        if not method.drop_in:
            raise InputError(
                f"{type(method).__name__} returns another kind of model, which RecBole cannot load (got it as method); "
                "choose a method that keeps the architecture"
            )
        return method
    if method not in METHODS:
        raise unknown("method", method, METHODS)
    module, name = METHODS[method]
    chosen: Unlearner = getattr(importlib.import_module(module), name)()
    return chosen
