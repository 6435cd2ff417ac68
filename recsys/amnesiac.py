"""Amnesiac unlearning by relabelling (Graves, Nagisetty, Ganesh; arXiv:2010.10981), on pairwise ranking.

The paper replaces the labels of what is forgotten by random ones and trains on, beside the retained data. A triple has
two labels, "p above n" and "n above p"; each forgotten triple gets either by a fair draw, anew in every epoch.

::

    L = mean over D_r of the model's own loss + mean_{(u,p,n) in D_f} -log sigmoid(s (y_up - y_un)),  s = +-1 at random

Epochs, learning rate and the equal weights are our defaults.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from graphforget.errors import NotApplicable
from graphforget.task import Batch
from graphforget.train import descend
from graphforget.unlearner import Job, Unlearned, Unlearner
from recsys.mmrecun import cycle
from recsys.task import Recommendation


@dataclass(frozen=True)
class Amnesiac(Unlearner):
    """Train on random labels of the forgotten triples, beside the retained interactions.

    Args:
        epochs: passes over the retained interactions.
        lr: Adam's learning rate.
    """

    epochs: int = 5
    lr: float = 1e-3

    paper: ClassVar[str] = "arXiv:2010.10981"
    needs: ClassVar[tuple[type, ...]] = (Recommendation,)
    reads: ClassVar[frozenset[str]] = frozenset({"forget", "retain"})

    def _unlearn(self, job: Job) -> Unlearned:
        task, context = job.task, job.split.retain
        if next(iter(task.batches(context, job.split.gone, None)), None) is None:
            raise NotApplicable("relabelling forgets interactions (got a request for values only); use row_reset")
        forgotten = cycle(job)

        def steps(epoch: int) -> Iterator[Tensor]:
            task.begin_epoch(job.model, context, job.rng)
            for batch in task.batches(context, context, job.rng):
                wrong = next(forgotten)
                label = torch.randint(2, wrong.label.shape, generator=job.rng).to(wrong.label.device)
                asked = Batch(wrong.index, label)
                relabelled = task.criterion(task.outputs(job.model, context, asked), asked).mean()
                yield task.loss(job.model, context, batch) + relabelled

        descend(job.model, steps, epochs=self.epochs, lr=self.lr, carries=True, title="amnesiac")
        return Unlearned(job.model, context, {})
