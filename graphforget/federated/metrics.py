"""Figures of federated unlearning: success of a backdoor, and the membership attack that FedEraser is judged by."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.ensemble import HistGradientBoostingClassifier
from torch import Tensor, nn

from graphforget.errors import InputError
from graphforget.federated.clients import Clients
from graphforget.federated.selectors import patch_size, stamp
from graphforget.samples import Samples
from graphforget.task import Task

TREES, DEPTH = 300, 30  # FedEraser's XGBoost


def backdoor_success(task: Task[Any], model: nn.Module, view: Clients[Samples], target: int) -> float:
    """Share of a view's images of other classes that the patch turns into the target class.

    Args:
        task: how the model runs.
        model: the model in question.
        view: images that no model was trained on.
        target: the label that the patch was planted with.

    Raises:
        InputError: every image has the target class.
    """
    data = view.data
    rows = data.rows()
    rows = rows[data.y[rows].cpu() != target]
    if not len(rows):
        raise InputError(f"every image of the view has the class {target}; take a view with others")
    patched = stamp(data.x[rows], patch_size(data.x))
    asked = view.over(Samples(patched, data.y[rows]))
    answers = task.teacher(model, asked)(task.elements(asked, asked)).argmax(1)
    return float((answers == target).double().mean())


class Attack(NamedTuple):
    """A taught attack.

    Args:
        judge: tells members by the sorted softmax.
        unseen: the half of the test part that it was not taught on.
    """

    judge: HistGradientBoostingClassifier
    unseen: Tensor


def teach(task: Task[Any], original: nn.Module, members: Any, test: Any) -> Attack:
    """Teach an attack what the original's answers to its training data look like.

    Gradient boosting (300 trees of depth 30) on the sorted softmax; as many members as there are non-members, which are
    every second test element. The others are left to ask about: a judge who was taught on them would know them.

    Args:
        task: how models run.
        original: the model before unlearning.
        members: what it was trained on.
        test: what it never saw.

    Source:
        Liu et al., FedEraser, IWQoS 2021, with XGBoost in place of scikit-learn's trees.
    """
    outside = task.elements(test, test)
    half = torch.arange(outside.size) % 2 == 0
    known = task.elements(members, members)
    rows = torch.linspace(0, known.size - 1, min(known.size, int(half.sum()))).round().long()
    ask = task.teacher(original, members)
    seen = _sorted(ask(known.take(rows.to(known.label.device))))
    unseen = _sorted(task.teacher(original, test)(outside.take(half.to(outside.label.device))))
    judge = HistGradientBoostingClassifier(max_iter=TREES, max_depth=DEPTH, early_stopping=False, random_state=0)
    judge.fit(np.concatenate([seen, unseen]), np.repeat([1, 0], [len(seen), len(unseen)]))
    return Attack(judge, (~half).nonzero().flatten())


def membership_accuracy(attack: Attack, task: Task[Any], model: nn.Module, forget: Any, test: Any) -> float:
    """Share of right answers of an attack on the forgotten beside as many unseen elements; .5 is ideal.

    A useless model scores .5 too, and so may gold differ from it: read it beside both.
    """
    asked, outside = task.elements(forget, forget), task.elements(test, test)
    count = min(asked.size, len(attack.unseen))
    rows = torch.linspace(0, asked.size - 1, count).round().long().to(asked.label.device)
    seen = _sorted(task.teacher(model, forget)(asked.take(rows)))
    unseen = _sorted(task.teacher(model, test)(outside.take(attack.unseen[:count].to(outside.label.device))))
    right = attack.judge.predict(seen).mean() + 1 - attack.judge.predict(unseen).mean()
    return float(right / 2)


def _sorted(outputs: Tensor) -> np.ndarray[Any, np.dtype[np.float64]]:
    values: np.ndarray[Any, np.dtype[np.float64]] = outputs.softmax(1).sort(1).values.double().cpu().numpy()
    return values
