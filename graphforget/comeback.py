"""Unlearned or merely concealed? Whether a little relearning, or a little of the original, brings the forgotten back.

Two probes of any model, both beside gold's own answer, which alone says what "gone" looks like:

* **relearning** (as in Deeb & Roger, arXiv:2410.08827, "Do unlearning methods remove information from language model
  weights?"; the form for any task is ours): half of the forgotten are shown again for a few steps, and the *other half*
  are asked about. What only generalises comes back in gold as well; what comes back faster was still in the weights.
* **guidance**, the analogue of partial diffusion for models without steps (ours): a share psi of the original's answer
  is mixed into the unlearned model's, ``(1 - psi) unlearned + psi original``, in units of each model's own spread.

Both read one figure: the chance that a forgotten element is believed more than one that no model ever saw. Gold's is
seldom 1/2. A figure below gold's shows too: what was pushed under the never-seen is marked, not gone.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from graphforget.errors import InputError
from graphforget.forget import ForgetSplit
from graphforget.metrics import auc
from graphforget.task import Batch, Scored, Task
from graphforget.train import Recipe, descend, seeded
from graphforget.unlearner import Unlearned

PSIS = (0.0, 0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.75, 1.0)
STEPS = (0, 1, 2, 5, 10, 20, 50)


@dataclass(frozen=True)
class Comeback:
    """How the forgotten come back in one model.

    Args:
        relearned: steps on one half of the forgotten -> AUC of the other half against the never seen.
        guided: the original's share psi -> AUC of all the forgotten against the never seen.
    """

    relearned: dict[int, float]
    guided: dict[float, float]

    def steps_to(self, level: float) -> float:
        """The fewest relearning steps that reach an AUC; infinite where none of those tried does.

        Example:
            >>> Comeback({0: 0.5, 5: 0.7}, {0.0: 0.5, 0.5: 0.8}).steps_to(0.6)
            5.0
        """
        return float(min((n for n, value in self.relearned.items() if value >= level), default=float("inf")))

    def psi_to(self, level: float) -> float:
        """The least share of the original that reaches an AUC; infinite where none of those tried does."""
        return min((psi for psi, value in self.guided.items() if value >= level), default=float("inf"))


def comeback(
    task: Task[Any],
    split: ForgetSplit[Any],
    unseen: Any,
    original: nn.Module,
    result: Unlearned,
    *,
    steps: Sequence[int] = STEPS,
    psis: Sequence[float] = PSIS,
    lr: float | None = None,
    seed: int = 0,
) -> Comeback:
    """Probe one model: an unlearned one, or a gold for the control.

    Args:
        task: how models run; its elements must have beliefs (``Scored``).
        split: the request.
        unseen: elements that no model was trained on: the test part, or those of it that are like the forgotten.
        original: knows the forgotten; it answers with the whole data to see.
        result: is probed; left untouched.
        steps: numbers of relearning steps, each on one half of the forgotten and a batch of the retained.
        psis: shares of the original's answer, in [0, 1].
        lr: Adam's learning rate; None for the task's own.
        seed: of the halves and batches.

    Raises:
        InputError: a task without beliefs, psi outside [0, 1], negative steps, or fewer than two forgotten elements.
    """
    if not isinstance(task, Scored):
        raise InputError(f"the probes need a task whose elements have beliefs (got {type(task).__name__})")
    if not psis or not all(0 <= psi <= 1 for psi in psis):
        raise InputError(f"psi, the original's share, must lie in [0, 1] (got {list(psis)})")
    if not steps or min(steps) < 0:
        raise InputError(f"steps must not be negative (got {list(steps)})")
    relearned = _relearned(task, split, unseen, result, sorted(set(steps)), lr, seed)
    return Comeback(relearned, _guided(task, split, unseen, original, result, psis))


def _guided(
    task: Any, split: ForgetSplit[Any], unseen: Any, original: nn.Module, result: Unlearned, psis: Sequence[float]
) -> dict[float, float]:
    own = _beliefs(task, result.model, result.context, (split.forget, unseen))
    theirs = _beliefs(task, copy.deepcopy(original), split.data, (split.forget, unseen))
    own, theirs = _standard(own), _standard(theirs)
    return {psi: auc(*((1 - psi) * a + psi * b for a, b in zip(own, theirs, strict=True))) for psi in psis}


def _beliefs(task: Any, model: nn.Module, context: Any, views: Sequence[Any]) -> list[Tensor]:
    ask = task.teacher(model, context)
    batches = [task.elements(context, view) for view in views]
    return [cast(Tensor, task.scores(ask(batch), batch)).double() for batch in batches]


def _standard(beliefs: list[Tensor]) -> list[Tensor]:
    """Beliefs in units of their spread over both groups."""
    both = torch.cat(beliefs)
    spread = float(both.std())
    return [(each - both.mean()) / (spread or 1.0) for each in beliefs]


def _relearned(
    task: Any, split: ForgetSplit[Any], unseen: Any, result: Unlearned, steps: list[int], lr: float | None, seed: int
) -> dict[int, float]:
    model, context = copy.deepcopy(result.model), result.context
    usual = task.recipe.lr if isinstance(task.recipe, Recipe) else 1e-3
    with seeded(seed) as rng:
        forget = cast(Batch, task.elements(context, split.forget))
        if forget.size < 2:
            raise InputError(f"relearning halves the forgotten: at least two elements are needed (got {forget.size})")
        order = torch.randperm(forget.size, generator=rng).to(forget.label.device)
        shown, asked = forget.take(order[: forget.size // 2]), forget.take(order[forget.size // 2 :])
        never = task.elements(context, unseen)

        def figure() -> float:
            ask = task.teacher(model, context)
            return auc(*(task.scores(ask(batch), batch).double() for batch in (asked, never)))

        found = {0: figure()} if 0 in steps else {}

        def one(epoch: int) -> Iterator[Tensor]:
            kept = next(iter(task.batches(context, context, rng)))
            own = task.criterion(task.outputs(model, context, shown), shown).mean()
            yield own + task.loss(model, context, kept)

        def after(epoch: int, loss: float) -> bool:
            if epoch + 1 in steps:
                found[epoch + 1] = figure()
            return False

        if steps[-1]:
            descend(model, one, epochs=steps[-1], lr=lr or usual, after_epoch=after, title="relearn")
    return found
