"""Unlearning of features and labels (Warnecke, Pirch, Wressnegger, Rieck; arXiv:2108.11577, NDSS 2023).

Replace points Z by Z~ (features masked, labels corrected; for deletion Z~ is empty) by one step of influence, of first
or second order, on the last linear layer.

::

    L(theta)     = sum_i l_i + n l2/2 ||theta||^2 + b . theta                                           (1)
    G            = sum_{z~ in Z~} grad l(z~) - sum_{z in Z} grad l(z)   at theta*                       (2)
    first order    theta' = theta* - tau G                                                              (3)
    second order   theta' = theta* - H^-1 G,  H the Hessian of (1) on the modified data                 (4)
    LiSSA          u_0 = G;  u_{t+1} = G + (1 - damping) u_t - H_batch u_t / scale;  H^-1 G = u / scale  (5)
    certificate    sigma = c ||grad L(theta'; D')|| / eps,   c = sqrt(2 ln(1.5 / delta))                (6)

==============  ======================================================================================
paper, code     here
==============  ======================================================================================
Z, Z~           the rows of ``split.forget``; those of them that ``split.retain`` keeps with other values
theta*          the weights of the original's last linear layer
lambda          n l2: in sums, with l2 the task's weight decay
D'              ``split.retain``
sigma           ``sigma`` in the record: the deviation that b must have had in training for (eps, delta)
==============  ======================================================================================

Where a row goes, its share l2/2 ||theta||^2 of the penalty goes with it, as for whoever trains again by the same mean:
``G`` has l2 theta (|Z~| - |Z|) as well. ``tau=0`` takes the tau that leaves the smallest gradient on the modified data
if that gradient were linear, tau = <g, H G> / ||H G||^2: a criterion on what stays, our default. A single first order
step barely moves a model that is badly conditioned, whatever tau. b is not stored: at an optimum it is minus the
gradient of the rest on all the data. ``scale=0`` takes 1.2 times the largest eigenvalue. A scale under half of it makes
(5) grow and is reported. The paper's bounds on the residual are not used: the residual itself is measured.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from graphforget.errors import Diverged, InputError, unknown
from graphforget.hessian import conjugate, extremes, series
from graphforget.influence.convex import solve
from graphforget.influence.ij import stays
from graphforget.influence.linear import Last, Rows
from graphforget.samples import SampleTask
from graphforget.unlearner import Job, Unlearned, Unlearner

ORDERS = ("first", "second")
SOLVERS = ("exact", "cg", "lissa")


@dataclass(frozen=True)
class FeaturesLabels(Unlearner):
    """Replace points by one influence step on the last linear layer.

    Args:
        order: ``first`` or ``second``.
        tau: step of the first order; 0 chooses it by what it leaves on the modified data.
        solver: of the second order: ``exact`` (Cholesky), ``cg`` or ``lissa``.
        scale: of LiSSA; 0 chooses it above the largest eigenvalue.
        damping: of LiSSA, share of ``scale`` on the diagonal.
        batch: rows of a LiSSA product; 0 takes all (1024 in the code).
        iterations: of LiSSA and CG, at most.
        patience: LiSSA stops when so many steps have not become smaller.
        epsilon: of the certificate.
        delta: of the certificate.
    """

    order: str = "second"
    tau: float = 0.0
    solver: str = "exact"
    scale: float = 0.0
    damping: float = 0.0
    batch: int = 0
    iterations: int = 1000
    patience: int = 20
    epsilon: float = 0.1
    delta: float = 0.01

    paper: ClassVar[str] = "arXiv:2108.11577"
    needs: ClassVar[tuple[type, ...]] = (SampleTask,)
    reads: ClassVar[frozenset[str]] = frozenset({"data", "forget", "retain"})

    def __post_init__(self) -> None:
        for name, value, known in (("order", self.order, ORDERS), ("solver", self.solver, SOLVERS)):
            if value not in known:
                raise unknown(name, value, known)
        if min(self.tau, self.scale, self.batch) < 0 or not 0 <= self.damping < 1:
            raise InputError(
                "tau, scale and batch must not be negative and damping lie in [0, 1) "
                f"(got {self.tau}, {self.scale}, {self.batch}, {self.damping})"
            )
        if self.iterations < 1 or self.patience < 1:
            raise InputError(f"iterations and patience must be at least 1 (got {self.iterations}, {self.patience})")
        if not self.epsilon > 0 or not 0 < self.delta < 1:
            raise InputError(f"epsilon must be positive and delta lie in (0, 1) (got {self.epsilon}, {self.delta})")

    def _unlearn(self, job: Job) -> Unlearned:
        task, split = job.task, job.split
        if not isinstance(task, SampleTask):  # ``needs`` says so; for the type
            raise InputError(f"features_labels needs a task on independent rows (got {type(task).__name__})")
        last, l2 = Last.of(job.original, task), float(task.weight_decay)
        theta, kept = last.theta, stays(job, last)
        before = last.rows(split.forget)
        after = last.rows(split.retain.without(split.untouched))
        both = [(sign, rows) for sign, rows in ((1, after), (-1, before)) if rows is not None]
        g = sum((sign * (rows.gradient(theta) + rows.size * l2 * theta) for sign, rows in both), 0 * theta)  # (2)
        curved = kept.curvature(theta)
        if self.order == "first":
            job.notes["tau"] = tau = self.tau or self._tau(last, job, kept, curved, l2, g)
            found = theta - tau * g  # (3)
        else:
            found = theta - self._solve(job, kept, curved, l2 * kept.size, theta, g)  # (4)
        job.notes.update(self._certificate(job, last, kept, l2, theta, found))
        return Unlearned(last.write(found, job.model), split.retain, {})

    def _tau(self, last: Last, job: Job, kept: Rows, curved: Tensor, l2: float, g: Tensor) -> float:
        """Where the gradient on the modified data would be smallest, were it linear."""
        everything, theta = last.rows(job.split.data), last.theta
        slope = kept.gradient(theta) + kept.size * l2 * theta
        if everything is not None:
            slope = slope - everything.gradient(theta) - everything.size * l2 * theta  # without b and what is left
        image = kept.product(curved, g) + kept.size * l2 * g
        return float((slope * image).sum() / image.square().sum().clamp(min=torch.finfo(g.dtype).tiny))

    def _solve(self, job: Job, kept: Rows, curved: Tensor, ridge: float, theta: Tensor, g: Tensor) -> Tensor:
        """H^-1 g by the chosen solver."""
        if self.solver == "exact":
            return solve(kept.hessian(theta) + ridge * torch.eye(theta.numel(), dtype=theta.dtype), g)

        def whole(v: Tensor) -> Tensor:
            return (kept.product(curved, v.view_as(theta)) + ridge * v.view_as(theta)).flatten()

        if self.solver == "cg":
            (found,), residual = conjugate(lambda x: [whole(x[0])], [g.flatten()], self.iterations, 1e-10)
            job.notes["cg_residual"] = residual
            return found.view_as(g)
        _, highest = extremes(whole, torch.randn(theta.numel(), generator=job.rng, dtype=theta.dtype))
        scale = self.scale or 1.2 * highest
        if scale < highest / 2:
            raise Diverged(
                f"LiSSA grows with scale={scale:.4g}: it must be above half the Hessian's largest eigenvalue, "
                f"{highest:.4g}; leave scale=0"
            )

        def part(v: Tensor) -> Tensor:
            rows = torch.randperm(kept.size, generator=job.rng)[: self.batch]
            some = Rows(kept.features[rows], kept.losses)
            share = kept.size / len(rows)
            return (share * some.product(curved[rows], v.view_as(theta)) + ridge * v.view_as(theta)).flatten()

        product = part if self.batch and self.batch < kept.size else whole
        options: dict[str, Any] = {"damp": self.damping, "iterations": self.iterations, "patience": self.patience}
        found, used, _ = series(product, g.flatten(), scale=scale, title="LiSSA's", **options)  # (5)
        job.notes.update(scale=scale, terms=used)
        return found.view_as(g)

    def _certificate(
        self, job: Job, last: Last, kept: Rows, l2: float, theta: Tensor, found: Tensor
    ) -> dict[str, float | bool]:
        """The residual before and after, and the noise in training that would certify it: (6)."""
        deviation = float(getattr(job.task, "noise", 0.0))
        b = torch.zeros_like(theta)
        if deviation:
            everything = last.rows(job.split.data)
            b = b if everything is None else -everything.gradient(theta) - everything.size * l2 * theta
        residual = [float((kept.gradient(t) + kept.size * l2 * t + b).norm()) for t in (theta, found)]
        sigma = certificate(residual[1], self.epsilon, self.delta)
        names = {"residual_before": residual[0], "residual": residual[1], "sigma": sigma}
        return names | {"certified": deviation >= sigma}


def certificate(residual: float, epsilon: float, delta: float) -> float:
    """Return the deviation of b for which a gradient residual is (epsilon, delta)-certified: (6).

    Example:
        >>> round(certificate(0.232, 0.1, 0.01), 2)
        7.34
    """
    return math.sqrt(2 * math.log(1.5 / delta)) * residual / epsilon
