"""IJ, the infinitesimal jackknife (Suriyakumar and Wilson; arXiv:2209.12269, NeurIPS 2022), and its neighbours.

Remove rows U from a regularised convex model by one step along a gradient of theirs; no row that stays is looked at
once the Hessian is known.

::

    F        = 1/n sum_i l_i + l2/2 ||theta||^2,  theta^ its optimum,  H its Hessian there, on all n rows
    IJ       theta' = theta^ + 1/(n - m) H^-1 sum_{i in U} grad(l_i + l2/2 ||theta||^2)                 (1)
    online   one row after the other: theta <- theta + 1/(n - t) H^-1 grad(l_i + l2/2 ||theta||^2)      (2)
    Newton   as (1) with the Hessian of the rows that stay                                              (3)
    noise    theta' + N(0, ``noise``^2), once for IJ and Newton, once a row for online                  (4)

==========  ======================================================
paper       here
==========  ======================================================
m, n        number of removed rows, of all rows
lambda      the task's weight decay (``l2`` of a linear task)
std         ``noise``; .01 in the code, 0 here (our default)
==========  ======================================================

The layer that moves is the last linear one; of a network the features in front of it stay, so what these have learned
from U stays with them. The published code divides a summed Hessian by n and by the length of a preallocated array, so
that its parameters hardly move: (1) does not. H is not kept between requests: it holds the forgotten. (3) is the
reference of the tables here, at O(d^3) a request.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from graphforget.errors import InputError, NotApplicable, unknown
from graphforget.influence.convex import Objective, solve
from graphforget.influence.linear import Last, Rows
from graphforget.samples import SampleTask
from graphforget.unlearner import Job, Unlearned, Unlearner

STEPS = ("ij", "online", "newton")


@dataclass(frozen=True)
class InfinitesimalJackknife(Unlearner):
    """Remove rows by one step with the Hessian of all rows.

    Args:
        step: ``ij``, ``online`` or ``newton``.
        noise: standard deviation of what is added to every weight.
        refit_after: share of the first request's rows after which a sequence of requests is refitted by the task's own
            recipe instead; 0 never.
    """

    step: str = "ij"
    noise: float = 0.0
    refit_after: float = 0.0

    paper: ClassVar[str] = "arXiv:2209.12269"
    needs: ClassVar[tuple[type, ...]] = (SampleTask,)
    reads: ClassVar[frozenset[str]] = frozenset({"data", "forget", "retain", "held_out"})

    def __post_init__(self) -> None:
        if self.step not in STEPS:
            raise unknown("step", self.step, STEPS)
        if self.noise < 0 or not 0 <= self.refit_after < 1:
            raise InputError(
                f"noise must not be negative and refit_after lie in [0, 1) (got {self.noise}, {self.refit_after})"
            )

    def _unlearn(self, job: Job) -> Unlearned:
        last, everything, removed = opened(job, "IJ")
        theta, n, m = last.theta, everything.size, removed.size
        first, gone = int(job.record.get("first", n)), int(job.record.get("removed", 0)) + m
        kept = {"first": first, "removed": gone}
        if self.refit_after and gone > self.refit_after * first:
            model = job.task.fresh(job.original, job.seed).requires_grad_(True)
            model = job.task.fit(model, job.split.retain, job.split.held_out, seed=job.seed)
            return Unlearned(model, job.split.retain, kept | {"removed": 0, "first": n - m, "refitted": True})
        objective = Objective(job.task.weight_decay)
        rows = everything if self.step != "newton" else stays(job, last)
        hessian = objective.hessian(rows, theta)
        if self.step == "online":
            *_, theta = online(theta, hessian, removed, n, objective.l2, self.noise, job.rng)
        else:
            theta = jackknife(theta, hessian, removed.gradient(theta) + m * objective.l2 * theta, n - m)
            theta = theta + self.noise * torch.randn(theta.shape, generator=job.rng, dtype=theta.dtype)  # (4)
        return Unlearned(last.write(theta, job.model), job.split.retain, kept)


def opened(job: Job, name: str) -> tuple[Last, Rows, Rows]:
    """The last layer, all rows, and those of them that go.

    Raises:
        NotApplicable: no row goes, or the request changes values as well.
    """
    if not isinstance(job.task, SampleTask):  # ``needs`` says so; for the type
        raise InputError(f"{name} needs a task on independent rows (got {type(job.task).__name__})")
    last = Last.of(job.original, job.task)
    everything, removed = last.rows(job.split.data), last.rows(job.split.gone)
    if everything is None or removed is None or job.split.gone.size < job.split.forget.size:
        raise NotApplicable(f"{name} removes rows (got a request for values); use features_labels")
    return last, everything, removed


def stays(job: Job, last: Last) -> Rows:
    """The rows that stay."""
    found = last.rows(job.split.retain)
    if found is None:
        raise InputError("the request leaves no labelled row; train a new model instead")
    return found


def jackknife(theta: Tensor, hessian: Tensor, gradient: Tensor, count: int) -> Tensor:
    """[C, d] theta + H^-1 gradient / count: (1), (3).

    Args:
        theta: [C, d] the optimum.
        hessian: [P, P] of the mean objective.
        gradient: [C, d] sum over the removed rows of the gradient of their loss and their share of the penalty.
        count: n - m.

    Example:
        >>> jackknife(torch.tensor([[1.0]]), torch.tensor([[2.0]]), torch.tensor([[8.0]]), 4)
        tensor([[2.]])
    """
    return theta + solve(hessian, gradient) / count


def online(
    theta: Tensor,
    hessian: Tensor,
    removed: Rows,
    count: int,
    l2: float,
    noise: float = 0.0,
    rng: torch.Generator | None = None,
) -> Iterator[Tensor]:
    """Yield the weights after each removed row: (2)."""
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(hessian))
    for t in range(removed.size):
        gradient = removed.gradients(theta)[t] + l2 * theta
        theta = theta + (inverse @ gradient.flatten()).view_as(theta) / (count - t - 1)
        if noise:
            theta = theta + noise * torch.randn(theta.shape, generator=rng, dtype=theta.dtype)
        yield theta
