"""The one optimum of a convex objective in the last linear layer of a model, and the step that leads to it.

::

    F(theta)    = 1/n [ sum_i l_i(theta) + b . theta ] + l2 / 2 ||theta||^2 + l1 ||theta||_1            (1)
    step        : theta <- prox^H_l1(theta - H^-1 g),  g and H of the smooth part of F                  (2)
    prox^H_R(v) = argmin_t  1/2 (t - v)^T H (t - v) + R(t)                                              (3)

Without l1 (2) is Newton's method. A step that does not lower F is halved. The layer counts whole, its bias with it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from graphforget.errors import Diverged, InputError
from graphforget.influence.linear import Rows

FLAT = 1e-6  # mu, added to the diagonal of a smooth part that is flat somewhere; our default


@dataclass(frozen=True)
class Objective:
    """The weights of (1).

    Args:
        l2: of ||theta||^2 / 2 against the mean loss.
        l1: of ||theta||_1.

    Raises:
        InputError: a negative weight.
    """

    l2: float = 1e-3
    l1: float = 0.0

    def __post_init__(self) -> None:
        if min(self.l2, self.l1) < 0:
            raise InputError(f"l2 and l1 must not be negative (got {self.l2} and {self.l1})")

    def gradient(self, rows: Rows, theta: Tensor, b: Tensor | None = None) -> Tensor:
        """[C, d] gradient of the smooth part of F."""
        total = rows.gradient(theta)
        return (total if b is None else total + b) / rows.size + self.l2 * theta

    def hessian(self, rows: Rows, theta: Tensor) -> Tensor:
        """[P, P] Hessian of the smooth part of F, P = C d; mu is added where nothing else makes it definite."""
        return rows.hessian(theta) / rows.size + (self.l2 or FLAT) * torch.eye(theta.numel(), dtype=theta.dtype)

    def value(self, rows: Rows, theta: Tensor, b: Tensor | None = None) -> float:
        """F(theta): (1).

        Raises:
            Diverged: it is not finite.
        """
        total = rows.loss(theta).detach().sum() + (0 if b is None else (b * theta).sum())
        found = float(total / rows.size + self.l2 / 2 * theta.square().sum() + self.l1 * theta.abs().sum())
        if not abs(found) < float("inf"):
            raise Diverged(f"the objective of the linear layer became {found}; scale the inputs or raise l2")
        return found

    def optimum(
        self, rows: Rows, start: Tensor, b: Tensor | None = None, steps: int = 200, tolerance: float = 1e-10
    ) -> Tensor:
        """[C, d] the optimum of (1).

        Args:
            rows: what is learned from.
            start: [C, d] from where.
            b: [C, d] random linear term, or None.
            steps: at most so many.
            tolerance: stop when a step is this share of theta.
        """
        theta, value = start, self.value(rows, start, b)
        for _ in range(steps):
            target = leap(theta, self.gradient(rows, theta, b), self.hessian(rows, theta), l1=self.l1)  # (2)
            share = 1.0
            following, then = target, self.value(rows, target, b)
            while then > value and share > 1e-9:
                share /= 2
                following = theta + share * (target - theta)
                then = self.value(rows, following, b)
            if then > value:
                return theta
            moved, theta, value = float((following - theta).norm()), following, then
            if moved <= tolerance * float(theta.norm()):
                return theta
        return theta


def leap(theta: Tensor, gradient: Tensor, hessian: Tensor, *, l1: float = 0.0, l2: float = 0.0) -> Tensor:
    """[C, d] prox^H_R(theta - H^-1 gradient) for R = l1 ||.||_1 or l2 / 2 ||.||^2 (or neither): (2).

    Example:
        >>> theta, g = torch.tensor([[1.0, 0.1]]), torch.tensor([[0.5, 0.0]])
        >>> [round(float(each), 4) for each in leap(theta, g, torch.eye(2), l1=0.2).flatten()]
        [0.3, 0.0]
    """
    v = theta - solve(hessian, gradient)
    return prox(v, hessian, l1=l1, l2=l2, start=theta) if l1 or l2 else v


def prox(v: Tensor, hessian: Tensor, *, l1: float = 0.0, l2: float = 0.0, start: Tensor | None = None) -> Tensor:
    """[C, d] argmin_t 1/2 (t - v)^T H (t - v) + l1 ||t||_1 + l2 / 2 ||t||^2: (3).

    By FISTA (Beck and Teboulle, 2009) with steps of 1 / ||H||_2 that starts its momentum anew whenever it points uphill
    (O'Donoghue and Candes, 2015), to a relative step of 1e-11 or 20,000 of them (the published code takes 300).
    """
    step = 1 / float(torch.linalg.eigvalsh(hessian)[-1])
    goal = v.flatten()
    t = (v if start is None else start).flatten()
    ahead, momentum = t, 1.0
    for _ in range(20_000):
        free = ahead - step * (hessian @ (ahead - goal))
        following = (free.abs() - step * l1).clamp(min=0) * free.sign() / (1 + step * l2)
        move = following - t
        if float((ahead - following) @ move) > 0:
            momentum = 1.0
        then = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
        ahead, t, momentum = following + (momentum - 1) / then * move, following, then
        if float(move.norm()) <= 1e-11 * max(float(t.norm()), 1e-30):
            break
    return t.view_as(v)


def solve(hessian: Tensor, gradient: Tensor) -> Tensor:
    """[C, d] H^-1 gradient by Cholesky's factors.

    Raises:
        Diverged: H is not positive definite.
    """
    factor, failed = torch.linalg.cholesky_ex(hessian)
    if int(failed):
        raise Diverged("the Hessian of the linear layer is not positive definite; raise l2 (weight_decay)")
    return torch.cholesky_solve(gradient.reshape(-1, 1), factor).view_as(gradient)
