"""The regression membership attack of "Deep Regression Unlearning" (arXiv:2210.08196).

A support vector machine learns from the loss of single rows which of them the model was trained on; the figure is the
share of the forgotten rows that it takes for members. Read it beside gold's: 0 is no aim.
"""

from __future__ import annotations

import torch
from sklearn.svm import SVC
from torch import Tensor

from graphforget import checked
from graphforget.evidence import thinned

PENALTY = 3.0  # C of the published code, with a radial kernel


def svc_attack(member: Tensor, other: Tensor, asked: Tensor) -> float:
    """Return the share of rows that a classifier of losses takes for members.

    Args:
        member: [P] losses of rows that the model was trained on; at most 2000 are used, evenly spaced.
        other: [M] losses of rows that no model saw, likewise; the larger side is thinned to the smaller.
        asked: [F] losses of the forgotten rows.

    Raises:
        InputError: empty, not a vector, or NaN.

    Example:
        >>> svc_attack(torch.zeros(20), torch.ones(20), torch.tensor([0.0, 0.1, 1.0, 0.9]))
        0.5
    """
    sides = [checked.scores(each, name).cpu() for each, name in ((member, "member"), (other, "other"))]
    size = min(len(side) for side in sides)
    rows = [side[thinned(len(side))] for side in sides]
    rows = [side[torch.linspace(0, len(side) - 1, min(size, len(side))).round().long()] for side in rows]
    losses = torch.cat(rows)
    label = torch.cat([torch.ones(len(rows[0])), torch.zeros(len(rows[1]))])
    middle, scale = losses.mean(), losses.std(correction=0).clamp(min=1e-12)
    machine = SVC(C=PENALTY, kernel="rbf").fit(((losses - middle) / scale)[:, None].numpy(), label.numpy())
    found = machine.predict(((checked.scores(asked, "asked").cpu() - middle) / scale)[:, None].numpy())
    return float(found.mean())
