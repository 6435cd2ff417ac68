"""How linear models are run, trained and scored: ``model(x) -> [B, C]`` whose last linear layer is all that learns.

Original and gold are the exact optimum of one convex objective, so a distance between their weights means something:
golds of different seeds are one and the same, and the noise floor is 0 (without ``noise``).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from graphforget.classes import ClassTask
from graphforget.errors import InputError
from graphforget.influence.convex import Objective
from graphforget.influence.linear import Last
from graphforget.samples import Samples, SampleTask
from graphforget.train import TrainRecord, seeded


@dataclass(frozen=True)
class Linear(SampleTask):
    """Fit the last linear layer of a model to its optimum; what stands before it stays as it is.

    Args:
        recipe: of methods that go on training; the fit itself does not use it.
        factory: see :class:`graphforget.task.Task`.
        layer_names: see :class:`graphforget.samples.SampleTask`.
        l2: weight of ||theta||^2 / 2 against the mean loss.
        l1: weight of ||theta||_1.
        noise: standard deviation of the random linear term b of the summed objective, drawn by the seed of the fit; 0
            leaves it out. A certificate needs it (Chaudhuri et al., 2011).
    """

    l2: float = 1e-3
    l1: float = 0.0
    noise: float = 0.0

    def __post_init__(self) -> None:
        if self.noise < 0 or not self.l2 + self.l1 > 0:
            raise InputError(
                f"noise must not be negative, and l2 or l1 be positive (got {self.noise}, {self.l2}, {self.l1})"
            )

    @property
    def weight_decay(self) -> float:
        """The L2 term of the objective."""
        return self.l2

    @property
    def objective(self) -> Objective:
        """What the models minimise."""
        return Objective(self.l2, self.l1)

    def fit(
        self, model: nn.Module, context: Samples, held_out: Samples, *, seed: int, record: TrainRecord | None = None
    ) -> nn.Module:
        """Fit in place and return the model; the held-out rows are not looked at."""
        last = Last.of(model, self)
        rows = last.rows(context)
        if rows is None:
            raise InputError("there is no labelled row to learn from; check the labels")
        theta = last.theta
        found = self.objective.optimum(rows, torch.zeros_like(theta), perturbation(theta, self.noise, seed))
        if record is not None:
            record.converged = True
        return last.write(found, model).eval()


@dataclass(frozen=True)
class LinearClassification(ClassTask[Samples], Linear):
    """Labels by logistic regression.

    Example:
        >>> data = Samples(torch.tensor([[-1.0], [-2.0], [1.0], [3.0]]), torch.tensor([0, 0, 1, 1]))
        >>> task = LinearClassification(l2=0.1)
        >>> model = task.fit(nn.Linear(1, 2), data, data, seed=0)
        >>> task.evaluate(model, data, data)["accuracy"]
        1.0
    """


@dataclass(frozen=True)
class SparseClassification(LinearClassification):
    """Labels by logistic regression with a weight on ||theta||_1 instead of its square."""

    l2: float = 0.0
    l1: float = 1e-3  # our default


def perturbation(theta: Tensor, deviation: float, seed: int) -> Tensor | None:
    """[C, d] the objective's random linear term, or None."""
    if not deviation:
        return None
    with seeded(seed) as rng:
        return deviation * torch.randn(theta.shape, generator=rng, dtype=theta.dtype)
