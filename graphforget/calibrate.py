"""What a model would believe of the forgotten had it never seen them: our own idea, estimated without gold.

The belief of a model in an element it was trained on has two sources: what the rest of the data says of such an
element, and the memory of the element itself. Only the second must go, and it can be measured on data at hand:

1. *Trained, but unlinked*: random samples of retained elements, each as large as the request (larger where that is
   small), are taken out of the context and the original is asked about them.
2. *Unseen*: held-out elements, true but never trained on, asked in the same way.
3. Both scores are regressed on the structure that the context shows of an element without it. The difference of the
   two regressions is the memory of an element with that structure.
4. The target of a forgotten element is the original's outputs on the retain context, lowered by that memory. What is
   left of its score beside the regression on structure is partly memory, partly the noise of the original's own seed,
   which no gold repeats: only the share ``keep`` of it stays.
5. Where the model has been trained on without the forgotten, part of the memory is gone by then: by how much the
   forgotten fell since, beside the unseen, counts as taken.
6. Where nothing retained has the element's label (a whole class goes) no unseen element is like the forgotten, and of
   rows with labels the mean memory says little: see :mod:`graphforget.strangers`.

The memory is split into its mean and what varies with structure. The second part is shrunk by its own reliability, the
correlation of two estimates from disjoint halves of the data (Spearman-Brown), so that it counts where it is measured
and not where it is noise. No step looks at gold. This is ours, not any paper's.

=================  ==========================================================
symbol             name here
=================  ==========================================================
delta(e)           ``delta``: memory of element e, a logit
r                  ``reliability`` in [0, 1]
s(e)               score: the model's belief in e, a logit
=================  ==========================================================
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from sklearn.ensemble import HistGradientBoostingRegressor
from torch import Tensor, nn

from graphforget.errors import InputError, unknown
from graphforget.forget import ForgetSplit
from graphforget.strangers import absent, blind, labelled_rows, stranger
from graphforget.task import Batch, Scored, Task

Array = npt.NDArray[np.float64]
LEAST, SHARE, MOST = 1000, 0.025, 12  # see calibrate(); our defaults, chosen on Cora and CiteSeer, seeds 11 and 12
LEAST_SIZE = 0.1  # of the mean size of a residual: trees can answer with less than nothing
LEVELS = ("mean", "positive")
GROUP = 100  # forgotten elements: fewer have no level and spread of their own; our default, ml_posters, seeds 11 and 12
SMALLEST = 20  # fewer unseen elements than this cannot be regressed on structure: only the mean is used


@dataclass(frozen=True, eq=False)
class Calibration:
    """The estimated memory of each forgotten element.

    Args:
        batch: the forgotten elements.
        target: [B, C] what the model would answer had it never seen them.
        delta: [B] estimated memory, shrunk.
        mean: its mean over the elements.
        reliability: share of the estimate's variation that repeats between halves of the data.
        trained: number of trained elements it rests on.
        unseen: number of unseen elements it rests on.
        left: share of the memory that training on without the forgotten has left; 1 where there was none.
    """

    batch: Batch
    target: Tensor
    delta: Tensor
    mean: float
    reliability: float
    trained: int
    unseen: int
    left: float


def calibrate(
    task: Task[Any],
    model: nn.Module,
    split: ForgetSplit[Any],
    rng: torch.Generator,
    *,
    samples: int = 4,
    per_element: bool = True,
    keep: float | None = 0.95,
    before: nn.Module | None = None,
    regression: str = "trees",
    least: int = LEAST,
    level: str = "mean",
) -> Calibration | None:
    """Estimate what the model would believe of the forgotten elements had it never seen them.

    Args:
        task: one that is Scored.
        model: the original.
        split: the request.
        rng: random stream of the samples.
        samples: how many samples of retained elements, each as large as the request. After a small request the samples
            grow until all hold ``least`` elements or one holds SHARE of what is retained; then there are more, at most
            MOST.
        per_element: let the memory vary with structure and with the element; False uses its mean alone.
        keep: share of an element's own deviation from its structure that stays (our default, set on DBLP and Cora,
            seed 11); None matches the unseen elements of like structure, in their level and in their spread around it.
        before: the model before it was trained on without the forgotten. By how much the forgotten fell since then,
            beside the unseen, is memory that is gone already and is not taken away twice.
        regression: of scores on structure: boosted ``trees``, or ``linear`` (ridge), which costs a hundredth.
        least: see ``samples``; where ``keep`` is None, fewer than GROUP forgotten elements are matched together with so
            many trained ones.
        level: what the targets have in common with unseen elements of like structure where ``keep`` is None: their
            ``mean`` score, or the share of them with a ``positive`` score, where a score is a distance to a threshold.

    Returns:
        The calibration, or None when no forgotten element is gone (value kinds keep their rows).

    Raises:
        InputError: the task is not Scored, an unknown regression or level, or no held-out element to compare with.
    """
    if level not in LEVELS:
        raise unknown("level", level, LEVELS)
    if regression not in REGRESSIONS:
        raise unknown("regression", regression, tuple(REGRESSIONS))
    if not isinstance(task, Scored):
        raise InputError(f"calibration needs a task that is Scored (got {type(task).__name__})")
    gone = next(iter(task.batches(split.retain, split.gone, None)), None)
    if gone is None:
        return None
    if next(iter(task.batches(split.retain, split.untouched, None)), None) is None:
        raise InputError("calibration needs retained elements that the request does not touch (got none); use finetune")
    base = task.teacher(model, split.retain)(gone)
    if labelled_rows(task):
        target = blind(task, model, split, gone, rng).to(base)
        memory = task.scores(base, gone) - task.scores(target, gone)
        return Calibration(gone, target, memory, float(memory.mean()), 0.0, 0, 0, 1.0)
    x_gone = task.structure(split.retain, gone)
    size, samples = sampled(task, split, gone.size, samples, least)
    trained = [asked(task, model, split, task.sample(split.untouched, size, rng)) for _ in range(samples)]
    x_trained, s_trained = np.concatenate([x for x, _ in trained]), np.concatenate([s for _, s in trained])
    held_out = next(iter(task.batches(split.retain, split.held_out, None)), None)
    if held_out is None:
        raise InputError("calibration needs held-out elements (got none); pass validation data to ForgetSplit.of")
    x_unseen, s_unseen = asked(task, model, split, held_out)
    scores = task.scores(base, gone).double().cpu().numpy()
    if per_element and min(len(s_unseen), len(s_trained)) >= SMALLEST:
        seed = int(rng.initial_seed() % 2**31)
        x, s = x_gone, scores
        if keep is None and gone.size < GROUP:
            among = np.random.default_rng(seed).permutation(len(s_trained))[: max(least - gone.size, 0)]
            x, s = np.concatenate([x_gone, x_trained[among]]), np.concatenate([scores, s_trained[among]])
        found = _memory(x_trained, s_trained, x_unseen, s_unseen, x, seed, REGRESSIONS[regression], keep)
        own = s - found.trained
        delta, reliability = found.trained - found.unseen, found.reliability
        level_of = float(delta.mean() if keep is not None else (delta + own).mean())  # None: s - level_of is unseen(x)
        varying = reliability * (delta - delta.mean()) + (1 - found.share) * (own - own.mean())
        varying -= varying.mean()
        if keep is None and level == "positive":
            level_of += _above(s - level_of - varying, x_unseen, s_unseen, x, REGRESSIONS[regression])
        taken = (level_of + varying)[: gone.size]
    else:
        reliability, taken = 0.0, np.full(gone.size, s_trained.mean() - s_unseen.mean())
    if keep is None:
        taken -= min(taken.mean(), 0.0)  # a model is not unlearned by raising what it forgets
    left, mean = 1.0, float(taken.mean())
    if before is not None and mean > 0:
        fell = _believed(task, before, split.retain, gone) - scores
        drift = _believed(task, before, task.unlinked(split, held_out), held_out) - s_unseen
        left = float(np.clip(1 - (fell.mean() - drift.mean()) / mean, 0, 1))
    memory = left * torch.from_numpy(taken).to(base)
    strange = absent(task, split, gone).to(base.device)
    target = task.shift(base, gone, memory)
    if bool(strange.any()) and gone.label.is_floating_point():
        target = torch.where(strange[:, None], blind(task, model, split, gone, rng).to(base), target)
        memory = task.scores(base, gone) - task.scores(target, gone)
    elif bool(strange.any()):
        base_rate = stranger(task, model, split, gone, strange).to(base)
        memory = torch.where(strange, task.scores(base, gone) - base_rate, memory)
        target = task.shift(base, gone, memory)
    counts = len(s_trained), len(s_unseen)
    return Calibration(gone, target, memory, float(memory.mean()), reliability, *counts, left)


def sampled(task: Task[Any], split: ForgetSplit[Any], request: int, samples: int, least: int) -> tuple[int, int]:
    """(elements a sample, samples)."""
    retained = sum(batch.size for batch in task.batches(split.retain, split.untouched, None))
    size = max(request, min(-(-least // samples), int(SHARE * retained)))
    return size, max(samples, min(MOST, -(-least // size)))


def asked(task: Any, model: nn.Module, split: ForgetSplit[Any], batch: Batch) -> tuple[Array, Array]:
    """([B, K] structure, [B] scores) of elements that are not in the context."""
    context = task.unlinked(split, batch)
    return task.structure(context, batch), _believed(task, model, context, batch)


def _believed(task: Any, model: nn.Module, context: Any, batch: Batch) -> Array:
    """[B] the model's scores on a context."""
    scores: Array = task.scores(task.teacher(model, context)(batch), batch).double().cpu().numpy()
    return scores


