"""One request tried out whole: an original, three golds, and every method beside them, each with what it cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from graphforget.cost import measure
from graphforget.evidence import compare
from graphforget.forget import ForgetSplit
from graphforget.methods.retrain import Retrain
from graphforget.report import ORIGINAL, Report
from graphforget.task import Task
from graphforget.train import progress
from graphforget.unlearner import Unlearned, Unlearner

GOLDS = 3


@dataclass(frozen=True, eq=False)
class Trial:
    """What came of it.

    Args:
        report: figures and seconds of every model.
        original: trained on everything.
        golds: trained without the forgotten, each from a seed of its own.
        results: method -> what it gave back.
    """

    report: Report
    original: nn.Module
    golds: list[Unlearned]
    results: dict[str, Unlearned]


def try_out(
    task: Task[Any],
    split: ForgetSplit[Any],
    test: Any,
    blank: nn.Module,
    methods: Mapping[str, Unlearner],
    *,
    seed: int,
    keys: Mapping[str, Any],
    request: str,
    say: Callable[[str], None],
) -> Trial:
    """Train an original and three golds, run every method, and compare.

    Args:
        task: how models run.
        split: the request.
        test: data that no model was trained or chosen on.
        blank: the untrained model, trained in place as the original.
        methods: name -> method.
        seed: of the original and the methods; golds have seeds of their own.
        keys: columns repeated in every row of the report.
        request: what is forgotten, in words.
        say: receives a line before each step.
    """
    report = Report(dict(keys))
    with progress():
        say("training the original")
        with measure() as cost:
            original = task.fit(blank, split.data, split.held_out, seed=seed)
        report.add(ORIGINAL, "", {("all", "seconds"): cost.seconds})
        say(f"request: forget {request}; training three golds without them, the reference")
        golds = []
        for k in range(GOLDS):
            with measure() as cost:
                golds.append(Retrain().unlearn(original, task, split, seed=seed + 100 + k))
            report.add("gold", "retrain", {("all", "seconds"): cost.seconds})
        results = {}
        for name, method in methods.items():
            say(f"unlearning with {name}")
            with measure() as cost:
                results[name] = method.unlearn(original, task, split, seed=seed)
            report.add("unlearned", name, {("all", "seconds"): cost.seconds})
    report.rows += compare(task, split, test, original=original, golds=golds, unlearned=results, keys=keys).rows
    return Trial(report, original, golds, results)
