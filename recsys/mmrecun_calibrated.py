"""Calibrated MMRecUN: our own variant, not the paper's.

Reverse BPR pushes a forgotten pair below whatever is drawn beside it, which no retrained model does, and it drags the
ranking of everything else along. Here a forgotten pair has a target of its own: what the model would believe of it had
it never seen it (:mod:`graphforget.calibrate`). What is retained is held where it was. The rows of removed users and
items, which a retrained model never trains, are drawn anew first, and what a removed modality taught goes with them.

::

    d_P, d_S = y_up - y_un of the original (preserver) and the student, both on the retained graph
    Loss = [ sum_{retained triples} ( d_S - d_P )^2                                                            (1)
             + w_f sum_{e forgotten} ( s_S(e) - target(e) )^2 ] / (number of terms)                            (2)
           + anchor mean_{random (u, i, j)} ( d_S - d_P )^2                                                    (3)
    from epoch LEAD on, before each:  target -= correction * ( mean s_S - mean target as estimated )           (4)

s(e) is a pair's score above the user's mean over all items. The memory that its target goes without is measured at the
cut, on the pair's distance to the last item that the user is shown: what decides a recommendation, free of how large
the scores of a user are. As many targets stand above the cut as unseen pairs of like structure do, and they spread as
those do (``level`` and ``keep`` of :func:`graphforget.calibrate.calibrate`). (3) holds the ranking of all other items.
(1) and (3) pull back, so that the student would stop short of the targets however long it trains; (4) asks for as much
more as it falls short, until the mean is reached (the method of multipliers).
Squares, not divergences of sigmoids: those saturate just where a ranking is decided, at the highest scores. A request
for users, items or features leaves (2) no term once their rows are drawn anew: there the model's own loss on the
retained interactions takes the place of (1), since rows that start from nothing have to be learned around. An item
that stays but loses most of its interactions with the removed users (planted users push it) takes the mean row of the
items that have as few left: what the model believes of an item like that. (Most is more than half: an item that loses
one of two keeps its row.)
A request that names users or items and single interactions of others is served in both ways, the rows first: what is
remembered of the interactions is asked of the model that was refitted without the rows.

Weights, epochs and learning rate are our defaults, set on ml_posters with BPR and LightGCN, seed 0; the cut and the
spread were looked at on seeds 11 to 14, the epochs of refitting on 11 and 12, ``hollow``
on ml-100k after fifty users.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from graphforget.calibrate import calibrate
from graphforget.checkpoint import State
from graphforget.distill import combine, paired
from graphforget.errors import InputError, NotApplicable
from graphforget.graph import Graph
from graphforget.methods.finetune import go_on
from graphforget.task import Ask, Batch
from graphforget.train import descend
from graphforget.unlearner import Job, Unlearned, Unlearner
from recsys.mixed import interactions_left, named_rows
from recsys.row_reset import redraw
from recsys.tables import take_peers_rows
from recsys.task import Recommendation

LEAD = 6  # epochs in which a student comes near its targets by itself; our default


@dataclass
class _Shortfall:
    """(4): by how much every target is lowered so far, which checkpoints keep."""

    lowered: float = 0.0

    def keep(self) -> State:
        return {}, {"lowered": self.lowered}

    def recall(self, state: State) -> None:
        self.lowered = state[1]["lowered"]


@dataclass(frozen=True)
class CalibratedMMRecUN(Unlearner):
    """Distil towards what the recommender would believe had it never seen the forgotten (ours).

    Args:
        forget_weight: w_f, weight of a forgotten pair against a retained triple.
        anchor: weight of (3).
        per_element: let the estimated memory vary with structure.
        keep: share of a pair's own deviation from its structure that the target keeps; None matches the spread of
            unseen pairs of like structure.
        correction: of (4); 0 leaves the student where (1) and (3) hold it.
        samples: samples of retained interactions that the calibration takes.
        epochs: passes over the retained interactions.
        lr: Adam's learning rate.
        refit: passes over the retained interactions where rows were drawn anew.
        refit_lr: Adam's learning rate in them.
        hollow: share of its interactions that a user or item must lose to the removal of others for its row to become
            its peers' mean.
        peers: how many: those with the nearest number of retained interactions.
    """

    forget_weight: float = 70.0
    anchor: float = 1.0
    per_element: bool = True
    keep: float | None = None
    correction: float = 0.1
    samples: int = 6
    epochs: int = 20
    lr: float = 4e-3
    refit: int = 3
    refit_lr: float = 1e-3
    hollow: float = 0.6
    peers: int = 20

    needs: ClassVar[tuple[type, ...]] = (Recommendation,)

    def __post_init__(self) -> None:
        if self.forget_weight < 0 or self.anchor < 0:
            raise InputError(
                f"forget_weight and anchor must not be negative (got {self.forget_weight} and {self.anchor})"
            )
        if not 0 <= self.correction < 1:
            raise InputError(f"correction must lie in [0, 1) (got {self.correction}); near 1 the targets swing")
        if self.refit < 1 or self.peers < 1:
            raise InputError(f"refit and peers must be at least 1 (got {self.refit} and {self.peers})")
        if not 0 < self.hollow <= 1:
            raise InputError(f"hollow must be a share above 0 and at most 1 (got {self.hollow}); 1 takes emptied rows")
        if self.samples < 1:
            raise InputError(f"samples must be at least 1 (got {self.samples})")

    def _unlearn(self, job: Job) -> Unlearned:
        data, retain = job.split.data, job.split.retain
        if not named_rows(data, retain):
            self._distil(job)
            return Unlearned(job.model, retain, {})
        single = interactions_left(job.split)
        without_rows = retain if single is None else single.data  # who gave up single interactions keeps a row
        job.notes["reset"] = redraw(job)
        job.notes["peers"] = take_peers_rows(job.model, data, without_rows, share=self.hollow, peers=self.peers)
        job.notes["refitted"] = go_on(job, epochs=self.refit, lr=self.refit_lr, title="mmrecun calibrated, rows")
        if single is not None:
            refitted = copy.deepcopy(job.model).eval().requires_grad_(False)
            self._distil(replace(job, original=refitted, split=single))
        return Unlearned(job.model, retain, {})

    def _distil(self, job: Job) -> None:
        split, context = job.split, job.split.retain
        task: Any = job.task
        at_the_cut = replace(task, beside=task.last_shown(job.original, split))
        found = calibrate(
            at_the_cut,
            job.original,
            split,
            job.rng,
            samples=self.samples,
            per_element=self.per_element,
            keep=self.keep,
            level="positive",
        )
        if found is None:
            raise NotApplicable("the request takes nothing away that a recommender was trained on; nothing to unlearn")
        job.notes.update(delta_mean=found.mean, reliability=found.reliability, unseen=found.unseen)
        preserve = task.teacher(job.original, context)
        target = task.shift(preserve(found.batch), found.batch, found.delta)
        numbered = Batch(found.batch.index, torch.arange(found.batch.size, device=found.batch.label.device))
        wanted, short = float(task.scores(target, found.batch).mean()), _Shortfall()
        job.model.eval()

        def steps(epoch: int) -> Iterator[Tensor]:
            job.model.eval()  # both propagate as in evaluation
            if self.correction and epoch >= LEAD:
                reached = task.scores(task.teacher(job.model, context)(found.batch), found.batch)
                short.lowered += self.correction * (float(reached.mean()) - wanted)  # (4)
            for retained, rows in paired(task, context, context, numbered, job.rng):
                ask = task.bind(job.model, context)
                keep = task.scores(preserve(retained) - ask(retained), retained).square()  # (1)
                drop = None
                if rows is not None:
                    asked = found.batch.take(rows.label)
                    drop = (task.scores(ask(asked) - target[rows.label], asked) + short.lowered).square()  # (2)
                loss = combine(keep, drop, alpha=0.5, weighting="per_element", forget_weight=self.forget_weight)
                yield loss + self.anchor * self._anchor(preserve, ask, context, retained.size, job)

        job.notes["epochs"] = descend(
            job.model, steps, epochs=self.epochs, lr=self.lr, memory=short, title="mmrecun calibrated"
        )
        job.notes["lowered"] = short.lowered

    def _anchor(self, preserve: Ask, ask: Ask, context: Graph, count: int, job: Job) -> Tensor:
        """(3) on as many random triples as there are retained ones."""
        index = torch.stack([torch.randint(context.size[k], (count,), generator=job.rng) for k in (0, 1, 1)]).to(
            context.device
        )
        asked = Batch(index, torch.zeros(count, dtype=torch.int64, device=context.device))
        before, after = preserve(asked), ask(asked)
        return ((after[:, 0] - after[:, 1]) - (before[:, 0] - before[:, 1])).square().mean()
