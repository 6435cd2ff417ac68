"""Verification: what the original, the unlearned model and the golds answer, and the verdict that follows.

With two golds or more everything is read beside gold and the noise floor; two give one distance and a rough floor, so
that a gold itself may fail beside them, and three a better one. With one gold there is no floor, so no distance can be
judged. With none, held-out elements of the same population stand in for what a retrained model would make of the
forgotten; that is weaker, is said in the reasons, and passes only where the thresholds accept it.

Nothing that identifies a subject leaves here: rows are means over parts, pictures are binned.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from graphforget import evidence
from graphforget.deletion.answers import Answers, Asked
from graphforget.deletion.checks import beside_gold, beside_unseen
from graphforget.deletion.samples import Histogram, Resampler, histograms
from graphforget.deletion.verdict import Judge, Thresholds, Verdict, decide
from graphforget.errors import InputError
from graphforget.forget import ForgetSplit
from graphforget.methods.retrain import Retrain
from graphforget.report import ORIGINAL, Report
from graphforget.task import Scored, Task
from graphforget.unlearner import Unlearned

NO_GOLD = (
    "no retrained model was at hand: held-out elements of the same population stand in for it, and whether retraining "
    "would leave the same traces cannot be told"
)
ONE_GOLD = "only one retrained model was at hand: without a second there is no noise floor to read distances by"


class Verification(BaseModel):
    """The result, ready for JSON.

    Args:
        method: the method that unlearned.
        task: the class of the task.
        golds: how many retrained models the unlearned one was compared with; 0: held-out elements stood in.
        elements: how many elements each part has.
        subjects: how many subjects the forgotten elements belong to.
        verdict: outcome, reasons and checks.
        thresholds: as declared beforehand.
        rows: long-format figures: role, method, part, metric, value (None where it could not be measured).
        pictures: binned beliefs.
        seed: of the bootstrap.
        cost: as given, by name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: str
    task: str
    golds: int
    elements: dict[str, int]
    subjects: int
    verdict: Verdict
    thresholds: Thresholds
    rows: tuple[dict[str, Any], ...]
    pictures: tuple[Histogram, ...]
    seed: int
    cost: dict[str, float | None]


def train_golds(
    task: Task[Any], split: ForgetSplit[Any], original: nn.Module, count: int, *, seed: int = 0
) -> list[Unlearned]:
    """Retrain without the forgotten, each time from a seed of its own that the original did not have.

    Args:
        task: how models run.
        split: the request, resolved.
        original: gives the architecture only.
        count: how many golds.
        seed: of the original; golds use ``seed + 100 + k``.
    """
    return [Retrain().unlearn(original, task, split, seed=seed + 100 + k) for k in range(count)]


def verify(
    task: Task[Any],
    split: ForgetSplit[Any],
    test: Any,
    *,
    original: nn.Module,
    unlearned: Unlearned,
    golds: Sequence[Unlearned] = (),
    method: str = "unlearned",
    thresholds: Thresholds | None = None,
    subjects: Tensor | None = None,
    cost: Mapping[str, float | None] | None = None,
    seed: int = 0,
) -> Verification:
    """Compare before, after and gold, and judge.

    Args:
        task: how models run; its elements must have a belief each (links, nodes, interactions).
        split: the request, resolved.
        test: elements that no model was trained on.
        original: the model before.
        unlearned: the model after, with the context it may see.
        golds: retrained models, best three or more; see :func:`train_golds`.
        method: name of the method.
        thresholds: declared beforehand; our defaults where None.
        subjects: [F] whom each forgotten element belongs to; by default its removed user, item or node, else itself.
        cost: figures passed through to the report, such as ``predicted_seconds`` and ``seconds``.
        seed: of the bootstrap.

    Raises:
        InputError: a task without beliefs, or subjects that do not match the forgotten elements.
    """
    if not isinstance(task, Scored):
        raise InputError(
            f"verification needs a task whose elements have a belief each (got {type(task).__name__}); "
            "use a link, node or recommendation task"
        )
    declared = thresholds or Thresholds()
    before = Unlearned(original, split.data, {})
    asked = Asked.of(task, split, test, subjects)
    answers = Answers(asked, before, unlearned, tuple(golds))
    draw = Resampler(asked.subjects, seed)
    if golds:
        found = beside_gold(answers, Judge(declared, draw.count, "gold"), draw)
        verdict = decide(found, [ONE_GOLD] if len(golds) == 1 else [])
    else:
        found = beside_unseen(answers, Judge(declared, draw.count, "unseen"), draw)
        verdict = decide(found, [NO_GOLD], passes=declared.accept_stand_in)
    return Verification(
        method=method,
        task=type(task).__name__,
        golds=len(golds),
        elements={part: batch.size for part, batch in asked.whole.items()},
        subjects=draw.count,
        verdict=verdict,
        thresholds=declared,
        rows=_rows(asked, before, unlearned, golds, method),
        pictures=histograms(answers.shown()),
        seed=seed,
        cost=dict(cost or {}),
    )


def _rows(
    asked: Asked, before: Unlearned, unlearned: Unlearned, golds: Sequence[Unlearned], method: str
) -> tuple[dict[str, Any], ...]:
    """The figures of every model: those of :func:`graphforget.evidence.compare`, as far as the golds go."""
    task, split, test = asked.task, asked.split, asked.test
    if len(golds) > 1:
        found = evidence.compare(task, split, test, original=before.model, golds=golds, unlearned={method: unlearned})
        return _finite(found)
    outputs, batches = evidence.answers(task, before, asked.views), {str(k): each for k, each in asked.whole.items()}
    truth = [evidence.answers(task, gold, asked.views) for gold in golds]
    report = Report()
    models = [(ORIGINAL, "", before), *(("gold", "retrain", gold) for gold in golds), ("unlearned", method, unlearned)]
    for role, name, result in models:
        own = evidence.answers(task, result, asked.views)
        beside = truth if truth and role != "gold" else None
        figures = evidence.scores(task, split, asked.views, batches, result, own, outputs, beside)
        report.add(role, name, figures | evidence.profile_row(task, evidence.profile(task, split, test, result), []))
    return _finite(report)


def _finite(report: Report) -> tuple[dict[str, Any], ...]:
    return tuple({**row, "value": row["value"] if math.isfinite(row["value"]) else None} for row in report.rows)
