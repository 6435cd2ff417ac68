"""RMU, representation misdirection (Li et al., arXiv:2403.03218): hidden states go to a random place.

::

    L_f = MSE( h_l(x), c u )                   on the answer tokens of the forgotten               (1)
    L_r = MSE( h_l(x), h_l of the original )   on those of the retained                            (2)
    L   = L_f + alpha L_r

==========  ==================================================================================
l           ``layer``: states after so many decoder layers (7 as published, for 32)
c           ``steering``
u           a vector of uniform draws, all positive, divided by its norm
==========  ==================================================================================

Constants are open-unlearning's (commit d3d7cf9), which trains all parameters (the original RMU: three projections).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from graphforget.errors import InputError
from graphforget.llm.descent import check, forget_and_keep
from graphforget.llm.task import CausalLM
from graphforget.task import Batch
from graphforget.unlearner import Job, Unlearned, Unlearner


@dataclass(frozen=True)
class RMU(Unlearner):
    """Send the hidden states of forgotten answers to a random place, hold those of retained ones.

    Args:
        layer: after which decoder layer.
        steering: how far away the place is.
        alpha: weight of what holds the retained.
        epochs: passes over the forgotten rows.
        lr: Adam's learning rate.
        batch_size: forgotten rows a step, and as many retained ones.
    """

    layer: int = 7
    steering: float = 2.0
    alpha: float = 1.0
    epochs: int = 10
    lr: float = 1e-5
    batch_size: int = 32

    paper: ClassVar[str] = "arXiv:2403.03218"
    needs: ClassVar[tuple[type, ...]] = (CausalLM,)
    reads: ClassVar[frozenset[str]] = frozenset({"forget", "retain"})

    def __post_init__(self) -> None:
        if self.layer < 1 or self.steering <= 0:
            raise InputError(f"layer must be at least 1 and steering positive (got {self.layer} and {self.steering})")
        check(self)

    def _unlearn(self, job: Job) -> Unlearned:
        task: Any = job.task
        place: Tensor | None = None

        def away(batch: Batch) -> Tensor:
            nonlocal place
            states = task.hidden(job.model, batch, self.layer)
            if place is None:
                drawn = torch.rand(states.shape[1], generator=job.rng).to(states)
                place = self.steering * drawn / drawn.norm()
            return F.mse_loss(states, place.expand_as(states))  # (1)

        def held(batch: Batch) -> Tensor:
            with torch.no_grad():
                before = task.hidden(job.original, batch, self.layer)
            return F.mse_loss(task.hidden(job.model, batch, self.layer), before)  # (2)

        return forget_and_keep(job, self, away, held, title="rmu")
