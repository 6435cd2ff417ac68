"""Recommenders against claims and targets: one line a request, a missed target says so.

Targets: recall@20 of the forgotten, users and items within the range of the golds (means over seeds), requests with
single interactions within .01 of gold; test recall at least gold's minus 1 %; top-20 overlap with gold at least the
floor's minus .03 (with single interactions .02); at least 8 times as fast as gold, in processor seconds: of
``benchmarks.speed`` where the request was measured there, else of the sweep, else nothing is said. MMRecUN's paper
claims recall up to 49.85 % above its baselines' and 1.3 times gold's speed (arXiv:2405.15328).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.runner import grouped
from graphforget.report import Report

OURS, THEIRS = "mmrecun_calibrated", "mmrecun"
BASELINES = ("rrl", "scif", "receraser", "amnesiac")
KINDS = ("user", "item", "user_item", "user_interaction", "interaction")
FASTER = 8
HEAD = (
    "request",
    "forget recall@20, ours / gold",
    "test recall@20, ours / gold",
    "top 20 shared with gold, ours / floor",
    "faster than gold, ours (MMRecUN)",
    "MMRecUN's test recall over the baselines'",
)


def claims(report: Report, speed: Sequence[Mapping[str, Any]] = ()) -> str:
    """Render a line for every request of recommenders that ours and gold have rows of.

    Args:
        report: rows of sweeps.
        speed: rows of ``benchmarks.speed``, gold and the methods in one run.
    """
    found = [line for title, group in grouped(report).items() for line in _line(title, group, speed)]
    if not found:
        return "*Not yet run.*"
    return "\n".join(["| " + " | ".join(HEAD) + " |", "|---" * len(HEAD) + "|", *found])


def _line(title: str, group: Report, speed: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    kind = group.rows[0]["kind"]
    if kind not in KINDS or group.rows[0]["pool"] != "random":
        return
    if group.rows[0]["count"] is not None and kind.endswith("interaction"):
        return  # the recall of a few pairs is no share
    forgot, gold_forgot = (_mean(group, *who, "forget", "recall@20") for who in (_OURS, _GOLD))
    tested, gold_tested = (_mean(group, *who, "test", "recall@20") for who in (_OURS, _GOLD))
    shared, floor = (_mean(group, *who, "test", "overlap@20") for who in (_OURS, _FLOOR))
    if None in (forgot, gold_forgot, tested, gold_tested, shared, floor):
        return
    single = kind.endswith("interaction")
    low, high = (_mean(group, *_GOLD, "forget", f"recall@20_{end}") for end in ("low", "high"))
    forgotten = abs(forgot - gold_forgot) <= 0.01 if single or low is None else low <= forgot <= high  # type: ignore[operator]
    ours, theirs = (_faster(group, speed, who) for who in (_OURS, _THEIRS))
    cells = [
        title,
        _pair(forgot, gold_forgot, forgotten, digits=4),
        _pair(tested, gold_tested, tested >= 0.99 * gold_tested),  # type: ignore[operator]
        _pair(shared, floor, round(floor - shared, 3) <= (0.02 if single else 0.03)),  # type: ignore[operator]
        (_met(f"{ours:.1f}x", ours >= FASTER) if ours else "") + (f" ({theirs:.1f}x)" if theirs else ""),
        _advantages(group),
    ]
    yield "| " + " | ".join(cells) + " |"


_OURS, _THEIRS = ("unlearned", OURS), ("unlearned", THEIRS)
_GOLD, _FLOOR = ("gold", "retrain"), ("gold_other_seed", "retrain")


def _faster(group: Report, speed: Sequence[Mapping[str, Any]], who: tuple[str, str]) -> float | None:
    """Gold's processor seconds over a method's; None where no run has taken both."""
    cell = group.rows[0]
    if "epochs" not in cell:  # of the usual schedule
        for row in speed:
            if row["method"] == who[1] and all(
                row[name] == cell[name] for name in ("dataset", "model", "kind", "pool")
            ):
                return float(row["gold_ratio"])
    own, gold = (_mean(group, *each, "all", "cpu_s") for each in (who, _GOLD))
    return gold / own if own and gold else None


def _mean(group: Report, role: str, method: str, part: str, metric: str) -> float | None:
    found = [row["value"] for row in group.select(role=role, method=method, part=part, metric=metric)]
    finite = [value for value in found if value is not None and value == value]
    return sum(finite) / len(finite) if finite else None


def _pair(ours: float | None, reference: float | None, met: bool, digits: int = 3) -> str:
    return _met(f"{ours:.{digits}f} / {reference:.{digits}f}", met)


def _met(text: str, met: bool) -> str:
    return text if met else f"{text} (missed)"


def _advantages(group: Report) -> str:
    """How much higher MMRecUN's recall is than each baseline's, in per cent."""
    own = _mean(group, *_THEIRS, "test", "recall@20")
    each = {name: _mean(group, "unlearned", name, "test", "recall@20") for name in BASELINES}
    return ", ".join(f"{name} {100 * (own / value - 1):+.0f} %" for name, value in each.items() if own and value)
