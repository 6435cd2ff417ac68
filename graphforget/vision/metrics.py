"""Figures of image unlearning that compare a model with its original: AUS, and the accuracies that it is made of."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from graphforget import metrics
from graphforget.forget import ForgetSplit
from graphforget.report import Row
from graphforget.samples import Samples
from graphforget.task import Task
from graphforget.unlearner import Unlearned


def class_figures(
    task: Task[Any], split: ForgetSplit[Samples], test: Samples, original: nn.Module, result: Unlearned
) -> Row:
    """AUS of a model (DUCK, arXiv:2312.02052), on the test images.

    Where whole classes go: of their test images and of all others apart. Else on all test images against the accuracy
    on the forgotten ones.

    Args:
        task: how models run.
        split: the request.
        test: images that no model was trained or chosen on.
        original: sets the accuracy that is to be kept.
        result: the model in question.
    """
    before, after = _right(task, original, test), _right(task, result.model, test)
    gone = absent(split, test)
    if not bool(gone.any()):
        forgot = float(_right(task, result.model, split.forget).mean())
        value = metrics.aus(float(before.mean()), float(after.mean()), forgot, float(after.mean()))
        return {("all", "aus"): value}
    kept, left = float(after[~gone].mean()), float(after[gone].mean())
    value = metrics.aus(float(before[~gone].mean()), kept, left, 0.0)
    return {("test", "accuracy_kept"): kept, ("test", "accuracy_gone"): left, ("all", "aus"): value}


def absent(split: ForgetSplit[Samples], view: Samples) -> Tensor:
    """[n] bool: rows of a view whose label no retained image has."""
    kept = split.retain.y[split.retain.rows()].unique()
    return ~torch.isin(view.y[view.rows()], kept)


def _right(task: Task[Any], model: nn.Module, view: Samples) -> Tensor:
    """[n] 1 where the model's answer is the label."""
    batch = task.elements(view, view)
    return (task.teacher(model, view)(batch).argmax(1) == batch.label).double()
