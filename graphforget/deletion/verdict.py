"""The verdict of a deletion: ``pass``, ``inconclusive`` or ``fail``, by thresholds that are declared beforehand.

Gold, the model retrained without the forgotten, is the reference; zero is not. Each check compares a figure of the
unlearned model with gold's, as an interval against limits: inside them it passes, outside it fails, across a limit it
is inconclusive. Being pushed below gold is a failure too. A limit is never tighter than the golds differ among each
other. One failed check fails the deletion; otherwise one inconclusive check leaves it inconclusive.

The numbers of :class:`Thresholds` are our defaults, from no paper and no law: the controller declares their own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from graphforget.errors import InputError
from graphforget.intervals import Interval

Outcome = Literal["pass", "inconclusive", "fail"]


class Thresholds(BaseModel):
    """What a deletion is judged by. Every value is our default, to be declared before the run.

    Args:
        floors: distances to gold may be at most so many noise floors, and gaps to gold at most so many of the golds'
            own gaps where those are wider than the margins below.
        tail_floors: the same for the farthest twentieth of the forgotten elements.
        far_share: share of the forgotten elements that may lie farther from gold than 95 % of them do between golds.
        belief: gap in the mean belief in the forgotten, a probability, above or below gold.
        attack_auc: gap of a membership attack's AUC, above or below gold.
        attack_tpr: excess of its true-positive rate at 1 % false positives.
        retain_auc: excess of the same attack's AUC on the retained elements.
        update_auc: excess of the AUC of the attack that compares answers before and after.
        utility: loss of the task's own score on unseen elements.
        fewest_subjects: with fewer subjects (deleted users, nodes, or edges) no check passes: too few to tell.
        gross: with too few subjects a figure beyond so many times its limit still fails.
        accept_stand_in: let a deletion pass without golds, on held-out elements of the same population alone.

    Example:
        >>> Thresholds(attack_auc=0.02).attack_auc
        0.02
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    floors: float = Field(default=2.0, gt=0)
    tail_floors: float = Field(default=3.0, gt=0)
    far_share: float = Field(default=0.2, ge=0, le=1)
    belief: float = Field(default=0.05, ge=0, le=1)
    attack_auc: float = Field(default=0.05, ge=0, le=0.5)
    attack_tpr: float = Field(default=0.05, ge=0, le=1)
    retain_auc: float = Field(default=0.05, ge=0, le=0.5)
    update_auc: float = Field(default=0.1, ge=0, le=0.5)
    utility: float = Field(default=0.02, ge=0)
    fewest_subjects: int = Field(default=20, ge=1)
    gross: float = Field(default=5.0, ge=1)
    accept_stand_in: bool = False


class Meaning(NamedTuple):
    """A check in words: what it measures, in which unit, and what it means to lie above or below the limits."""

    title: str
    unit: str
    above: str
    below: str = ""


MEANING: dict[str, Meaning] = {
    "distance": Meaning(
        "distance to gold on the forgotten",
        "noise floors",
        "the model is farther from {reference} than they are from each other",
    ),
    "tail": Meaning(
        "distance to gold, farthest twentieth",
        "noise floors",
        "some of the forgotten are answered unlike {reference} answer",
    ),
    "far_share": Meaning(
        "forgotten elements far from gold",
        "share",
        "too many single elements lie farther from {reference} than those lie from each other",
    ),
    "belief": Meaning(
        "belief in the forgotten",
        "probability",
        "the model still believes in the forgotten more than {reference} do",
        "the model was pushed below what {reference} believe of the forgotten, which is a trace as well",
    ),
    "membership": Meaning(
        "membership attack",
        "AUC",
        "the forgotten are easier to tell from the never seen than under {reference}",
        "the forgotten look less like trained data than under {reference}, which is a trace as well",
    ),
    "membership_tpr": Meaning(
        "members caught at 1 % false alarms",
        "share",
        "the most exposed of the forgotten are recognised more often than under {reference}",
    ),
    "update_leakage": Meaning(
        "attack on the change of answers",
        "AUC",
        "old and new answers side by side give the forgotten away more than under {reference}",
    ),
    "retain_distance": Meaning(
        "distance to gold on the retained", "noise floors", "the answers on the retained moved away from {reference}"
    ),
    "retain_leakage": Meaning(
        "membership attack on the retained",
        "AUC",
        "the retained have become easier to tell from the never seen than under {reference}",
    ),
    "utility": Meaning("score on unseen elements", "score", "", "the model became worse than {reference}"),
    "change": Meaning("change of the answers", "divergence", "", "the answers are those of {reference}, unchanged"),
}
Reference = Literal["gold", "original", "unseen"]
REFERENCE: dict[Reference, str] = {
    "gold": "retrained models",
    "original": "the original model",
    "unseen": "a model to which the forgotten are like any unseen elements",
}


class Check(BaseModel):
    """One figure against its limits; numbers that are not known are None.

    Args:
        name: key of :data:`MEANING`.
        title: what is measured.
        unit: in which unit.
        reference: what the figure is held against: a ratio to it in noise floors, else the difference from it.
        value: the figure.
        low: lower bound of its 95 % interval.
        high: upper bound.
        lowest: the declared lower limit, None for none.
        highest: the declared upper limit, None for none.
        outcome: what follows.
        reason: in words, without figures; "" for a check that passes.
        detail: the figures behind the reason.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str
    unit: str
    reference: Reference
    value: float | None
    low: float | None
    high: float | None
    lowest: float | None
    highest: float | None
    outcome: Outcome
    reason: str
    detail: str

    @property
    def words(self) -> str:
        """One line for the verdict's reasons."""
        return f"{self.title}: {self.reason}" + (f" ({self.detail})" if self.detail else "")


