"""UNSIR, unlearning by selective impair and repair (Tarun, Chundawat, Mandal, Kankanhalli; arXiv:2111.08947).

Learn noise that the model likes least as pictures of the class that goes, train on it as that class (impair), then
train on what is retained alone (repair). The forgotten images themselves are never looked at: only their labels are.

::

    N_c    = argmin over N of  -CE( f(N), c ) + lambda mean ||N||^2                                         (1)
    impair: descent on CE over N_c with label c, beside retained images                                     (2)
    repair: descent on CE over retained images                                                              (3)

For whole classes only. Sizes, steps and learning rates are our defaults.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from graphforget.errors import InputError, NotApplicable
from graphforget.samples import Samples
from graphforget.task import Batch
from graphforget.train import descend
from graphforget.unlearner import Job, Unlearned, Unlearner
from graphforget.vision.metrics import absent
from graphforget.vision.task import ImageClassification


@dataclass(frozen=True)
class UNSIR(Unlearner):
    """Impair with error-maximising noise, repair on the retained.

    Args:
        noises: images of noise a class.
        noise_steps: of Adam on them (1).
        noise_lr: its learning rate.
        size: weight of their squared size.
        repair: epochs of (3).
        epochs: of (2).
        lr: Adam's learning rate in (2); half of it in (3).
    """

    noises: int = 256
    noise_steps: int = 50
    noise_lr: float = 0.1
    size: float = 0.1
    repair: int = 1
    epochs: int = 1
    lr: float = 1e-3

    paper: ClassVar[str] = "arXiv:2111.08947"
    needs: ClassVar[tuple[type, ...]] = (ImageClassification,)
    reads: ClassVar[frozenset[str]] = frozenset({"forget", "retain"})

    def __post_init__(self) -> None:
        for name in ("noises", "noise_steps"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1 (got {getattr(self, name)})")
        if self.size < 0 or self.repair < 0:
            raise InputError(f"size and repair must not be negative (got {self.size} and {self.repair})")

    def _unlearn(self, job: Job) -> Unlearned:
        task, model, split, context = job.task, job.model, job.split, job.split.retain
        if not bool(absent(split, split.forget).all()):
            raise NotApplicable("UNSIR forgets whole classes (got images whose class is retained as well); use salun")
        labels = split.forget.y[split.forget.rows().to(split.forget.y.device)].unique()
        noise = self._noise(job, labels.repeat_interleave(self.noises))
        everything = Batch(torch.arange(len(noise.x), device=noise.y.device), noise.y, noise)

        def impair(epoch: int) -> Iterator[Tensor]:
            batches = list(task.batches(context, context, job.rng))
            order = torch.randperm(everything.size, generator=job.rng).to(noise.y.device)
            for batch, rows in zip(batches, order.tensor_split(len(batches)), strict=True):
                kept, count = task.criterion(task.outputs(model, context, batch), batch), batch.size
                if not len(rows):
                    yield kept.mean()
                    continue
                part = everything.take(rows)
                spoilt = task.criterion(task.outputs(model, context, part), part)
                yield (kept.sum() + spoilt.sum()) / (count + len(rows))  # (2)

        def repair(epoch: int) -> Iterator[Tensor]:
            for batch in task.batches(context, context, job.rng):
                yield task.loss(model, context, batch)  # (3)

        job.notes["epochs"] = descend(model, impair, epochs=self.epochs, lr=self.lr, title="unsir: impair")
        if self.repair:
            descend(model, repair, epochs=self.repair, lr=self.lr / 2, title="unsir: repair")
        return Unlearned(model, context, {})

    def _noise(self, job: Job, label: Tensor) -> Samples:
        """Images of noise that the original takes for anything but their label (1)."""
        x = torch.randn((len(label), *job.split.retain.x.shape[1:]), generator=job.rng).to(job.split.retain.x)
        x.requires_grad_(True)
        optimiser = torch.optim.Adam([x], lr=self.noise_lr)
        for _ in range(self.noise_steps):
            outputs = job.original(x)
            wrong = job.task.criterion(outputs, Batch(torch.arange(len(label)), label)).mean()
            optimiser.zero_grad()
            (self.size * x.square().mean() - wrong).backward()
            optimiser.step()
        return Samples(x.detach(), label)
