"""Proximal IJ: the infinitesimal jackknife for penalties with a kink (Suriyakumar and Wilson; arXiv:2209.12269).

The lasso's optimum has no gradient to step along: the smooth part moves by a Newton step, and the penalty is applied to
where it lands, in the metric of the Hessian.

::

    g      = 1/(n - m) ( sum_{i in D} grad l_i - sum_{i in U} grad l_i )  at theta^                      (1)
    theta' = prox^H_{l1}( theta^ - H^-1 g )                                                             (2)
    prox^H_R(v) = argmin_t 1/2 (t - v)^T H (t - v) + R(t)                                               (3)

==========  ==================================================================================================
paper       here
==========  ==================================================================================================
R           l1 ||theta||_1 of a sparse linear task; an L2 term of the task belongs to the smooth part
H           Hessian of the mean loss on all rows, + mu I where it is flat (``convex.FLAT``)
==========  ==================================================================================================

Of a request for nothing (2) returns theta^: at the optimum -g lies in the penalty's subdifferential. The published code
takes the gradient after the row is gone, adds the removed rows' gradient as if it were the model's, and reflects at the
prox, which loses the zeros: (1) and (2) do not. The construction is that of Wilson, Kasy and Mackey's ProxACV
(recalled, not verified).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from graphforget.errors import InputError
from graphforget.influence.convex import Objective, leap
from graphforget.influence.ij import opened
from graphforget.influence.linear import Rows
from graphforget.influence.task import Linear
from graphforget.unlearner import Job, Unlearned, Unlearner


@dataclass(frozen=True)
class ProximalJackknife(Unlearner):
    """Remove rows from a linear model with an L1 penalty by one proximal step.

    Args:
        noise: standard deviation of what is added to every weight that is not 0.
    """

    noise: float = 0.0

    paper: ClassVar[str] = "arXiv:2209.12269"
    needs: ClassVar[tuple[type, ...]] = (Linear,)
    reads: ClassVar[frozenset[str]] = frozenset({"data", "forget", "retain"})

    def __post_init__(self) -> None:
        if self.noise < 0:
            raise InputError(f"noise must not be negative (got {self.noise})")

    def _unlearn(self, job: Job) -> Unlearned:
        last, everything, removed = opened(job, "prox-IJ")
        theta, objective = last.theta, job.task.objective  # type: ignore[attr-defined]
        found = proximal(theta, everything, removed, objective)
        if self.noise:
            drawn = torch.randn(found.shape, generator=job.rng, dtype=found.dtype)
            found = found + self.noise * drawn * (found != 0)
        job.notes["nonzero"] = int((found != 0).sum())
        return Unlearned(last.write(found, job.model), job.split.retain, {})


def proximal(theta: Tensor, everything: Rows, removed: Rows | None, objective: Objective) -> Tensor:
    """[C, d] the weights without the removed rows: (1), (2).

    Args:
        theta: [C, d] the optimum on all rows.
        everything: all n rows.
        removed: m of them; None for a request for nothing.
        objective: what the optimum is of.
    """
    total, count = everything.gradient(theta), everything.size
    if removed is not None:
        total, count = total - removed.gradient(theta), count - removed.size
    g = total / count + objective.l2 * theta  # (1)
    return leap(theta, g, objective.hessian(everything, theta), l1=objective.l1)  # (2)
