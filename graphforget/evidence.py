"""The evidence: original, golds and unlearned side by side on forget, retain and test.

The distance that counts is unlearned to gold, read beside the noise floor (gold to gold). The papers' figures are
reported too, always with gold's value beside them. With K golds a distance is the mean over the golds, the floor the
mean over their pairs. Of the task's own score ``gold`` also has the lowest and the highest of the golds
(``SCORE_low``, ``SCORE_high``), and a method whether it lies between them (``SCORE_in_gold_range``, 1 or 0).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from graphforget import attack, metrics
from graphforget.errors import InputError
from graphforget.forget import ForgetSplit
from graphforget.report import ORIGINAL, Report, Row
from graphforget.task import Batch, Local, Profiled, Scored, Task
from graphforget.unlearner import Unlearned

PARTS = ("forget", "retain", "test")
LEAK_ROWS = 2000


def compare(
    task: Task[Any],
    split: ForgetSplit[Any],
    test: Any,
    *,
    original: Any,
    golds: Sequence[Unlearned],
    unlearned: Mapping[str, Unlearned] | None = None,
    keys: Mapping[str, Any] | None = None,
) -> Report:
    """Compare models on every part of a request.

    Args:
        task: how models run.
        split: the request.
        test: data that no model was trained or chosen on.
        original: the original model.
        golds: K >= 2 results of :class:`graphforget.methods.retrain.Retrain` with seeds of their own.
        unlearned: name -> result of a method.
        keys: columns repeated in every row, such as the dataset and the seed.

    Raises:
        InputError: fewer than two golds: without a noise floor no distance can be read.
    """
    if len(golds) < 2:
        raise InputError(f"at least two golds are needed for the noise floor (got {len(golds)}); three are better")
    views = {"forget": split.forget, "retain": split.untouched, "test": test}
    batches = {part: task.elements(split.retain, view) for part, view in views.items()}
    whole = Unlearned(original, split.data, {})
    before = answers(task, whole, views)
    truth = [answers(task, gold, views) for gold in golds]
    report = Report(dict(keys or {}))
    profiles = [profile(task, split, test, gold) for gold in golds]
    whole_row = scores(task, split, views, batches, whole, before, before, truth)
    report.add(ORIGINAL, "", whole_row | profile_row(task, profile(task, split, test, whole), profiles))
    each = [scores(task, split, views, batches, gold, truth[k], before, None) for k, gold in enumerate(golds)]
    each = [row | profile_row(task, profiles[k], []) for k, row in enumerate(each)]
    low, high = spread(each, task.score_name)
    report.add("gold", "retrain", average(each) | named(low, "low") | named(high, "high"))
    apart = [profile_row(task, one, profiles[:k] + profiles[k + 1 :], own=False) for k, one in enumerate(profiles)]
    report.add("gold_other_seed", "retrain", floor(task, split, batches, truth) | average(apart))
    for name, result in (unlearned or {}).items():
        after = answers(task, result, views)
        row = scores(task, split, views, batches, result, after, before, truth)
        row |= profile_row(task, profile(task, split, test, result), profiles)
        inside = {key: float(low[key] <= row[key] <= high[key]) for key in low}
        report.add("unlearned", name, row | named(inside, "in_gold_range"))
    return report


def profile(task: Task[Any], split: ForgetSplit[Any], test: Any, result: Unlearned) -> Any:
    """What a Profiled task's figures need of a model; None for other tasks."""
    return task.profile(result.model, result.context, split, test) if isinstance(task, Profiled) else None


def profile_row(task: Task[Any], one: Any, golds: Sequence[Any], own: bool = True) -> Row:
    """A Profiled task's figures of one model and its mean distance to the golds; {} for other tasks."""
    if not isinstance(task, Profiled):
        return {}
    found: Row = dict(task.figures(one)) if own else {}
    return found | average([task.apart(one, gold) for gold in golds])


def average(rows: Sequence[Row]) -> Row:
    """Mean of each figure that every row holds; {} of no rows."""
    common = [key for key in rows[0] if all(key in row for row in rows)] if rows else []
    return {key: mean(row[key] for row in rows) for key in common}


def spread(rows: Sequence[Row], metric: str) -> tuple[Row, Row]:
    """The lowest and the highest of the golds' figures of one metric, on forget and test."""
    keys = [(part, metric) for part in ("forget", "test") if all((part, metric) in row for row in rows)]
    return {key: min(row[key] for row in rows) for key in keys}, {key: max(row[key] for row in rows) for key in keys}


def named(row: Row, word: str) -> Row:
    """The same figures with a word behind the name of the metric."""
    return {(part, f"{metric}_{word}"): value for (part, metric), value in row.items()}


def answers(task: Task[Any], result: Unlearned, views: Mapping[str, Any]) -> dict[str, Tensor]:
    """{part: [B, C]} outputs of a model under its own context on each part's elements, always in the same order."""
    ask = task.teacher(result.model, result.context)
    return {part: ask(task.elements(result.context, view)) for part, view in views.items()}


