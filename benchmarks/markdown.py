"""Results as Markdown tables: a line a model, each figure with its 95 % interval over seeds."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.cell import OPTIONAL
from benchmarks.columns import NAMES, Column, columns_in, in_floors, planted
from benchmarks.glance import DISTANCES
from benchmarks.runner import grouped, reasons
from graphforget.intervals import mean_interval
from graphforget.report import Report, label


def table(report: Report, planned: int) -> str:
    """Render the report of one sweep, a table for each request.

    Args:
        report: rows of all its cells.
        planned: how many cells the sweep has; what is missing is said.
    """
    groups = grouped(report)
    names = ("model", "kind", "ratio", "count", "pool", "seed", *OPTIONAL)
    cells = {tuple(row.get(name) for name in names) for row in report.rows if "step" not in row}
    parts = [_one(title, group) for title, group in groups.items()]
    parts += _recovery(groups) + _drift(report)
    if len(cells) < planned:
        parts.append(f"*{planned - len(cells)} of {planned} cells not yet run.*")
    return "\n\n".join(parts) + "\n"


def _one(title: str, group: Report) -> str:
    columns = columns_in(group.rows)
    seeds = len({row["seed"] for row in group.rows})
    lines = [
        f"{title}, {seeds} seed{'s' if seeds > 1 else ''}",
        "",
        "| model | " + " | ".join(NAMES[column] for column in columns) + " |",
        "|---" * (len(columns) + 1) + "|",
    ]
    floors = {column: _values(group, "gold_other_seed", "", column) for column in columns}
    for role, method in group.models():
        cells = []
        for column in columns:
            values = _values(group, role, method, column)
            text = _text(values)
            if values and floors[column] and role != "gold_other_seed":
                times = in_floors(column, _mean(values), _mean(floors[column]))
                text += f" ({times:.1f}x)" if times is not None else ""
            cells.append(text)
        lines.append(f"| {label(role, method)} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, *(f"\n*{text}*" for text in reasons(group))])


def _recovery(groups: Mapping[str, Report]) -> list[str]:
    """What share of gold's gain each method recovers once planted data goes, and our method's lead, paired by seed."""
    found = []
    for title, group in groups.items():
        row = group.rows[0]
        if row["pool"] != "poison":
            continue
        column, ours = planted(row["task"]), DISTANCES[row["task"]][1][-1]
        methods = [method for role, method in group.models() if role == "unlearned"]
        shares = {method: _shares(group, method, column) for method in methods}
        lines = [
            f"{title}: share of gold's recovery of {' '.join(column)}, paired by seed",
            "",
            f"| method | share | {ours} minus it |",
            "|---|---|---|",
        ]
        for method, share in shares.items():
            best = shares.get(ours, {}) if method != ours else {}
            lead = [best[seed] - share[seed] for seed in share if seed in best]
            lines.append(f"| {method} | {_text(list(share.values()))} | {_text(lead)} |")
        found.append("\n".join(lines))
    return found


def _shares(group: Report, method: str, column: Column) -> dict[int, float]:
    before, goal = _by_seed(group, "original", "", column), _by_seed(group, "gold", "", column)
    after = _by_seed(group, "unlearned", method, column)
    return {
        seed: (after[seed] - before[seed]) / (goal[seed] - before[seed]) for seed in after if goal[seed] != before[seed]
    }


def _by_seed(group: Report, role: str, method: str, column: Column) -> dict[int, float]:
    wanted = method if role == "unlearned" else None
    rows = group.select(role=role, method=wanted, part=column[0], metric=column[1])
    return {row["seed"]: row["value"] for row in rows}


def _drift(report: Report) -> list[str]:
    """JS to the golds of each step of a sequence, in units of that step's floor."""
    rows = [row for row in report.rows if row.get("metric") == "step_js_to_gold" and row["part"] == "forget"]
    if not rows:
        return []
    steps = sorted({row["step"] for row in rows})
    methods = list(dict.fromkeys(row["method"] for row in rows if not row["method"].endswith(":floor")))
    lines = [
        "Distance to each step's golds on the forgotten of that step, in units of that step's floor",
        "",
        "| method | " + " | ".join(f"step {step}" for step in steps) + " |",
        "|---" * (len(steps) + 1) + "|",
    ]
    for method in methods:
        cells = []
        for step in steps:
            own = [row["value"] for row in rows if row["method"] == method and row["step"] == step]
            floor = [row["value"] for row in rows if row["method"] == f"{method}:floor" and row["step"] == step]
            cells.append(f"{_mean(own) / _mean(floor):.1f}x")
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return ["\n".join(lines)]


def _values(group: Report, role: str, method: str, column: tuple[str, str]) -> list[float]:
    wanted = method if role == "unlearned" else None
    rows = group.select(role=role, method=wanted, part=column[0], metric=column[1])
    return [row["value"] for row in rows if row["value"] == row["value"]]


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _text(values: list[float]) -> str:
    if not values:
        return ""
    mean, low, high = mean_interval(values)
    digits = 1 if abs(mean) >= 10 else 3 if abs(mean) >= 0.1 else 5
    return f"{mean:.{digits}f}" + ("" if low != low else f" ± {(high - low) / 2:.{digits}f}")
