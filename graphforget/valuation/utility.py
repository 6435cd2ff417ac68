"""The utility u(S): what a model that is trained on the members S of a coalition is worth on held-out data.

Every valuator asks a :class:`Utility` and nothing else, so that rows of a table, edges, users, clusters of any of them
and closed-form games are valued by the same code. Asked twice for the same coalition and seed it trains once; what it
has trained is counted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from graphforget.errors import InputError, unknown
from graphforget.forget import D, ForgetRequest, ForgetSplit
from graphforget.task import Task

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
Worth = Callable[[BoolArray, int], float]

SCORES = ("accuracy", "log_loss")
FLOOR = 1e-3  # smallest probability that counts in a log-loss; our default


@dataclass(frozen=True)
class Values:
    """What a valuator says.

    Args:
        values: [n] of each player.
        method: that gave them.
        trainings: models that were trained for them.
        seconds: of the clock.
        error: [n] standard error of a sampled value; None where nothing is sampled.
    """

    values: FloatArray
    method: str
    trainings: int
    seconds: float
    error: FloatArray | None = None


@dataclass
class Utility:
    """u(S) with its count of trainings.

    Args:
        players: n.
        worth: ([n] bool members, seed) -> u.

    Raises:
        InputError: no players; or, when asked, a utility that is no number, NaN or infinite.

    Example:
        >>> u = Utility(3, lambda members, seed: float(members.sum()))
        >>> u(np.array([True, False, True])), u(np.array([True, False, True])), u.trainings
        (2.0, 2.0, 1)
    """

    players: int
    worth: Worth
    trainings: int = 0
    seconds: float = 0.0
    _known: dict[tuple[bytes, int], float] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if self.players < 1:
            raise InputError(f"a utility needs at least one player (got {self.players}); give it data to value")

    def __call__(self, members: BoolArray, seed: int = 0) -> float:
        """Return u of a coalition [n] bool."""
        key = np.packbits(members).tobytes(), seed
        if key not in self._known:
            start = time.perf_counter()
            said = self.worth(members, seed)
            try:
                value = float(said)
            except (TypeError, ValueError) as error:
                raise InputError(
                    f"the utility must be a finite number (got {type(said).__name__}); return one, as a float"
                ) from error
            if not np.isfinite(value):
                raise InputError(
                    f"the utility must be a finite number (got {value} for {int(members.sum())} of {self.players}"
                    " players); give what it should be where a model cannot be trained or scored"
                )
            self._known[key] = value
            self.trainings += 1
            self.seconds += time.perf_counter() - start
        return self._known[key]

    @property
    def everyone(self) -> BoolArray:
        """[n] True."""
        return np.ones(self.players, dtype=bool)

    def valued(self, method: str, before: tuple[int, float], values: FloatArray, error: Any = None) -> Values:
        """Wrap values with what was trained since ``before``, a :meth:`spent`."""
        return Values(values, method, self.trainings - before[0], time.perf_counter() - before[1], error)

    def spent(self) -> tuple[int, float]:
        """(trainings so far, clock)."""
        return self.trainings, time.perf_counter()


def grouped(utility: Utility, groups: npt.ArrayLike) -> Utility:
    """A game among groups: communities of edges, clusters of users. A group is in with all its members.

    Args:
        utility: of the members.
        groups: [n] int group of each member, 0 to K - 1.

    Raises:
        InputError: groups of another length, or a number without a member.

    Example:
        >>> u = grouped(Utility(3, lambda members, seed: float(members.sum())), [0, 0, 1])
        >>> u.players, u(np.array([True, False]))
        (2, 2.0)
    """
    group = np.asarray(groups, dtype=np.int64)
    if group.shape != (utility.players,):
        raise InputError(f"groups must name one of each of the {utility.players} players (got {list(group.shape)})")
    count = int(group.max()) + 1
    if group.min() < 0 or len(np.unique(group)) != count:
        raise InputError(f"groups must be numbered 0 to {count - 1} without a gap (got {np.unique(group).tolist()})")
    return Utility(count, lambda members, seed: utility(members[group], seed))


def rows_utility(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    x_val: npt.ArrayLike,
    y_val: npt.ArrayLike,
    *,
    score: str = "accuracy",
    model: Callable[[int], Any] | None = None,
) -> Utility:
    """u(S) of a scikit-learn classifier trained on the rows S and scored on validation rows.

    Nobody is worth chance (1/C, or -ln C), and rows of one class alone answer that class.

    Args:
        x: [n, F].
        y: [n] int labels.
        x_val: [v, F].
        y_val: [v] labels.
        score: ``accuracy``, or ``log_loss``: the mean log-likelihood, whose steps are finer; probabilities under
            0.001 count as that.
        model: seed -> an estimator with ``fit`` and ``predict_proba``; None is a logistic regression on standardised
            columns.

    Raises:
        InputError: no rows, NaN, or lengths that differ.

    Example:
        >>> u = rows_utility([[0.0], [1.0]], [0, 1], [[0.1], [0.9]], [0, 1])
        >>> u(u.everyone), u(~u.everyone)
        (1.0, 0.5)
    """
    if score not in SCORES:
        raise unknown("score", score, SCORES)
    train, labels = rows(x, y, "x")
    held, truth = rows(x_val, y_val, "x_val")
    classes = np.unique(np.concatenate([labels, truth]))
    place = np.searchsorted(classes, truth)
    make = model or logistic

    def worth(members: BoolArray, seed: int) -> float:
        own, seen = labels[members], np.unique(labels[members])
        if not len(own):
            return 1 / len(classes) if score == "accuracy" else -float(np.log(len(classes)))
        probability = np.full((len(held), len(classes)), 0.0)
        if len(seen) == 1:
            probability[:, np.searchsorted(classes, seen)] = 1.0
        else:
            fitted = make(seed).fit(train[members], own)
            probability[:, np.searchsorted(classes, fitted.classes_)] = fitted.predict_proba(held)
        if score == "accuracy":
            return float((probability.argmax(1) == place).mean())
        return float(np.log(probability[np.arange(len(held)), place].clip(FLOOR)).mean())

    return Utility(len(train), worth)


def logistic(seed: int) -> Any:
    """Logistic regression on standardised columns, which is deterministic."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=200))


