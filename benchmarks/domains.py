"""What the runner has to know of a domain, in one object: graphs, recommenders, images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from benchmarks.cell import Cell
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.report import Row
from graphforget.splits import Splits
from graphforget.task import Task
from graphforget.train import Recipe
from graphforget.unlearner import Unlearned


class Drawn(NamedTuple):
    """A request, and the data it is drawn on.

    Args:
        splits: with what was planted.
        request: what is forgotten.
        target: the item that planted users push, where there is one.
    """

    splits: Splits[Any]
    request: ForgetRequest
    target: int | None = None


class Asked(NamedTuple):
    """A request made ready for a domain's own figures.

    Args:
        task: how models run.
        split: the request, resolved.
        test: the test part.
        request: what is forgotten.
        target: the item that planted users push, where there is one.
        original: gives the original model.
        gold: gives the first gold.
    """

    task: Task[Any]
    split: ForgetSplit[Any]
    test: Any
    request: ForgetRequest
    target: int | None
    original: Callable[[], nn.Module]
    gold: Callable[[], nn.Module]


def no_more(asked: Asked, result: Unlearned) -> Row:
    """Add no figure of a domain's own."""
    return {}


@dataclass(frozen=True)
class Domain:
    """The parts of a benchmark that differ between domains.

    Args:
        subject: of the help text.
        tasks: catalog key of a task, the usual one first -> what is forgotten unless told otherwise.
        kinds: what can be forgotten.
        pools: where it can be drawn.
        models: their keys.
        model: the usual one.
        methods: catalog keys of the methods that run unless told otherwise.
        ratio: per cent that is forgotten unless told otherwise.
        recipes: how each task's models are trained.
        load: (cell, root) -> the data.
        draw: (cell, data) -> the request.
        build: (cell, data, root) -> a never-trained model.
        shape: (cell) -> what else decides a trained model's weights; part of the name of a cached one.
        fields: method -> fields that differ from the method's own defaults in this domain.
        flags: names of the optional flags that only this domain has.
        counts: kind -> number that is forgotten unless told otherwise, where it is no share.
        task_with: arguments of the task that hold for every cell.
        options: (cell, root) -> further arguments of the task.
        flops: count operations; it costs little where a step is one large product, and only torch's own are counted.
        more: figures of the domain's own.
        recall: reads what training left for later requests, where it leaves anything (its notes can ``save``).
    """

    subject: str
    tasks: Mapping[str, str]
    kinds: tuple[str, ...]
    pools: tuple[str, ...]
    models: tuple[str, ...]
    model: str
    methods: tuple[str, ...]
    ratio: float
    recipes: dict[str, Recipe]
    load: Callable[[Cell, Path | None], Splits[Any]]
    draw: Callable[[Cell, Splits[Any]], Drawn]
    build: Callable[[Cell, Splits[Any], Path | None], nn.Module]
    shape: Callable[[Cell], Any]
    fields: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    task_with: Mapping[str, Any] = field(default_factory=dict)
    options: Callable[[Cell, Path | None], dict[str, Any]] = lambda cell, root: {}
    flops: bool = True
    more: Callable[[Asked, Unlearned], Row] = no_more
    recall: Callable[[Path], Mapping[str, Any]] | None = None


def of(dataset: str) -> Domain:
    """The domain of a data set, by the table that names its module; graphs have all the others."""
    from benchmarks.diffusions import DIFFUSIONS
    from benchmarks.federations import FEDERATIONS
    from benchmarks.graphs import GRAPHS
    from benchmarks.images import IMAGES
    from benchmarks.languages import LANGUAGES
    from benchmarks.linears import LINEARS
    from benchmarks.recommenders import RECOMMENDERS
    from benchmarks.regressions import REGRESSIONS
    from graphforget.influence import cards as linear_cards
    from graphforget.llm import cards as text_cards
    from graphforget.vision import cards as image_cards
    from recsys import cards

    known: dict[str, Domain] = {
        **dict.fromkeys(cards.DATASETS, RECOMMENDERS),
        **dict.fromkeys(image_cards.DATASETS, IMAGES),
        **dict.fromkeys(linear_cards.DATASETS, LINEARS),
        **dict.fromkeys(text_cards.DATASETS, LANGUAGES),
        **REGRESSIONS,
        **FEDERATIONS,
        **DIFFUSIONS,
    }
    return known.get(dataset, GRAPHS)


def typed(dataset: str) -> str:
    """What a reader types to run a data set.

    Example:
        >>> typed("cora"), typed("federated_mnist")
        ('python -m benchmarks.cora', 'python -m benchmarks.federated --data mnist')
    """
    return f"python -m benchmarks.{dataset.replace('federated_', 'federated --data ', 1)}"
