"""Replay of a buffer: ER (Rolnick et al., arXiv:1811.11682) and DER++ (Buzzega et al., arXiv:2004.07211); and nothing.

::

    ER      L = CE(new) + beta CE(buffer)
    DER++   L = CE(new) + alpha mean || S(x) - z ||^2 + beta CE(buffer),   z the answers kept beside x

DER++ keeps the answers of the end of a part, not of the step at which an element came (our default). Neither has a term
for what is to be forgotten: a request takes it out of the buffer, its answers with it, and changes no weight.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from graphforget.continual.stream import Learner, State
from graphforget.task import Batch


@dataclass(frozen=True)
class OnlyNew(Learner):
    """Train on what comes and on nothing else: the lower end of the scale."""

    def loss(self, state: State, new: Batch | None, flagged: Batch | None) -> Tensor:
        """Mean loss of the part."""
        return state.task.loss(state.model, state.context, _there(new))


@dataclass(frozen=True)
class ER(Learner):
    """Replay elements of the buffer beside those that come.

    Args:
        beta: weight of the replayed.
    """

    beta: float = 1.0

    paper: ClassVar[str] = "arXiv:1811.11682"

    def loss(self, state: State, new: Batch | None, flagged: Batch | None) -> Tensor:
        """CE(new) + beta CE(buffer)."""
        ask, task = state.task.bind(state.model, state.context), state.task
        total = task.criterion(ask(_there(new)), _there(new)).mean()
        if drawn := state.replay(self.minibatch):
            total = total + self.beta * task.criterion(ask(drawn[0]), drawn[0]).mean()
        return total


@dataclass(frozen=True)
class DERpp(ER):
    """Replay elements with the answers that the model gave when it had learned them.

    Args:
        alpha: weight of the answers.
        beta: weight of the labels.
    """

    alpha: float = 0.2
    beta: float = 0.5

    paper: ClassVar[str] = "arXiv:2004.07211"
    answers: ClassVar[bool] = True

    def loss(self, state: State, new: Batch | None, flagged: Batch | None) -> Tensor:
        """CE(new) + alpha mean || S(x) - z ||^2 + beta CE(buffer), each of a draw of its own."""
        total = super().loss(state, new, flagged)
        drawn = state.replay(self.minibatch)
        if drawn is None or drawn[1] is None:
            return total
        answers = state.task.outputs(state.model, state.context, drawn[0])
        return total + self.alpha * (answers - drawn[1].to(answers.device)).square().mean()


def _there(batch: Batch | None) -> Batch:
    if batch is None:
        raise TypeError("a learner without a term for the forgotten was asked to unlearn")
    return batch