def rows(x: npt.ArrayLike, y: npt.ArrayLike, name: str) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """Check rows and their labels: (x [n, F] float64, y [n] int64)."""
    values, labels = np.asarray(x, dtype=np.float64), np.asarray(y)
    if values.ndim != 2 or not values.size:
        raise InputError(f"{name} must have shape [n, F] with at least one row (got {list(values.shape)})")
    if labels.shape != (len(values),):
        raise InputError(f"{name} must have one label a row (got {list(labels.shape)} of {len(values)} rows)")
    if not np.isfinite(values).all():
        raise InputError(f"{name} holds NaN or infinity; remove or fill such rows")
    return values, labels.astype(np.int64)


def task_utility(
    task: Task[D],
    model: nn.Module,
    data: D,
    held_out: D,
    *,
    kind: str,
    ids: Tensor,
    nobody: float = 0.0,
    score: str | None = None,
) -> Utility:
    """u(S) on any task: a fresh model trained by the task's own recipe on the data without the players outside S.

    What is valued is named as a request would name it, so that a value answers what a deletion would cost. Users who
    are valued should not be among those the held-out data asks about: give a view of others.

    Args:
        task: how models are trained and scored.
        model: whose architecture is trained anew; its weights are not used.
        data: everything.
        held_out: what u is measured on.
        kind: of request: ``sample``, ``edge``, ``node``, ``user``, ``interaction``, ...
        ids: [n] ids, or [2, n] pairs: a player each.
        nobody: u of what is left when everything is asked to go; chance.
        score: a figure of ``task.evaluate``; None is the held-out score that training watches.

    Raises:
        InputError: ids that the data does not hold.
    """
    ForgetRequest.of(kind, ids)

    def worth(members: BoolArray, seed: int) -> float:
        gone = ids[..., torch.from_numpy(~members)]
        left = data
        if gone.numel():
            try:
                left = ForgetSplit.of(data, ForgetRequest.of(kind, gone), held_out).retain
            except InputError:
                if not members.any():
                    return nobody
                raise
        trained = task.fit(task.fresh(model, seed), left, held_out, seed=seed)
        if score is None:
            return task.held_out_score(trained, left, held_out)
        figures: Mapping[str, float] = task.evaluate(trained, left, held_out)
        if score not in figures:
            raise unknown("score", score, figures)
        return figures[score]

    return Utility(int(ids.shape[-1]), worth)
