"""``python -m benchmarks.report FILE.jsonl --html OUT.html``: draw a comparison, in one file that opens offline.

For every request: distance to gold beside the noise floor, utility beside gold's, and cost. Needs the extra ``report``
(matplotlib, jinja2).
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.columns import UTILITY, columns_in
from benchmarks.runner import grouped, reasons
from graphforget import page
from graphforget.errors import GraphforgetError, missing_extra
from graphforget.intervals import mean_interval
from graphforget.report import Report, label

INK = "#010203"  # replaced by currentColor, so that pictures follow a light or dark page
OURS = ("d2dgn_calibrated", "mmrecun_calibrated")
BLUE, ORANGE, GREY = "#3b82c4", "#d97706", "#8a8f98"

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
{{ style | safe }} svg { min-width: 44rem } table { min-width: 40rem }
</style></head><body>
<h1>{{ title }}</h1>
<p class="lead">Gold is the model retrained without the forgotten data. A method is good when its distance to gold is
within the <em>noise floor</em>, the distance between two golds that differ by their seed only. Utility and attacks are
read beside gold's own value. Bars are 95 % intervals over seeds.</p>
{% for group in groups %}<section><h2>{{ group.title }}</h2>
<div class="wide">{{ group.svg }}</div>
{% if group.curves %}<details><summary>How the golds were trained: held-out score by epoch, best epochs marked
{%- if group.unfinished %}; {{ group.unfinished }} stopped at the last epoch, not by patience{% endif %}</summary>
<div class="wide">{{ group.curves }}</div></details>{% endif %}
<div class="wide"><table><thead><tr><th>model</th>{% for part, metric in group.columns %}<th>{{ metric }}
<small>{{ part if part != "all" else "" }}</small></th>{% endfor %}</tr></thead><tbody>
{% for row in group.rows %}<tr{% if row.gold %} class="gold"{% endif %}><td>{{ row.name }}</td>
{% for cell in row.cells %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</tbody></table></div>{% for text in group.reasons %}<p>{{ text }}</p>{% endfor %}</section>{% endfor %}
</body></html>
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Draw a JSON lines file; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    parser.add_argument("file", type=Path, nargs="+", help="JSON lines of one or more benchmarks")
    parser.add_argument("--html", type=Path, required=True, metavar="OUT", help="the page to write")
    flags = parser.parse_args(argv)
    try:
        report = Report()
        for path in flags.file:
            report.rows += Report.read(path).rows
        text = render(report, ", ".join(path.stem for path in flags.file))
    except (GraphforgetError, OSError) as error:
        Console(stderr=True).print(f"[bold red]error:[/] {error}", highlight=False)
        return 2
    flags.html.write_text(text, encoding="utf-8")
    sys.stdout.write(f"{flags.html}\n")
    return 0


def render(report: Report, title: str) -> str:
    """Return the page of a report."""
    try:
        from markupsafe import Markup
    except ImportError as error:
        raise missing_extra("jinja2", "report") from error
    found = [
        {
            "title": name,
            "svg": Markup(draw(group)),
            "curves": Markup(draw_curves(group)),
            "unfinished": sum(not row["converged"] for row in group.select(metric="best_epoch")),
            "columns": columns_in(group.rows),
            "rows": [_row(group, role, method) for role, method in group.models()],
            "reasons": reasons(group),
        }
        for name, group in grouped(report).items()
    ]
    return page.render(PAGE, title=title, groups=found)


def _row(group: Report, role: str, method: str) -> dict[str, Any]:
    cells = []
    for part, metric in columns_in(group.rows):
        low, value, high = interval(group, role, method, part, metric)
        cells.append(
            "-" if value is None else _short(value) + ("" if low is None else f" ± {_short((high - low) / 2)}")
        )
    return {"name": label(role, method), "cells": cells, "gold": role.startswith("gold")}


def interval(group: Report, role: str, method: str, part: str, metric: str) -> tuple[Any, Any, Any]:
    """(low, mean, high) over seeds; None where there is nothing to say."""
    rows = group.select(role=role, method=method if role == "unlearned" else None, part=part, metric=metric)
    values = [row["value"] for row in rows if row["value"] == row["value"]]
    if not values:
        return None, None, None
    mean, low, high = mean_interval(values)
    return (None, mean, None) if low != low else (low, mean, high)


def draw(group: Report) -> str:
    """Three panels as SVG: distance to gold, utility, seconds; one line a model."""
    try:
        from matplotlib.figure import Figure
        from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter
    except ImportError as error:
        raise missing_extra("matplotlib", "report") from error
    utility = UTILITY[group.rows[0]["task"]]
    models = [model for model in group.models() if model[0] != "gold_other_seed"][::-1]
    figure = Figure(figsize=(11, 0.42 * len(models) + 1.5), layout="constrained")
    axes = figure.subplots(1, 3, sharey=True)
    panels = (
        ("forget", "js_to_gold", "distance to gold, forgotten part (JS)"),
        ("test", utility, f"utility: test {utility}"),
        ("all", "seconds", "seconds"),
    )
    for axis, (part, metric, title) in zip(axes, panels, strict=True):
        for line, (role, method) in enumerate(models):
            low, value, high = interval(group, role, method, part, metric)
            if value is None:
                continue
            colour = ORANGE if method in OURS else GREY if role != "unlearned" else BLUE
            if low is not None:
                axis.plot([max(low, 1e-6) if metric != utility else low, high], [line, line], color=colour, alpha=0.5)
            axis.plot(value, line, "o", color=colour)
        if metric != utility:
            axis.set_xscale("log")
            low, high = axis.get_xlim()
            axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 50 * low else (1,), numticks=8))
            axis.xaxis.set_major_formatter(FormatStrFormatter("%g"))
            axis.xaxis.set_minor_formatter(NullFormatter())
        reference = ("gold_other_seed", "noise floor") if metric == "js_to_gold" else ("gold", "gold")
        _, value, _ = interval(group, reference[0], "", part, metric)
        if value is not None:
            axis.axvline(value, color=INK, linestyle=":", linewidth=1)
            axis.annotate(
                reference[1], (value, 1), xycoords=("data", "axes fraction"), fontsize=8, color=INK, va="bottom"
            )
        axis.set_title(title, fontsize=9, color=INK, pad=16)
        axis.set_yticks(range(len(models)), [label(*model) for model in models], fontsize=9)
        _plain(axis, "x")
    return _svg(figure)


def draw_curves(group: Report) -> str:
    """The golds' learning curves as SVG; "" where none were kept."""
    from matplotlib.figure import Figure

    rows = group.select(metric="best_epoch")
    if not rows:
        return ""
    figure = Figure(figsize=(11, 2.6), layout="constrained")
    axis = figure.subplots()
    for row in rows:
        epochs, scores = zip(*row["curve"], strict=True)
        axis.plot(epochs, scores, color=BLUE, alpha=0.5, linewidth=1)
        axis.plot(row["value"], dict(row["curve"])[row["value"]], "o", color=ORANGE, markersize=4)
    axis.set_xlabel("epoch", fontsize=9, color=INK)
    axis.set_ylabel("held-out score", fontsize=9, color=INK)
    _plain(axis, "both")
    return _svg(figure)


def _plain(axis: Any, grid: str) -> None:
    """Small ticks, a faint grid, no frame."""
    axis.tick_params(colors=INK, labelsize=8)
    axis.grid(axis=grid, alpha=0.2)
    for side in axis.spines.values():
        side.set_visible(False)


def _svg(figure: Any) -> str:
    """A figure as SVG whose ink follows the page."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True)
    text = buffer.getvalue()
    return text[text.index("<svg") :].replace(INK, "currentColor")


def _short(value: float) -> str:
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.3f}" if abs(value) >= 0.1 else f"{value:.4f}"


if __name__ == "__main__":
    raise SystemExit(main())
