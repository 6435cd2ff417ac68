"""The cheapest repair after a deletion: the last layer learns the retained data again, a sample at a time; ours.

The encoder stays frozen, the columns of labels that nothing retains start at zero, and the retained rows pass once, in
random order, through one of the rules of :mod:`graphforget.continual.online`; none is kept.

The encoder has seen the forgotten and still has: what it knows of them stays in its features. Where it never saw them
(it was trained on other data) the repair is all there is to do. ``record["encoder"]`` says that it was not changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, cast

import torch
from torch import nn

from graphforget.classes import ClassTask
from graphforget.continual.features import watched
from graphforget.continual.online import OnlineLayer
from graphforget.errors import NotApplicable, unknown
from graphforget.samples import ROWS, SampleTask
from graphforget.unlearner import Job, Unlearned, Unlearner

RULES = ("tinyol", "tinyol_batch", "lwf", "lwf_batch", "cwr")  # v2 learns new labels only


@dataclass(frozen=True)
class OnlineRepair(Unlearner):
    """Learn the last layer again from the retained rows.

    Args:
        rule: of the online learner.
        lr: its learning rate.
        k: its batch size, where it has one.
        passes: over the retained rows.
    """

    rule: str = "tinyol"
    lr: float = 0.01
    k: int = 16
    passes: int = 1

    needs: ClassVar[tuple[type, ...]] = (ClassTask, SampleTask)
    reads: ClassVar[frozenset[str]] = frozenset({"forget", "retain"})

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise unknown("rule of a repair", self.rule, RULES)
        if self.passes < 1:
            raise NotApplicable(f"passes must be at least 1 (got {self.passes})")

    def _unlearn(self, job: Job) -> Unlearned:
        task, retain = cast(Any, job.task), job.split.retain
        last = list(task.find_layers(job.model).values())[-1]
        if not isinstance(last, nn.Linear):
            raise NotApplicable(f"the last layer must be linear (got {type(last).__name__}); name it in layer_names")
        kept = task.elements(retain, retain)
        own: torch.Tensor | None = last.bias
        bias = torch.zeros(last.out_features, device=last.weight.device) if own is None else own
        layer = OnlineLayer(last.weight.t(), bias, range(last.out_features), self.rule, self.lr, self.k)
        layer.clear(sorted(set(range(last.out_features)) - set(kept.label.tolist())))
        ask = watched(task, job.original, retain)
        with torch.no_grad():
            for _ in range(self.passes):
                for rows in torch.randperm(kept.size, generator=job.rng).split(ROWS):
                    batch = kept.take(rows.to(kept.label.device))
                    for x, y in zip(ask(batch)[1], batch.label.tolist(), strict=True):
                        layer.learn(x, y)
            last.weight.copy_(layer.weight.t())
            if own is not None:
                own.copy_(layer.bias)
        job.notes["encoder"] = "not changed: what it learned from the forgotten stays in its features"
        job.notes["samples"] = layer.seen
        return Unlearned(job.model, retain, {})
