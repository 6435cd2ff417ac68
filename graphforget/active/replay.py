"""Repair after a deletion on a few retained rows, chosen by a strategy of active learning. Our design.

The forgotten are climbed away from (gradient ascent on their loss), which hurts the retained as well; then the model is
trained on ``count`` retained rows alone. Which ones decides how much of the damage a small budget repairs: rows whose
answer the damaged model would change first (``ldm_s``) against random ones and the usual strategies. The rows are
chosen with the damaged model, out of the retained ones only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from graphforget.active.seen import look
from graphforget.active.strategies import STRATEGIES, choose
from graphforget.errors import InputError, unknown
from graphforget.samples import Samples, SampleTask
from graphforget.train import descend, draw_seed
from graphforget.unlearner import Job, Unlearned, Unlearner


@dataclass(frozen=True)
class ChosenReplay(Unlearner):
    """Climb the loss of the forgotten, then replay chosen retained rows.

    Args:
        strategy: a key of :data:`graphforget.active.strategies.STRATEGIES`.
        count: retained rows that are replayed; all of them where there are fewer.
        epochs: passes over the chosen rows.
        lr: Adam's learning rate.
        ascent: passes over the forgotten before.
        ascent_lr: Adam's learning rate there.
        candidates: retained rows that are looked at, drawn at random.
    """

    strategy: str = "ldm_s"
    count: int = 100
    epochs: int = 10
    lr: float = 1e-3
    ascent: int = 3
    ascent_lr: float = 1e-3
    candidates: int = 2000

    needs: ClassVar[tuple[type, ...]] = (SampleTask,)
    reads: ClassVar[frozenset[str]] = frozenset({"forget", "retain"})

    def _unlearn(self, job: Job) -> Unlearned:
        if self.strategy not in STRATEGIES:
            raise unknown("strategy", self.strategy, STRATEGIES)
        for name in ("count", "candidates"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1 (got {getattr(self, name)})")
        task, split = job.task, job.split
        retain: Samples = split.retain

        def climb(epoch: int) -> Iterator[Tensor]:
            for batch in task.batches(retain, split.forget, job.rng):
                yield -task.criterion(task.bind(job.model, retain)(batch), batch).mean()

        if self.ascent:
            descend(job.model, climb, epochs=self.ascent, lr=self.ascent_lr, clip=1.0, title="ascent")
        rows = retain.rows()
        some = rows[torch.randperm(len(rows), generator=job.rng)[: self.candidates]]
        pool = look(job.model, task, retain, retain.view(retain.mask_of(some)))
        taken = choose(self.strategy, pool, min(self.count, pool.size), seed=draw_seed(job.rng))
        chosen = retain.view(retain.mask_of(taken))

        def replay(epoch: int) -> Iterator[Tensor]:
            for batch in task.batches(retain, chosen, job.rng):
                yield task.loss(job.model, retain, batch)

        epochs = descend(
            job.model, replay, epochs=self.epochs, lr=self.lr, weight_decay=task.weight_decay, title="replay"
        )
        return Unlearned(job.model, retain, {"epochs": epochs, "replayed": len(taken)})
