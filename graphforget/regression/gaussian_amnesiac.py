"""Gaussian-Amnesiac (Tarun, Chundawat, Mandal, Kankanhalli, "Deep Regression Unlearning"; arXiv:2210.08196).

The forgotten rows get targets that say nothing and the model goes on training on them beside the retained ones.

::

    y~_i ~ N(mean(y_train), sd(y_train))   for i in D_f                                                 (1)
    L    = mean over D_r and D_f of the task's own loss, on y of D_r and on y~ of D_f                   (2)

==========  ===========================================================
paper       here
==========  ===========================================================
y_train     all targets of ``split.data``, the forgotten included
D_r, D_f    ``split.retain``, the rows of ``split.forget`` that go
==========  ===========================================================

One epoch and Adam's 1e-3 are those of the published code on ages; it takes five epochs on sentence pairs. The labels
are drawn once. Several target columns are drawn each from its own normal distribution (our default).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from graphforget.distill import paired
from graphforget.regression.task import Regression, gone
from graphforget.samples import Samples
from graphforget.task import Batch
from graphforget.train import descend
from graphforget.unlearner import Job, Unlearned, Unlearner


@dataclass(frozen=True)
class GaussianAmnesiac(Unlearner):
    """Train on random targets of the forgotten rows, beside the retained ones.

    Args:
        epochs: passes over the retained and the forgotten rows.
        lr: Adam's learning rate.
    """

    epochs: int = 1
    lr: float = 1e-3

    paper: ClassVar[str] = "arXiv:2210.08196"
    needs: ClassVar[tuple[type, ...]] = (Regression,)
    reads: ClassVar[frozenset[str]] = frozenset({"data", "forget", "retain"})

    def _unlearn(self, job: Job) -> Unlearned:
        task, context = job.task, job.split.retain
        forgotten = gone(job, "Gaussian-Amnesiac")
        wrong = Batch(forgotten.index, relabel(job.split.data, forgotten.size, job.rng), forgotten.input)

        def steps(epoch: int) -> Iterator[Tensor]:
            for kept, rows in paired(task, context, context, wrong, job.rng):
                ask = task.bind(job.model, context)
                each = [task.criterion(ask(batch), batch) for batch in (kept, rows) if batch is not None]
                yield torch.cat(each).mean()  # (2)

        descend(job.model, steps, epochs=self.epochs, lr=self.lr, title="gaussian amnesiac")
        return Unlearned(job.model, context, {})


def relabel(train: Samples, count: int, rng: torch.Generator) -> Tensor:
    """[count, D] targets drawn from the normal distribution of a view's own, a column at a time: (1).

    Example:
        >>> data = Samples(torch.zeros(2, 1), torch.tensor([[0.0], [2.0]]))
        >>> found = relabel(data, 10_000, torch.Generator().manual_seed(0))
        >>> round(float(found.mean()), 1), round(float(found.std()), 1)
        (1.0, 1.0)
    """
    y = train.y[train.rows().to(train.y.device)]
    drawn = torch.randn(count, y.shape[1], generator=rng).to(y)
    return y.mean(0) + y.std(0, correction=0) * drawn