def scores(
    task: Task[Any],
    split: ForgetSplit[Any],
    views: Mapping[str, Any],
    batches: Mapping[str, Batch],
    result: Unlearned,
    after: Mapping[str, Tensor],
    before: Mapping[str, Tensor],
    truth: Sequence[Mapping[str, Tensor]] | None,
) -> Row:
    """Every figure of one model: {(part, metric): value}."""
    found: Row = {}
    for part in PARTS:
        for name, value in task.evaluate(result.model, result.context, views[part]).items():
            found[part, name] = value
        if truth is not None:
            found |= distances(task, split, part, batches[part], after[part], [gold[part] for gold in truth])
    if isinstance(task, Scored):
        found |= membership(task, batches, after, before)
    if ("forget", "auc") in found:  # a view's AUC is its elements against its negatives
        found["all", "auc_forget_vs_negative"] = found["forget", "auc"]
    return found


def distances(
    task: Task[Any], split: ForgetSplit[Any], part: str, batch: Batch, outputs: Tensor, truth: Sequence[Tensor]
) -> Row:
    """Mean distance of outputs [B, C] to each gold's; on retain also near the request and far from it."""
    each = [task.to_gold(outputs, gold, batch) for gold in truth]
    found: Row = {(part, name): mean(one[name] for one in each) for name in each[0]}
    if part == "retain" and isinstance(task, Local):
        js = torch.stack([metrics.js(outputs, gold) for gold in truth]).mean(0)
        near = task.near(split, batch, 1).to(js.device)
        for name, rows in (("near", near), ("far", ~near)):
            if bool(rows.any()):
                found[part, f"js_to_gold_{name}"] = float(js[rows].mean())
    if isinstance(task, Scored):
        own = task.scores(outputs, batch)
        found[part, "spearman_to_gold"] = mean(metrics.spearman(own, task.scores(gold, batch)) for gold in truth)
    return found


def floor(
    task: Task[Any], split: ForgetSplit[Any], batches: Mapping[str, Batch], truth: Sequence[Mapping[str, Tensor]]
) -> Row:
    """The noise floor: mean distance of each gold to the others."""
    each: list[Row] = []
    for k, gold in enumerate(truth):
        row: Row = {}
        for part in PARTS:
            others = [other[part] for j, other in enumerate(truth) if j != k]
            row |= distances(task, split, part, batches[part], gold[part], others)
        each.append(row)
    return average(each)


def membership(
    task: Any, batches: Mapping[str, Batch], after: Mapping[str, Tensor], before: Mapping[str, Tensor]
) -> Row:
    """Can the forgotten be told from the retained and from the never seen? Two-sided: read beside gold's value."""
    belief = {part: task.scores(after[part], batches[part]).double() for part in PARTS}
    earlier = task.scores(before["forget"], batches["forget"])
    threshold = attack.threshold_attack(belief["forget"], belief["test"], seed=0)
    then, now = ({part: task.posterior(out[part], batches[part]) for part in PARTS} for out in (before, after))
    posterior = _posterior(now, belief)
    rows = thinned(len(now["retain"]))
    others = then["retain"][rows], now["retain"][rows]
    leak = attack.update_leakage(then["forget"], now["forget"], *others, seed=0)
    return {
        ("all", "auc_retain_vs_forget"): metrics.auc(belief["retain"], belief["forget"]),
        ("all", "auc_forget_vs_unseen"): metrics.auc(belief["forget"], belief["test"]),
        ("all", "mia_auc"): threshold.auc,
        ("all", "mia_auc_low"): threshold.low,
        ("all", "mia_auc_high"): threshold.high,
        ("all", "mia_tpr_at_1pct_fpr"): threshold.tpr_at_1pct_fpr,
        ("all", "mia_posterior_auc"): posterior.auc,
        ("all", "mia_posterior_tpr_at_1pct_fpr"): posterior.tpr_at_1pct_fpr,
        ("all", "update_leakage_auc"): leak.auc,
        ("all", "mi_ratio"): metrics.mi_ratio(earlier.sigmoid(), belief["forget"].sigmoid()),
    }


def _posterior(after: Mapping[str, Tensor], belief: Mapping[str, Tensor]) -> attack.AttackResult:
    """A classifier of the model's own answers, taught on the retained against every second unseen element.

    Features are the sorted log posterior and the belief in the own label; it is asked about the forgotten against the
    other unseen elements.
    """
    seen = {part: thinned(len(after[part])) for part in PARTS}
    features = {}
    for part, rows in seen.items():
        sorted_rows = after[part][rows].double().log_softmax(1).sort(1).values
        features[part] = torch.cat([sorted_rows, belief[part][rows][:, None]], dim=1).clamp(-50, 50).cpu()
    unseen = features["test"]
    if len(unseen) < attack.FEWEST:  # too few to teach with one half and ask about the other
        return attack.AttackResult(math.nan, math.nan, math.nan, math.nan, len(features["forget"]), len(unseen))
    return attack.posterior_attack(features["retain"], unseen[::2], features["forget"], unseen[1::2], seed=0)


def thinned(size: int) -> Tensor:
    """[n] evenly spaced rows, at most LEAK_ROWS: the bootstrap of an attack costs as much as its largest sample."""
    return torch.linspace(0, size - 1, min(size, LEAK_ROWS)).round().long()


def mean(values: Iterable[float]) -> float:
    """Plain mean of an iterable of floats."""
    found = list(values)
    return sum(found) / len(found)
