"""Which methods can serve a request, and which one is recommended, with the reason.

The recommendation is the table "Which method when" of the README, whose figures are measured; where the plan has
prices, a method that costs as much as retraining gives way to retraining.
"""

from __future__ import annotations

from typing import NamedTuple

from graphforget import catalog
from graphforget.deletion.deployment import Deployment, Scalar, method_of
from graphforget.errors import InputError
from graphforget.forget import ForgetSplit
from graphforget.graph import Graph
from graphforget.task import Task
from graphforget.unlearner import Unlearner

OURS = "mmrecun_calibrated"  # of recommenders
FEW = 0.005  # of the trained interactions


class Choice(NamedTuple):
    """A method and why.

    Args:
        name: catalog key or import path.
        method: configured.
        reason: in words.
    """

    name: str
    method: Unlearner
    reason: str


def applicable(task: Task[object], split: ForgetSplit[Graph]) -> dict[str, str]:
    """{method: "" where it applies, else why not} over the catalog.

    Args:
        task: of the deployment.
        split: the request.
    """
    found = {}
    removed = _whole(split)
    for name in catalog.METHODS:
        kind = catalog.method(name)
        lacking = [need.__name__ for need in kind.needs if not isinstance(task, need)]
        if lacking:
            found[name] = f"needs a task that is {' and '.join(lacking)}"
        elif not kind.drop_in:
            found[name] = "changes the architecture: its result is no drop-in"
        elif name == "row_reset" and not removed:
            found[name] = "forgets users, items and modalities; single interactions have no row of their own"
        else:
            found[name] = ""
    return found


def _whole(split: ForgetSplit[Graph]) -> bool:
    """Does the request take users, items or nodes, or feature rows, and not only edges."""
    before, after = split.data, split.retain
    newly = after.removed is not None and (before.removed is None or bool((after.removed & ~before.removed).any()))
    return newly or any(values is not after.features[name] for name, values in before.features.items())


def recommend(deployment: Deployment, task: Task[object], split: ForgetSplit[Graph]) -> Choice:
    """The method for a request: the deployment's own, else the README's table.

    Args:
        deployment: may name a method.
        task: of the deployment.
        split: the request.

    Raises:
        InputError: the deployment's task is the user's own and it names no method.
    """
    if deployment.method is not None:
        method = method_of(deployment.method, deployment.settings)
        return Choice(deployment.method, method, "named in the deployment")
    if deployment.task == "recommend":
        return _recommender(split)
    if deployment.task == "link":
        name, reason = "d2dgn_calibrated", "links: nearest to gold in the measured pools (README, Which method when)"
    elif deployment.task == "node":
        name, reason = "finetune", "nodes: at about the noise floor at the lowest cost (README, Which method when)"
    else:
        raise InputError(f"the deployment must name a method for its own task (got {deployment.task!r}); pass --method")
    return Choice(name, method_of(name, {}), reason)


def _recommender(split: ForgetSplit[Graph]) -> Choice:
    """Ours, whatever goes; whole users and items one after the other, refitted each time, would be an overfit model."""
    if not _whole(split):
        reason = "single interactions have no row of their own: their excess belief is taken away"
        return Choice(OURS, method_of(OURS, {}), reason)
    settings: dict[str, Scalar] = {}
    reason = "whole users, items or modalities: their rows are drawn anew and the rest is trained on"
    share = split.forget.num_edges / max(split.data.num_edges, 1)
    if share <= FEW and not _valued(split):
        settings["refit"] = 1
        reason += f"; few interactions go ({share:.2%}), so refit=1: requests one by one add up"
    return Choice(OURS, method_of(OURS, settings), reason)


def _valued(split: ForgetSplit[Graph]) -> bool:
    """Does the request take feature rows of items that stay: its interactions stay as well."""
    before, after = split.data, split.retain
    return any(values is not after.features[name] for name, values in before.features.items())
