"""The figures of a verification: each a difference from gold, or a ratio to the noise floor, with its interval.

A gap to gold may always be as wide as the golds' own gaps are, times the declared number of floors: a row that is drawn
at random for a deleted user differs from one retrained model to the next.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from graphforget import attack, intervals, metrics
from graphforget.deletion.answers import Answers
from graphforget.deletion.samples import REPEATS, Part, Resampler
from graphforget.deletion.verdict import Check, Judge
from graphforget.evidence import mean
from graphforget.intervals import Interval

RESOLUTION = 1e-9  # of a divergence: golds of a closed-form model are equal up to rounding, and so is a right answer
CHANCE_AUC, CHANCE_TPR = 0.5, 0.01
Beliefs = Mapping[Part, Tensor]
ROWS = 10_000  # of the retained and of the unseen that a figure is taken of
Figure = Callable[..., float]  # of beliefs and of the rows of two parts


def membership(beliefs: Beliefs, forget: Tensor, test: Tensor) -> float:
    """AUC of the attack that takes a high belief for membership: the forgotten against the never seen."""
    return metrics.auc(beliefs["forget"][forget], beliefs["test"][test])


def membership_tpr(beliefs: Beliefs, forget: Tensor, test: Tensor) -> float:
    """Share of the forgotten that the same attack finds while it accuses at most 1 % of the never seen."""
    return attack.tpr_at_1pct_fpr(beliefs["forget"][forget], beliefs["test"][test])


def retain_membership(beliefs: Beliefs, retain: Tensor, test: Tensor) -> float:
    """AUC of the same attack on the retained."""
    return metrics.auc(beliefs["retain"][retain], beliefs["test"][test])


def belief(beliefs: Beliefs, forget: Tensor) -> float:
    """Mean probability that a model gives the forgotten."""
    return float(beliefs["forget"][forget].sigmoid().mean())


def beside_gold(answers: Answers, judge: Judge, draw: Resampler) -> list[Check]:
    """Every check of a deletion with at least one gold.

    Args:
        answers: of the models.
        judge: with the declared thresholds.
        draw: resamples the forgotten by subject.
    """
    limits, unseen = judge.thresholds, everyone(answers, "test")
    own, floor = answers.apart("forget")
    believed = limit(answers, belief, everyone(answers, "forget"), margin=limits.belief, judge=judge)
    both = everyone(answers, "forget"), unseen
    attacked = limit(answers, membership, *both, margin=limits.attack_auc, judge=judge)
    caught = limit(answers, membership_tpr, *both, margin=limits.attack_tpr, judge=judge)
    return [
        judge.check("distance", draw.interval(ratio(own, floor)), highest=limits.floors),
        judge.check("tail", draw.interval(tail(own, floor)), highest=limits.tail_floors),
        judge.check("far_share", draw.interval(far_share(own, floor)), highest=limits.far_share),
        judge.check("belief", draw.interval(gap(answers, belief)), lowest=-believed, highest=believed),
        judge.check("membership", draw.interval(gap(answers, membership), unseen), lowest=-attacked, highest=attacked),
        judge.check("membership_tpr", draw.interval(gap(answers, membership_tpr), unseen), highest=caught),
        update_leakage(answers, judge, draw.seed),
        *_retained(answers, judge, draw.seed),
        utility(answers, judge),
    ]


def beside_unseen(answers: Answers, judge: Judge, draw: Resampler) -> list[Check]:
    """The checks of a deletion without gold: unseen elements stand in for it, the original for the rest.

    Args:
        answers: of the models.
        judge: with the declared thresholds.
        draw: resamples the forgotten by subject.
    """
    limits, unseen = judge.thresholds, everyone(answers, "test")
    moved = metrics.js(answers.before["forget"], answers.after["forget"])

    def against(figure: Figure, chance: float) -> Figure:
        return lambda *rows: figure(answers.new, *rows) - chance

    def since(*rows: Tensor) -> float:
        return retain_membership(answers.new, *rows) - retain_membership(answers.old, *rows)

    attacked = draw.interval(against(membership, CHANCE_AUC), unseen)
    caught = draw.interval(against(membership_tpr, CHANCE_TPR), unseen)
    told = resampled(since, everyone(answers, "retain"), unseen, seed=draw.seed)
    change = draw.interval(lambda rows: float(moved[rows].mean()))
    lost = answers.asked.score(answers.unlearned) - answers.asked.score(answers.original)
    found = [
        judge.check("membership", attacked, lowest=-limits.attack_auc, highest=limits.attack_auc),
        judge.check("membership_tpr", caught, highest=limits.attack_tpr),
    ]
    if not limits.accept_stand_in:  # hubs, say, stand out under any model: without gold that is no sign of memory
        found = [_softened(each) for each in found]
    return [
        judge.check("change", change, lowest=RESOLUTION, reference="original", of_subjects=False),
        *found,
        judge.check("retain_leakage", told, highest=limits.retain_auc, reference="original", of_subjects=False),
        judge.check("utility", _point(lost), lowest=-limits.utility, reference="original", of_subjects=False),
    ]


def _softened(check: Check) -> Check:
    return check.model_copy(update={"outcome": "inconclusive"}) if check.outcome == "fail" else check


def ratio(own: Tensor, floor: Tensor) -> Callable[[Tensor], float]:
    """Mean distance to gold in noise floors, of some rows; own [n], floor [K, n]."""
    return lambda rows: (float(own[rows].mean()) + RESOLUTION) / (float(floor[:, rows].mean()) + RESOLUTION)


def tail(own: Tensor, floor: Tensor) -> Callable[[Tensor], float]:
    """The 95 % quantile of the distance to gold in noise floors (the same quantile between golds)."""

    def figure(rows: Tensor) -> float:
        usual = float(floor[:, rows].quantile(0.95, dim=1).mean())
        return (float(own[rows].quantile(0.95)) + RESOLUTION) / (usual + RESOLUTION)

    return figure


def far_share(own: Tensor, floor: Tensor) -> Callable[[Tensor], float]:
    """Share of elements farther from gold than 95 % of all elements between golds; about 0.05 of a gold."""
    far = float(floor.flatten().quantile(0.95))
    return lambda rows: math.nan if math.isnan(far) else float((own[rows] > far + RESOLUTION).double().mean())


def gap(answers: Answers, figure: Figure) -> Figure:
    """A figure of the unlearned model less the golds' mean, of some rows."""
    return lambda *rows: figure(answers.new, *rows) - mean(figure(gold, *rows) for gold in answers.truth)


