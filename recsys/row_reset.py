"""Row reset and fine-tuning: draw the rows of the forgotten users and items anew, then train on what is retained.

The simplest thing that works for whole users and items: what a model knows of them by themselves is their rows. What
the others learned from them is left to the fine-tuning. A withdrawn modality has rows too: those of the trained feature
tables (their names hold the modality's name), which memorise. Single interactions have no row of their own, and the
method refuses them. No paper's; defaults are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from graphforget.errors import NotApplicable
from graphforget.methods.finetune import go_on
from graphforget.unlearner import Job, Unlearned, Unlearner
from recsys.tables import gone, of_modality, reset_rows, tables, withdrawn
from recsys.task import Recommendation


@dataclass(frozen=True)
class RowReset(Unlearner):
    """Draw the forgotten rows anew and fine-tune on the retained interactions.

    Args:
        epochs: passes over the retained interactions.
        lr: Adam's learning rate.
    """

    epochs: int = 10
    lr: float = 1e-3

    needs: ClassVar[tuple[type, ...]] = (Recommendation,)
    reads: ClassVar[frozenset[str]] = frozenset({"data", "retain"})

    def _unlearn(self, job: Job) -> Unlearned:
        job.notes["reset"] = redraw(job)
        go_on(job, epochs=self.epochs, lr=self.lr, title="row reset")
        return Unlearned(job.model, job.split.retain, {})


def redraw(job: Job) -> list[str]:
    """Reset the rows of what a request removed or withdrew; return the names of the tables.

    Raises:
        InputError: the request removes no user, no item and no feature.
    """
    data, retain = job.split.data, job.split.retain
    users, items = gone(data, retain)
    lost = withdrawn(data, retain)
    if not (len(users) or len(items) or lost):
        raise NotApplicable(
            "row reset forgets users, items and modalities; single interactions have no row of their own: "
            "use mmrecun_calibrated"
        )
    own = getattr(job.model, "reset_rows", None)
    if callable(own):  # a wrapped model knows its own tables
        own(users, items)
        return ["the model's own rule"]
    new = job.task.fresh(job.original, job.seed + 1)
    names = set(reset_rows(job.model, new, data, users, items))
    fresh = dict(new.named_parameters())
    with torch.no_grad():
        for name, parameter, side in tables(job.model, data.size):
            modality = of_modality(name, data.features)
            if side == "item" and modality in lost:
                rows = lost[modality]
                parameter[rows] = fresh[name][rows].to(parameter.device)
                names.add(name)
    return sorted(names)