class _Memory(NamedTuple):
    """The two regressions at the forgotten elements.

    Args:
        trained: [B].
        unseen: [B].
        reliability: agreement of their difference between halves of the data.
        share: of an element's own deviation that stays: ``keep``, or [B] how far unseen elements of like structure lie
            from their regression over how far trained ones do.
    """

    trained: Array
    unseen: Array
    reliability: float
    share: float | Array


def _memory(
    x_trained: Array,
    s_trained: Array,
    x_unseen: Array,
    s_unseen: Array,
    x_gone: Array,
    seed: int,
    regressor: Callable[[], Any],
    keep: float | None,
) -> _Memory:
    """Both regressions, means over two halves of the data; each half's residuals are those under the other half."""
    order = np.random.default_rng(seed)
    with _one_thread() if regressor is _trees else nullcontext():
        trained, off_trained = _halves(x_trained, s_trained, x_gone, order, regressor)
        unseen, off_unseen = _halves(x_unseen, s_unseen, x_gone, order, regressor)
        share: Any = keep
        if keep is None:
            share = _size(x_unseen, off_unseen, x_gone, regressor) / _size(x_trained, off_trained, x_gone, regressor)
    halves = trained - unseen
    return _Memory(trained.mean(0), unseen.mean(0), spearman_brown(halves[0], halves[1]), share)


