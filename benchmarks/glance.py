"""Every request on one line: how far each method stands from gold, in noise floors."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.columns import Column, in_floors
from benchmarks.runner import grouped
from graphforget.report import Report

Shown = tuple[Column, tuple[str, ...]]  # the distance and the methods of a task

LANGUAGE: Shown = (
    ("forget", "js_to_gold"),
    ("finetune", "gradient_ascent", "grad_diff", "npo", "simnpo", "dpo", "rmu", "undial", "unstar", "d2dgn_calibrated"),
)
DISTANCES: Mapping[str, Shown] = {
    "link": (("forget", "js_to_gold"), ("utu", "finetune", "gnndelete", "d2dgn", "d2dgn_calibrated")),
    "node": (("forget", "js_to_gold"), ("utu", "finetune", "gnndelete", "d2dgn", "d2dgn_calibrated")),
    "image": (
        ("forget", "js_to_gold"),
        ("finetune", "gradient_ascent", "ssd", "pgu", "duck", "salun", "del", "d2dgn_calibrated"),
    ),
    "regression": (
        ("forget", "rmse_to_gold"),
        ("finetune", "gradient_ascent", "gaussian_amnesiac", "blindspot", "d2dgn", "d2dgn_calibrated"),
    ),
    "federated": (
        ("forget", "js_to_gold"),
        ("finetune", "conda", "conda_released", "fed_eraser", "pga", "fedaf", "d2dgn_calibrated"),
    ),
    "noise": (
        ("forget", "rmse_to_gold"),
        ("finetune", "gradient_ascent", "d2dgn", "esd", "ablating_concepts", "forget_me_not", "sdd"),
    ),
    **dict.fromkeys(("language", "restoration"), LANGUAGE),
    "recommend": (("test", "overlap@20"), ("finetune", "row_reset", "mmrecun", "d2dgn", "mmrecun_calibrated")),
}


def glance(report: Report) -> str:
    """Render one line a request; the nearest method is bold, ours is the last column.

    Args:
        report: rows of one task, of as many sweeps as there are.
    """
    groups = grouped(report)
    if not groups:
        return "*Not yet run.*"
    column, methods = DISTANCES[report.rows[0]["task"]]
    lines = [
        "| request | seeds | original | " + " | ".join(methods) + " |",
        "|---" * (len(methods) + 3) + "|",
    ]
    for title, group in groups.items():
        floor = _mean(group, "gold_other_seed", None, column)
        if floor is None:
            continue
        seeds = len({row["seed"] for row in group.select(role="gold_other_seed")})
        times = [_floors(column, _mean(group, "unlearned", method, column), floor) for method in methods]
        best = min((value for value in times if value is not None), default=None)
        cells = [_text(_floors(column, _mean(group, "original", None, column), floor), None)]
        cells += [_text(value, best) for value in times]
        lines.append(f"| {title} | {seeds} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _mean(group: Report, role: str, method: str | None, column: Column) -> float | None:
    part, metric = column
    found = [row["value"] for row in group.select(role=role, method=method, part=part, metric=metric)]
    finite = [value for value in found if value == value]
    return sum(finite) / len(finite) if finite else None


def _floors(column: Column, value: float | None, floor: float) -> float | None:
    return None if value is None else in_floors(column, value, floor)


def _text(value: float | None, best: float | None) -> str:
    if value is None:
        return ""
    text = f"{value:.1f}"
    return f"**{text}**" if best is not None and text == f"{best:.1f}" else text
