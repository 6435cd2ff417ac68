"""Long-format results: role x part x metric, as JSON lines and as a table.

Roles are ``original``, ``gold``, ``gold_other_seed`` (the noise floor) and ``unlearned``; parts ``forget``, ``retain``,
``test`` and ``all``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.table import Table

from graphforget.errors import InputError
from graphforget.intervals import mean_interval

ORIGINAL = "original"
ROLES = (ORIGINAL, "gold", "gold_other_seed", "unlearned")
Row = dict[tuple[str, str], float]


@dataclass
class Report:
    """Rows of figures.

    Args:
        keys: columns repeated in every row (dataset, model, seed, ...).
        rows: one dict a figure, with ``role method part metric value`` beside the keys.

    Example:
        >>> report = Report({"dataset": "karate", "seed": 0})
        >>> report.add("gold", "retrain", {("test", "auc"): 0.9})
        >>> report.value("gold", "test", "auc")
        0.9
    """

    keys: Mapping[str, Any] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)

    def add(self, role: str, method: str, figures: Row) -> None:
        """Append figures {(part, metric): value} of one model."""
        if role not in ROLES:
            raise InputError(f"role must be one of {ROLES} (got {role!r})")
        for (part, metric), value in figures.items():
            row = {"role": role, "method": method, "part": part, "metric": metric, "value": float(value)}
            self.rows.append({**self.keys, **row})

    def value(self, role: str, part: str, metric: str, method: str | None = None) -> float:
        """Mean of the matching figures over seeds and requests; raises when there is none."""
        found = [row["value"] for row in self.select(role=role, part=part, metric=metric, method=method)]
        if not found:
            raise InputError(f"the report holds no {metric} of {role} {method or ''} on {part}")
        return float(sum(found) / len(found))

    def select(self, **wanted: Any) -> list[dict[str, Any]]:
        """Rows whose columns equal the given values; None matches anything."""
        return [row for row in self.rows if all(v is None or row.get(k) == v for k, v in wanted.items())]

    def lines(self) -> str:
        """JSON lines; NaN becomes null."""
        return "".join(json.dumps(_finite(row)) + "\n" for row in self.rows)

    @classmethod
    def read(cls, path: str | Path) -> Report:
        """Read JSON lines; a torn last line (a crash while writing) is left out, any other bad line is an error."""
        text = Path(path).read_text(encoding="utf-8")
        lines, rows = text.splitlines(), []
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                if number == len(lines) and not text.endswith("\n"):
                    break
                raise InputError(f"{path}, line {number}: not JSON ({error}); remove the line") from error
            rows.append({**row, "value": float("nan") if row.get("value") is None else row["value"]})
        return cls({}, rows)

    def table(self, columns: Iterable[tuple[str, str]], title: str = "") -> Table:
        """Render one line a model and one column a (part, metric), with mean and 95 % interval over seeds."""
        chosen = list(columns)
        table = Table(title=title or None, title_justify="left")
        table.add_column("model")
        for part, metric in chosen:
            table.add_column(metric if part == "all" else f"{metric}\n{part}", justify="right")
        for role, method in self.models():
            cells = [
                _cell([row["value"] for row in self.select(role=role, method=method, part=part, metric=metric)])
                for part, metric in chosen
            ]
            table.add_row(label(role, method), *cells)
        return table

    def models(self) -> list[tuple[str, str]]:
        """(role, method) in the order original, gold, floor, methods as they came."""
        seen = dict.fromkeys((row["role"], row["method"] if row["role"] == "unlearned" else "") for row in self.rows)
        found = {(role, method) for role, method in seen}
        order = sorted(found, key=lambda item: (ROLES.index(item[0]), list(seen).index(item)))
        return [(role, method or self._method(role)) for role, method in order]

    def _method(self, role: str) -> str:
        return next((str(row["method"]) for row in self.rows if row["role"] == role), "")


def label(role: str, method: str) -> str:
    """How a model is named to a reader."""
    return {ORIGINAL: "original", "gold": "gold (retrain)", "gold_other_seed": "gold, other seed (floor)"}.get(
        role, method
    )


def _cell(values: list[float]) -> str:
    finite = [value for value in values if value == value]
    if not finite:
        return "-"
    mean, low, high = mean_interval(finite)
    size = abs(mean)
    digits = 1 if size >= 100 else 3 if size >= 0.1 else 4
    text = f"{mean:.{digits}f}"
    return text if low != low else f"{text} ±{(high - low) / 2:.{digits}f}"


def _finite(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: None if isinstance(value, float) and value != value else value for key, value in row.items()}
