"""LwF (Li, Hoiem, arXiv:1606.09282): new elements keep getting the answers that the model gave before the part.

::

    L = CE(new) + weight T^2 KL( softmax(S_old(x) / T) || softmax(S(x) / T) )    over the labels known before the part

S_old is the model as it stood before the part. It remembers what is to be forgotten: a request takes the forgotten
labels out of the columns that are compared. No buffer.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from graphforget.continual.stream import Learner, State
from graphforget.task import Batch


@dataclass(frozen=True)
class LwF(Learner):
    """Learn without forgetting, on the new data alone.

    Args:
        weight: of the old answers.
        temperature: T.
    """

    weight: float = 1.0
    temperature: float = 2.0

    paper: ClassVar[str] = "arXiv:1606.09282"

    def loss(self, state: State, new: Batch | None, flagged: Batch | None) -> Tensor:
        """CE(new) and the distance to the old answers."""
        if new is None:
            raise TypeError("LwF has no term for the forgotten")
        task, context = state.task, state.context
        answers = task.outputs(state.model, context, new)
        total = task.criterion(answers, new).mean()
        if "teacher" not in state.nets:
            return total
        old = task.teacher(state.nets["teacher"], context)(new)
        if len(known := state.notes["known"].to(old.device)):
            answers, old = answers[:, known], old[:, known]
        return total + self.weight * task.divergence(old, answers, self.temperature).mean()

    def after_part(self, state: State, view: Any) -> None:
        """Keep the model as it stands."""
        state.nets["teacher"] = copy.deepcopy(state.model).requires_grad_(False)
        state.notes["known"] = state.labels

    def release(self, state: State, gone: Tensor) -> None:
        """Compare no more what is not here any more."""
        if "known" in state.notes:
            known = state.notes["known"]
            state.notes["known"] = known[torch.isin(known, state.labels)]
