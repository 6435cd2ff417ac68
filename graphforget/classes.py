"""What every task with class labels shares, whatever the labels are of: its scores, its figures, its beliefs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, TypeVar

import torch
from torch import Tensor, nn

from graphforget import metrics
from graphforget.task import Batch, Task, check_labels

D = TypeVar("D")


@dataclass(frozen=True)
class ClassTask(Task[D]):
    """Labels by the softmax of the model's output; see :class:`graphforget.task.Task`."""

    score_name: ClassVar[str] = "accuracy"

    def criterion(self, outputs: Tensor, batch: Batch) -> Tensor:
        """[B] cross-entropy.

        Raises:
            InputError: a label that the model has no output for.
        """
        try:
            return super().criterion(outputs, batch)
        except IndexError:  # asked only then: a look at every batch would make an accelerator wait for it
            check_labels(batch.label, outputs.shape[1])
            raise

    def evaluate(self, model: nn.Module, context: D, view: D, reference: Tensor | None = None) -> dict[str, float]:
        """accuracy, f1 (macro), mean belief in the own label; with gold's outputs the distance to gold."""
        batch = self.elements(context, view)
        outputs = self.teacher(model, context)(batch)
        label = batch.label.to(outputs.device)
        found = {
            "accuracy": metrics.accuracy(outputs, label),
            "f1": metrics.f1_macro(outputs, label),
            "belief": float(self.scores(outputs, batch).sigmoid().mean()),
        }
        if reference is not None:
            found |= self.to_gold(outputs, reference, batch)
        return found

    def held_out_score(self, model: nn.Module, context: D, held_out: D) -> float:
        """Accuracy, with the mean log-likelihood as tie-breaker."""
        batch = self.elements(context, held_out)
        outputs = self.teacher(model, context)(batch)
        return metrics.accuracy(outputs, batch.label) - 1e-3 * float(self.criterion(outputs, batch).mean())

    def scores(self, outputs: Tensor, batch: Batch) -> Tensor:
        """[B] logit of the own label: z_y minus the log-sum-exp of the others."""
        label = batch.label.to(outputs.device)[:, None]
        own = outputs.gather(1, label).squeeze(1)
        return own - outputs.scatter(1, label, -torch.inf).logsumexp(1)

    def shift(self, outputs: Tensor, batch: Batch, delta: Tensor) -> Tensor:
        """[B, C] outputs with the own label's logit lowered by delta, the others kept."""
        label = batch.label.to(outputs.device)[:, None]
        return outputs.scatter_add(1, label, -delta.to(outputs)[:, None])
