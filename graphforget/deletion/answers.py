"""What the models of a verification answer, on the same elements in the same order."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from graphforget import evidence, metrics
from graphforget.deletion.samples import Model, Part, subjects_of
from graphforget.errors import InputError
from graphforget.forget import ForgetSplit
from graphforget.task import Batch, Task
from graphforget.unlearner import Unlearned

PARTS: tuple[Part, ...] = ("forget", "retain", "test")


@dataclass(frozen=True, eq=False)
class Asked:
    """The elements that every model is asked about.

    Args:
        task: how models run.
        split: the request.
        test: unseen elements.
        whole: part -> all of its elements.
        kept: part -> [n] the rows that are resampled, evenly spaced.
        subjects: [n] whom each kept forgotten element belongs to.
    """

    task: Any
    split: ForgetSplit[Any]
    test: Any
    whole: Mapping[Part, Batch]
    kept: Mapping[Part, Tensor]
    subjects: Tensor

    @classmethod
    def of(cls, task: Task[Any], split: ForgetSplit[Any], test: Any, subjects: Tensor | None) -> Asked:
        """List the elements of each part."""
        views = {"forget": split.forget, "retain": split.untouched, "test": test}
        whole = {part: task.elements(split.retain, views[part]) for part in PARTS}
        size = whole["forget"].size
        found = subjects_of(split, whole["forget"]) if subjects is None else subjects
        if found.shape != (size,):
            raise InputError(f"subjects must be [{size}], one a forgotten element (got {list(found.shape)})")
        kept = {part: evidence.thinned(batch.size) for part, batch in whole.items()}
        return cls(task, split, test, whole, kept, found[kept["forget"]].unique(return_inverse=True)[1])

    @property
    def views(self) -> dict[str, Any]:
        """Part -> view."""
        return {"forget": self.split.forget, "retain": self.split.untouched, "test": self.test}

    def answers(self, result: Unlearned) -> dict[Part, Tensor]:
        """Part -> [n, C] outputs of a model, on the kept rows."""
        found = evidence.answers(self.task, result, self.views)
        return {part: found[part][rows].double().cpu() for part, rows in self.kept.items()}

    def beliefs(self, outputs: Mapping[Part, Tensor]) -> dict[Part, Tensor]:
        """Part -> [n] log-odds."""
        return {part: self.task.scores(outputs[part], self.whole[part].take(self.kept[part])) for part in PARTS}

    def score(self, result: Unlearned) -> float:
        """The task's own score on unseen elements."""
        found = self.task.evaluate(result.model, result.context, self.test)
        return float(found[self.task.score_name])


@dataclass(frozen=True, eq=False)
class Answers:
    """What the models answer.

    Args:
        asked: the elements.
        original: the model before, under the whole data.
        unlearned: the model after.
        retrained: the golds.
    """

    asked: Asked
    original: Unlearned
    unlearned: Unlearned
    retrained: tuple[Unlearned, ...]

    @cached_property
    def before(self) -> dict[Part, Tensor]:
        """Outputs of the original."""
        return self.asked.answers(self.original)

    @cached_property
    def after(self) -> dict[Part, Tensor]:
        """Outputs of the unlearned model."""
        return self.asked.answers(self.unlearned)

    @cached_property
    def golds(self) -> list[dict[Part, Tensor]]:
        """Outputs of each gold."""
        return [self.asked.answers(gold) for gold in self.retrained]

    @cached_property
    def old(self) -> dict[Part, Tensor]:
        """Beliefs of the original."""
        return self.asked.beliefs(self.before)

    @cached_property
    def new(self) -> dict[Part, Tensor]:
        """Beliefs of the unlearned model."""
        return self.asked.beliefs(self.after)

    @cached_property
    def truth(self) -> list[dict[Part, Tensor]]:
        """Beliefs of each gold."""
        return [self.asked.beliefs(gold) for gold in self.golds]

    def shown(self) -> dict[tuple[Model, Part], Tensor]:
        """Beliefs for the pictures; all golds together."""
        found: dict[tuple[Model, Part], Tensor] = {("before", part): self.old[part] for part in PARTS}
        found |= {("after", part): self.new[part] for part in PARTS}
        if self.truth:
            found |= {("gold", part): torch.cat([gold[part] for gold in self.truth]) for part in PARTS}
        return found

    def apart(self, part: Part) -> tuple[Tensor, Tensor]:
        """([n] each element's distance to gold, [K, n] each gold's distance to the others), JS."""
        golds = [gold[part] for gold in self.golds]
        own = torch.stack([metrics.js(self.after[part], gold) for gold in golds]).mean(0)
        if len(golds) < 2:
            return own, torch.full((1, len(own)), math.nan, dtype=torch.float64)
        pairs = {(i, j): metrics.js(golds[i], golds[j]) for j in range(len(golds)) for i in range(j)}
        floor = [torch.stack([each for pair, each in pairs.items() if k in pair]).mean(0) for k in range(len(golds))]
        return own, torch.stack(floor)
