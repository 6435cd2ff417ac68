"""Results as Markdown tables: a line a model, each figure with its 95 % interval over seeds."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.runner import COLUMNS, title_of
from graphforget.metrics import mean_interval
from graphforget.report import Report, label

NAMES = {
    ("test", "auc"): "test AUC",
    ("test", "accuracy"): "test acc.",
    ("forget", "accuracy"): "forget acc.",
    ("forget", "js_to_gold"): "JS to gold, forgotten",
    ("retain", "js_to_gold"): "JS to gold, retained",
    ("all", "auc_retain_vs_forget"): "AUC retained / forgotten",
    ("all", "auc_forget_vs_unseen"): "AUC forgotten / unseen",
    ("all", "mia_auc"): "MIA AUC",
    ("all", "mi_ratio"): "MI ratio",
    ("all", "seconds"): "seconds",
}


def table(report: Report, planned: int) -> str:
    """Render the report of one sweep, a table for each request.

    Args:
        report: rows of all its cells.
        planned: how many cells the sweep has; what is missing is said.
    """
    groups: dict[str, Report] = {}
    cells = set()
    for row in report.rows:
        if "step" not in row:
            groups.setdefault(title_of({**row, "seed": None}), Report()).rows.append(row)
            cells.add((row["model"], row["ratio"], row["count"], row["pool"], row["seed"]))
    parts = [_one(title, group) for title, group in groups.items()]
    parts += _recovery(groups) + _drift(report)
    if len(cells) < planned:
        parts.append(f"*{planned - len(cells)} of {planned} cells not yet run.*")
    return "\n\n".join(parts) + "\n"


def _one(title: str, group: Report) -> str:
    columns = COLUMNS[group.rows[0]["task"]]
    seeds = len({row["seed"] for row in group.rows})
    lines = [
        f"{title}, {seeds} seed{'s' if seeds > 1 else ''}",
        "",
        "| model | " + " | ".join(NAMES[column] for column in columns) + " |",
        "|---" * (len(columns) + 1) + "|",
    ]
    floor = _values(group, "gold_other_seed", "", ("forget", "js_to_gold"))
    for role, method in group.models():
        cells = []
        for column in columns:
            values = _values(group, role, method, column)
            text = _text(values)
            if column == ("forget", "js_to_gold") and values and floor and role != "gold_other_seed":
                text += f" ({_mean(values) / _mean(floor):.1f}x)"
            cells.append(text)
        lines.append(f"| {label(role, method)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _recovery(groups: Mapping[str, Report]) -> list[str]:
    """What share of gold's gain in test utility each method recovers once planted data goes, paired by seed."""
    found = []
    for title, group in groups.items():
        row = group.rows[0]
        if row["pool"] != "poison":
            continue
        utility = "auc" if row["task"] == "link" else "accuracy"

        def test(role: str, method: str, seed: int, group: Report = group, metric: str = utility) -> float:
            wanted = method if role == "unlearned" else None
            return group.select(role=role, method=wanted, seed=seed, part="test", metric=metric)[0]["value"]  # type: ignore[no-any-return]

        seeds = sorted({row["seed"] for row in group.rows})
        lines = [
            f"{title}: share of gold's recovery of test {utility}, paired by seed",
            "",
            "| method | share |",
            "|---|---|",
        ]
        for role, method in group.models():
            if role == "unlearned":
                shares = [
                    (test(role, method, seed) - test("original", "", seed))
                    / (test("gold", "", seed) - test("original", "", seed))
                    for seed in seeds
                    if group.select(role=role, method=method, seed=seed)
                ]
                lines.append(f"| {method} | {_text(shares)} |")
        found.append("\n".join(lines))
    return found


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
