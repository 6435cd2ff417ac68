"""EWC (Kirkpatrick et al., arXiv:1612.00796): weights that mattered for a part are held where they were after it.

::

    L = CE(new) + lambda / 2 sum over parts p, weights i of  F_p,i (w_i - w*_p,i)^2

F_p is the diagonal of the empirical Fisher information on part p, from single elements. One pair (F_p, w*_p) a part: a
pair from which something is forgotten is thrown away, since both were computed from it (the others' anchors still are
weights that had seen the forgotten: EWC has no answer to that). No buffer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from graphforget.continual.stream import Learner, State
from graphforget.task import Batch


@dataclass(frozen=True)
class EWC(Learner):
    """Hold what mattered.

    Args:
        weight: lambda.
        samples: elements of a part that the Fisher information is estimated on; our default.
    """

    weight: float = 10.0
    samples: int = 200

    paper: ClassVar[str] = "arXiv:1612.00796"

    def loss(self, state: State, new: Batch | None, flagged: Batch | None) -> Tensor:
        """CE(new) and the penalty."""
        if new is None:
            raise TypeError("EWC has no term for the forgotten")
        total = state.task.loss(state.model, state.context, new)
        weights = dict(state.model.named_parameters())
        for fisher, anchor, _ in state.notes.get("parts", ()):
            for name, value in fisher.items():
                total = total + self.weight / 2 * (value * (weights[name] - anchor[name]).square()).sum()
        return total

    def after_part(self, state: State, view: Any) -> None:
        """Estimate the Fisher information of the part and keep the weights."""
        batch = state.task.elements(state.context, view)
        rows = torch.randperm(batch.size, generator=state.rng)[: self.samples]
        named = dict(state.model.named_parameters())
        found = {name: torch.zeros_like(value) for name, value in named.items()}
        state.model.eval()
        for row in rows.tolist():
            loss = state.task.loss(state.model, state.context, batch.take(torch.tensor([row])))
            grads = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
            for name, grad in zip(named, grads, strict=True):
                if grad is not None:
                    found[name] += grad.square() / len(rows)
        anchor = {name: value.detach().clone() for name, value in named.items()}
        state.notes.setdefault("parts", []).append((found, anchor, batch.index.clone()))

    def release(self, state: State, gone: Tensor) -> None:
        """Throw away the pairs of parts that have lost something."""
        state.notes["parts"] = [
            part
            for part in state.notes.get("parts", ())
            if not bool(torch.isin(part[2], gone.to(part[2].device)).any())
        ]
