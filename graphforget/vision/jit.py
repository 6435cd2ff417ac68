"""JiT, "just in time" or Lipschitz unlearning (Foster et al.; TMLR 2025, arXiv:2402.01401): zero-shot.

Smooth the function around the forgotten images, with nothing else at hand: no retained image is read. Written from the
equations.

::

    x'_j = clip(x + xi_j, min x, max x),  xi_j ~ N(0, sigma^2),  j = 1..N                                   (1)
    L    = (1/N) sum_j sum_i || f(x_i) - sg[ f(x'_ij) ] ||_2 / || x_i - x'_ij ||_2                          (2)
    one pass over D_f:  theta <- theta - eta grad L,  the gradient of each batch by itself                  (3)

==========  =====================================
paper       here
==========  =====================================
sigma       ``noise``
N           ``copies``
eta         ``lr``; None searches it
==========  =====================================

The step is sharp: on a small network eta may do nothing or destroy everything within a factor of three. So ``lr=None``
looks for it, ours: the smallest eta after whose pass the accuracy on the forgotten is at most ``goal``, by factors of
four and then halving the bracket ``SEARCHES`` times on a logarithmic scale. Only forgotten images are asked. Without a
goal it is 10 % where they all have one label, as of a class, else 95 % of what it was.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from graphforget import metrics
from graphforget.errors import InputError, NotApplicable
from graphforget.task import Batch
from graphforget.train import seeded
from graphforget.unlearner import Job, Unlearned, Unlearner
from graphforget.vision.saliency import parts_of
from graphforget.vision.task import ImageClassification

SMALLEST, LARGEST, SEARCHES = 1e-8, 1e4, 6  # of eta; halvings of its bracket


@dataclass(frozen=True)
class JiT(Unlearner):
    """Smooth the model around the forgotten images.

    Args:
        noise: sigma of the perturbation, in units of the inputs.
        copies: N, perturbed copies of each image.
        lr: eta; None searches it.
        goal: accuracy on the forgotten that the search aims at; None: see above.
        batch_size: images a step.
    """

    noise: float = 0.5
    copies: int = 25
    lr: float | None = None
    goal: float | None = None
    batch_size: int = 128

    paper: ClassVar[str] = "arXiv:2402.01401"
    needs: ClassVar[tuple[type, ...]] = (ImageClassification,)
    reads: ClassVar[frozenset[str]] = frozenset({"forget"})

    def __post_init__(self) -> None:
        if self.noise <= 0 or self.copies < 1 or self.batch_size < 1:
            given = f"{self.noise}, {self.copies} and {self.batch_size}"
            raise InputError(f"noise must be positive, copies and batch_size at least 1 (got {given})")
        if self.goal is not None and not 0 <= self.goal < 1:
            raise InputError(f"goal must lie in [0, 1) (got {self.goal})")

    def _unlearn(self, job: Job) -> Unlearned:
        lr = self._search(job) if self.lr is None else self.lr
        self._pass(job, job.model, lr)
        job.notes["lr"] = lr
        return Unlearned(job.model, job.split.retain, {})

    def _search(self, job: Job) -> float:
        """The smallest eta whose pass reaches the goal."""
        batch = job.task.elements(job.split.forget, job.split.forget)
        one = len(batch.label.unique()) == 1
        goal = self.goal if self.goal is not None else 0.1 if one else 0.95 * self._right(job, job.original, batch)

        def reaches(lr: float) -> bool:
            model = copy.deepcopy(job.original).requires_grad_(True)
            self._pass(job, model, lr)
            return self._right(job, model, batch) <= goal

        low, high = SMALLEST, SMALLEST
        while not reaches(high):
            low, high = high, high * 4
            if high > LARGEST:
                raise NotApplicable(f"no step up to {LARGEST} brings the forgotten down to {goal:.3g}; raise goal")
        for _ in range(SEARCHES):
            middle = (low * high) ** 0.5
            low, high = (low, middle) if reaches(middle) else (middle, high)
        return high

    def _right(self, job: Job, model: nn.Module, batch: Batch) -> float:
        """Accuracy on the forgotten; of a model that diverged 0."""
        outputs = job.task.teacher(model, job.split.forget)(batch)
        return metrics.accuracy(outputs, batch.label) if bool(outputs.isfinite().all()) else 0.0

    def _pass(self, job: Job, model: nn.Module, lr: float) -> None:
        """One pass over the forgotten images (3); the same noise whatever the step."""
        forget = job.split.forget
        model.eval()
        device = next((p.device for p in model.parameters()), forget.x.device)
        with seeded(job.seed) as rng:
            for batch in parts_of(job.task, forget, forget, self.batch_size):
                loss = roughness(model, forget.x[batch.index].to(device), self.noise, self.copies, rng)
                chosen = [p for p in model.parameters() if p.requires_grad]
                found = torch.autograd.grad(loss, chosen, allow_unused=True, materialize_grads=True)
                with torch.no_grad():
                    for parameter, grad in zip(chosen, found, strict=True):
                        parameter.sub_(lr * grad)


def roughness(model: nn.Module, x: Tensor, noise: float, copies: int, rng: torch.Generator) -> Tensor:
    """Return the loss (2): how much the model's outputs move with noise on its inputs, per unit of noise.

    Args:
        model: whose outputs [B, C] are compared.
        x: [B, ...] inputs.
        noise: sigma.
        copies: N.
        rng: of the noise.

    Example:
        >>> constant = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
        >>> _ = constant[1].weight.data.zero_()
        >>> float(roughness(constant, torch.rand(3, 2, 2), 0.5, 2, torch.Generator()).detach())
        0.0
    """
    outputs, total = model(x), x.new_zeros(())
    low, high = float(x.min()), float(x.max())
    for _ in range(copies):
        moved = (x + noise * torch.randn(x.shape, generator=rng).to(x)).clamp(low, high)  # (1)
        with torch.no_grad():
            other = model(moved)
        distance = (x - moved).flatten(1).norm(dim=1).clamp(min=1e-12)
        total = total + ((outputs - other).norm(dim=1) / distance).sum()
    return total / copies