def _size(x: Array, residual: Array, at: Array, regressor: Callable[[], Any]) -> Array:
    """[B] size of a residual, regressed on structure."""
    size = np.abs(residual)
    found: Array = np.maximum(regressor().fit(x, size).predict(at), LEAST_SIZE * size.mean() + 1e-12)
    return found


def _above(target: Array, x_unseen: Array, s_unseen: Array, x_gone: Array, regressor: Callable[[], Any]) -> float:
    """By how much the targets must fall for as many to be positive as unseen elements of like structure are."""
    with _one_thread() if regressor is _trees else nullcontext():
        share = regressor().fit(x_unseen, (s_unseen > 0).astype(np.float64)).predict(x_gone).mean()
    return float(np.quantile(target, 1 - np.clip(share, 0, 1)))


def _halves(
    x: Array, y: Array, at: Array, order: np.random.Generator, regressor: Callable[[], Any]
) -> tuple[Array, Array]:
    """[2, B] regressions on two halves, and the residuals of all n, each under the half that it is not in."""
    half = order.permutation(len(y)) % 2 == 0
    found, residual = [], np.empty(len(y))
    for own in (half, ~half):
        fitted = regressor().fit(x[own], y[own])
        found.append(fitted.predict(at))
        residual[~own] = y[~own] - fitted.predict(x[~own])
    return np.stack(found), residual


def _one_thread() -> AbstractContextManager[Any]:
    """So small a fit on all cores waits for its threads: 0.07 s became 0.4-3 s on a busy machine."""
    from threadpoolctl import threadpool_limits  # comes with scikit-learn

    found: AbstractContextManager[Any] = threadpool_limits(1)
    return found


def _trees() -> HistGradientBoostingRegressor:
    return HistGradientBoostingRegressor(
        max_iter=60,
        learning_rate=0.1,
        max_leaf_nodes=8,
        min_samples_leaf=20,
        l2_regularization=1.0,
        early_stopping=False,
        random_state=0,  # None would draw from numpy's global state
    )


class _Linear:
    """Ridge regression on standardised columns; scikit-learn's takes 5 ms to check what is solved in 0.1 ms."""

    def fit(self, x: Array, y: Array) -> _Linear:
        self.mean, self.scale, self.level = x.mean(0), np.maximum(x.std(0), 1e-12), y.mean()
        z = (x - self.mean) / self.scale
        self.weight = np.linalg.solve(z.T @ z + np.eye(x.shape[1]), z.T @ (y - self.level))
        return self

    def predict(self, x: Array) -> Array:
        found: Array = (x - self.mean) / self.scale @ self.weight + self.level
        return found


REGRESSIONS: Mapping[str, Callable[[], Any]] = {"trees": _trees, "linear": _Linear}


def spearman_brown(first: Array, second: Array) -> float:
    """Reliability in [0, 1] of the mean of two half-data estimates: 2 r / (1 + r) with r their correlation.

    Example:
        >>> spearman_brown(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 3.0]))
        1.0
        >>> spearman_brown(np.array([1.0, 2.0, 3.0]), np.array([3.0, 2.0, 1.0]))
        0.0
    """
    if len(first) < 3 or first.std() == 0 or second.std() == 0:
        return 0.0
    r = float(np.corrcoef(first, second)[0, 1])
    return float(np.clip(2 * r / (1 + r), 0, 1)) if r > 0 else 0.0