class Verdict(BaseModel):
    """What follows from the checks.

    Args:
        outcome: ``pass``, ``inconclusive`` or ``fail``.
        reasons: why, the failures first; what a pass rests on when it passes.
        checks: all of them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    outcome: Outcome
    reasons: tuple[str, ...]
    checks: tuple[Check, ...]


@dataclass(frozen=True)
class Judge:
    """Holds figures against their limits.

    Args:
        thresholds: as declared.
        subjects: how many subjects the request has.
        reference: what figures are held against unless a call names another.
    """

    thresholds: Thresholds
    subjects: int
    reference: Reference = "gold"

    def check(
        self,
        name: str,
        found: Interval,
        *,
        lowest: float | None = None,
        highest: float | None = None,
        reference: Reference | None = None,
        of_subjects: bool = True,
    ) -> Check:
        """Hold a figure's interval against its limits.

        Args:
            name: key of :data:`MEANING`.
            found: the figure; NaN where it could not be measured, NaN bounds where no interval is known.
            lowest: lower limit, None for none.
            highest: upper limit, None for none.
            reference: what the figure is held against.
            of_subjects: the figure rests on the request's subjects alone, so that few of them are too few.

        Raises:
            InputError: no limit at all.

        Example:
            >>> judge = Judge(Thresholds(), subjects=50)
            >>> judge.check("membership", Interval(0.01, -0.01, 0.03), lowest=-0.05, highest=0.05).outcome
            'pass'
            >>> judge.check("membership", Interval(-0.3, -0.4, -0.2), lowest=-0.05, highest=0.05).outcome
            'fail'
            >>> judge.check("membership", Interval(0.01, -0.2, 0.2), lowest=-0.05, highest=0.05).outcome
            'inconclusive'
        """
        if lowest is None and highest is None:
            raise InputError(f"the check {name!r} needs a limit (got none); name lowest or highest")
        meaning, against = MEANING[name], reference or self.reference
        few = of_subjects and self.subjects < self.thresholds.fewest_subjects
        outcome, reason, detail = self._outcome(meaning, found, lowest, highest, few)
        value, low, high = (None if math.isnan(each) else float(each) for each in found)
        reason = reason.format(reference=REFERENCE[against])
        return Check(
            name=name, title=meaning.title, unit=meaning.unit, reference=against,
            value=value, low=low, high=high, lowest=lowest, highest=highest,
            outcome=outcome, reason=reason, detail=detail,
        )  # fmt: skip

    def _outcome(
        self, meaning: Meaning, found: Interval, lowest: float | None, highest: float | None, few: bool
    ) -> tuple[Outcome, str, str]:
        value, known = found.value, not math.isnan(found.low)
        if math.isnan(value):
            return "inconclusive", "could not be measured: too few elements, or too few golds", ""
        low, high = (found.low, found.high) if known else (value, value)
        floor, ceiling = -math.inf if lowest is None else lowest, math.inf if highest is None else highest
        shown = f"{value:.3g} {meaning.unit}"
        limits = "limit " + " to ".join(f"{each:.3g}" for each in (floor, ceiling) if math.isfinite(each))
        if few:
            gross = self.thresholds.gross
            if not (0 < ceiling * gross < value or value < floor * gross < 0):
                words = (
                    f"too few subjects to tell: {self.subjects}, where {self.thresholds.fewest_subjects} are declared"
                )
                return "inconclusive", words, f"{shown}; {limits}"
            low = high = value
        elif known:
            shown += f", 95 % interval {low:.3g} to {high:.3g}"
        if low > ceiling:
            return "fail", meaning.above, f"{shown}; {limits}"
        if high < floor:
            return "fail", meaning.below, f"{shown}; {limits}"
        if floor <= low and high <= ceiling:
            return "pass", "", ""
        return "inconclusive", "too uncertain, the interval reaches over the limit", f"{shown}; {limits}"


def decide(checks: Sequence[Check], notes: Sequence[str] = (), passes: bool = True) -> Verdict:
    """Return the verdict of some checks.

    Args:
        checks: at least one.
        notes: reasons why the verdict cannot be ``pass`` whatever the checks say, or what a reader must know.
        passes: False holds the verdict at ``inconclusive`` at best, for the reasons in ``notes``.

    Raises:
        InputError: no checks.
    """
    if not checks:
        raise InputError("a verdict needs at least one check (got none)")
    failed = [check.words for check in checks if check.outcome == "fail"]
    open_ = [check.words for check in checks if check.outcome == "inconclusive"]
    if failed:
        return Verdict(outcome="fail", reasons=(*failed, *notes), checks=tuple(checks))
    if open_ or not passes:
        return Verdict(outcome="inconclusive", reasons=(*notes, *open_), checks=tuple(checks))
    every = f"all {len(checks)} checks lie inside the limits that were declared beforehand"
    return Verdict(outcome="pass", reasons=(every, *notes), checks=tuple(checks))