def limit(answers: Answers, figure: Figure, *rows: Tensor, margin: float, judge: Judge) -> float:
    """The declared margin, or the golds' own mean gap times the declared floors where that is wider."""
    return max(margin, judge.thresholds.floors * spread([figure(gold, *rows) for gold in answers.truth]))


def spread(values: list[float]) -> float:
    """Mean gap of each value to the mean of the others; 0 of a single one.

    Example:
        >>> spread([1.0, 2.0, 3.0])
        1.0
    """
    if len(values) < 2:
        return 0.0
    return mean(abs(each - (sum(values) - each) / (len(values) - 1)) for each in values)


def update_leakage(answers: Answers, judge: Judge, seed: int) -> Check:
    """The attack on the change of answers; retraining changes them too, so only its excess counts."""

    def run(after: Beliefs) -> attack.AttackResult:
        before = answers.before
        return attack.update_leakage(before["forget"], after["forget"], before["retain"], after["retain"], seed=seed)

    own, golds = run(answers.after), [run(gold).auc for gold in answers.golds]
    found = Interval(*(each - mean(golds) for each in (own.auc, own.low, own.high)))
    allowed = max(judge.thresholds.update_auc, judge.thresholds.floors * spread(golds))
    return judge.check("update_leakage", found, highest=allowed)


def _retained(answers: Answers, judge: Judge, seed: int) -> list[Check]:
    """What the deletion did to the elements that stay."""
    limits, rows = judge.thresholds, (everyone(answers, "retain"), everyone(answers, "test"))
    moved = resampled(ratio(*answers.apart("retain")), rows[0], seed=seed)
    told = resampled(gap(answers, retain_membership), *rows, seed=seed)
    allowed = limit(answers, retain_membership, *rows, margin=limits.retain_auc, judge=judge)
    return [
        judge.check("retain_distance", moved, highest=limits.floors, of_subjects=False),
        judge.check("retain_leakage", told, highest=allowed, of_subjects=False),
    ]


def utility(answers: Answers, judge: Judge) -> Check:
    """The task's own score on unseen elements."""
    golds = [answers.asked.score(gold) for gold in answers.retrained]
    lost = answers.asked.score(answers.unlearned) - mean(golds)
    allowed = max(judge.thresholds.utility, judge.thresholds.floors * spread(golds))
    return judge.check("utility", _point(lost), lowest=-allowed, of_subjects=False)


def everyone(answers: Answers, part: Part) -> Tensor:
    """[n] every row of the forgotten; of the other parts at most ROWS, evenly spaced: all are resampled many times."""
    size = len(answers.new[part])
    count = size if part == "forget" else min(size, ROWS)
    return torch.linspace(0, size - 1, count, dtype=torch.float64).round().long()


def resampled(figure: Figure, *rows: Tensor, seed: int) -> Interval:
    """A figure of rows that are resampled one by one."""
    return intervals.bootstrap_interval(figure, *rows, repeats=REPEATS, seed=seed)


def _point(value: float) -> Interval:
    return Interval(value, math.nan, math.nan)
