"""Bad teaching (Chundawat, Tarun, Mandal, Kankanhalli; AAAI 2023, arXiv:2205.08096).

A competent teacher (the original) is followed on retained images, an incompetent one (random weights) on the forgotten.

::

    L = mean over D_r' + D_f of  (1 - l) KL( T_s(x) || S(x) ) + l KL( T_d(x) || S(x) ),   l = 1 on D_f, else 0

D_r' is a random ``share`` of the retained images, drawn once. Beside D2DGN the teachers are the same; here every image
weighs alike and only part of the retained ones is seen. Temperature 1; epochs and learning rate are our defaults.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from graphforget.distill import combine, paired, soft
from graphforget.errors import InputError
from graphforget.samples import Samples
from graphforget.train import descend
from graphforget.unlearner import Job, Unlearned, Unlearner
from graphforget.vision.task import ImageClassification


@dataclass(frozen=True)
class BadTeaching(Unlearner):
    """Follow the original on the retained and a random network on the forgotten.

    Args:
        share: of the retained images that is used.
        temperature: of the soft targets.
        epochs: passes over that share.
        lr: Adam's learning rate.
    """

    share: float = 0.3
    temperature: float = 1.0
    epochs: int = 5
    lr: float = 1e-3

    paper: ClassVar[str] = "arXiv:2205.08096"
    needs: ClassVar[tuple[type, ...]] = (ImageClassification,)
    reads: ClassVar[frozenset[str]] = frozenset({"forget", "retain"})

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise InputError(f"share must lie in (0, 1] (got {self.share})")
        if self.temperature <= 0:
            raise InputError(f"temperature must be positive (got {self.temperature})")

    def _unlearn(self, job: Job) -> Unlearned:
        task, model, context = job.task, job.model, job.split.retain
        random = task.fresh(job.original, job.seed + 1).eval().requires_grad_(False)
        good, bad = task.teacher(job.original, context), task.teacher(random, context)
        some = subset(context, self.share, job.rng)
        forgotten = task.elements(context, job.split.forget)

        def steps(epoch: int) -> Iterator[Tensor]:
            for retained, gone in paired(task, context, some, forgotten, job.rng):
                ask = task.bind(model, context)
                keep = soft(task, good, ask, retained, self.temperature)
                drop = soft(task, bad, ask, gone, self.temperature) if gone else None
                yield combine(keep, drop, alpha=0.5, weighting="per_element", forget_weight=1.0)

        job.notes["epochs"] = descend(model, steps, epochs=self.epochs, lr=self.lr, title="bad teaching")
        return Unlearned(model, context, {})


def subset(view: Samples, share: float, rng: torch.Generator) -> Samples:
    """Return a view of a random share of a view's rows, at least one."""
    rows = view.rows()
    chosen = rows[torch.randperm(len(rows), generator=rng)[: max(1, round(share * len(rows)))]]
    mask = torch.zeros(len(view.x), dtype=torch.bool)
    mask[chosen] = True
    return view.view(mask.to(view.y.device))
