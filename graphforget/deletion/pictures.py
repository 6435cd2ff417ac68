"""The pictures of a deletion report as inline SVG: no script, no outside file, colours by the page's own variables.

Each is drawn for a column as wide as a phone, so that its words keep their size; the page sets several side by side.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

from graphforget.deletion.samples import Histogram, Model
from graphforget.deletion.verdict import Check

WIDTH = 360.0
PARTS = {"forget": "forgotten", "retain": "retained", "test": "never seen"}
TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000)


def beliefs(pictures: Sequence[Histogram], model: Model, title: str) -> str:
    """Draw the beliefs of one model: one outline a part, on an axis that all models share.

    Args:
        pictures: binned beliefs of every model.
        model: which one.
        title: read aloud in place of the picture.
    """
    chosen = [each for each in pictures if each.model == model]
    if not chosen:
        return ""
    top = max(max(each.shares) for each in pictures)
    low, high = chosen[0].edges[0], chosen[0].edges[-1]
    height, base, left = 150.0, 128.0, 8.0

    def x(value: float) -> float:
        return left + (value - low) / (high - low) * (WIDTH - 2 * left)

    marks = []
    for each in chosen:
        points = [f"{x(each.edges[0]):.1f},{base}"]
        for share, start, end in zip(each.shares, each.edges, each.edges[1:], strict=False):
            y = base - share / top * (base - 10)
            points += [f"{x(start):.1f},{y:.1f}", f"{x(end):.1f},{y:.1f}"]
        points.append(f"{x(each.edges[-1]):.1f},{base}")
        marks.append(f'<polyline class="part {each.part}" points="{" ".join(points)}"/>')
    for tick in _round_ticks(low, high):
        marks.append(f'<text class="tick" x="{x(tick):.1f}" y="{base + 15}" text-anchor="middle">{tick:g}</text>')
    marks.append(f'<line class="axis" x1="{left}" x2="{WIDTH - left}" y1="{base}" y2="{base}"/>')
    return _svg(height, title, marks)


def distances(rows: Sequence[Mapping[str, Any]], title: str) -> str:
    """Draw how far the original and the unlearned model are from gold on each part, in noise floors; "" without golds.

    Args:
        rows: long-format figures.
        title: read aloud in place of the picture.
    """
    found: list[tuple[str, str, float]] = []
    for part, name in PARTS.items():
        floor = _value(rows, "gold_other_seed", part)
        for role, model in (("original", "before"), ("unlearned", "after")):
            value = _value(rows, role, part)
            if value and floor:
                found.append((name, model, value / floor))
    if not found:
        return ""
    low = min(0.5, *(value for _, _, value in found)) / 1.15
    high = max(4.0, *(value for _, _, value in found)) * 1.3
    left, right, line = 86.0, 14.0, 30.0
    bottom = 14 + line * len(PARTS)

    def x(value: float) -> float:
        return left + math.log(value / low) / math.log(high / low) * (WIDTH - left - right)

    marks = [_line("limit", x(1), x(1), 6, bottom)]
    for row, name in enumerate(PARTS.values()):
        y = 14 + line * (row + 0.5)
        marks.append(f'<text class="name" x="0" y="{y + 4:.1f}">{name}</text>')
        marks.append(_line("guide", left, WIDTH - right, y, y))
        for part, model, value in found:
            if part == name:
                marks.append(f'<circle class="{model}" cx="{x(value):.1f}" cy="{y:.1f}" r="5.5"/>')
    marks += _log_ticks(x, low, high, bottom)
    return _svg(bottom + 22, title, marks)


def costs(lines: Sequence[tuple[str, float | None, float | None]], title: str) -> str:
    """Draw seconds, predicted (outline) and measured (filled), a bar a method; "" where nothing is known.

    Args:
        lines: (name, predicted seconds, measured seconds).
        title: read aloud in place of the picture.
    """
    known = [value for _, *both in lines for value in both if value]
    if not known:
        return ""
    top, left, right, line = max(known), 0.0, 62.0, 40.0
    scale = (WIDTH - left - right) / top
    marks = []
    for row, (name, predicted, seconds) in enumerate(lines):
        y = row * line
        marks.append(f'<text class="name" x="0" y="{y + 13:.1f}">{escape(name)}</text>')
        if seconds:
            marks.append(f'<rect class="spent" x="0" y="{y + 19:.1f}" width="{seconds * scale:.1f}" height="13"/>')
        if predicted:
            marks.append(f'<rect class="guess" x="0" y="{y + 19:.1f}" width="{predicted * scale:.1f}" height="13"/>')
        shown = seconds if seconds else predicted
        if shown is not None:
            end = max(each or 0 for each in (predicted, seconds)) * scale
            words = short_seconds(shown) + ("" if seconds else " *")
            marks.append(f'<text class="tick" x="{end + 6:.1f}" y="{y + 30:.1f}">{words}</text>')
    return _svg(line * len(lines), title, marks)


def check_bar(check: Check) -> str:
    """Draw a figure's interval on the band that its limits leave open.

    Args:
        check: of a verdict.
    """
    if check.value is None:
        return ""
    lowest, highest = check.lowest, check.highest
    ends = [each for each in (lowest, highest) if each is not None]
    reach = max(abs(each) for each in ends)
    low = 0.0 if lowest is None and min(check.value, check.low or 0.0) >= 0 else -1.6 * reach
    high = 1.6 * reach

    def x(value: float) -> float:
        return 4 + min(max((value - low) / (high - low), 0.0), 1.0) * 132

    start, stop = (low if lowest is None else lowest), (high if highest is None else highest)
    bounds = [each if each is not None else check.value for each in (check.low, check.high)]
    marks = [
        f'<rect class="band" x="{x(start):.1f}" y="3" width="{x(stop) - x(start):.1f}" height="14"/>',
        *(_line("limit", x(each), x(each), 1, 19) for each in ends),
        _line("span", x(bounds[0]), x(bounds[1]), 10, 10),
        f'<circle class="{check.outcome}" cx="{x(check.value):.1f}" cy="10" r="4"/>',
    ]
    return _svg(20, "", marks, width=140)


def short_seconds(value: float) -> str:
    """Write a duration in the unit that suits it.

    Example:
        >>> short_seconds(0.25), short_seconds(90), short_seconds(7200)
        ('0.25 s', '1.5 min', '2 h')
    """
    for limit, size, unit in ((60.0, 1.0, "s"), (3600.0, 60.0, "min")):
        if value < limit:
            return f"{value / size:.2g} {unit}"
    return f"{value / 3600:.2g} h"


def _value(rows: Sequence[Mapping[str, Any]], role: str, part: str) -> float | None:
    wanted = {"role": role, "part": part, "metric": "js_to_gold"}
    return next((row["value"] for row in rows if all(row[k] == v for k, v in wanted.items())), None)


def _round_ticks(low: float, high: float) -> list[float]:
    """About five round numbers between two."""
    step = 10.0 ** math.floor(math.log10((high - low) / 4))
    step *= next(each for each in (1, 2, 5, 10) if (high - low) / (step * each) <= 6)
    return [step * k for k in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _log_ticks(x: Callable[[float], float], low: float, high: float, bottom: float) -> list[str]:
    """Labels under a logarithmic axis, none nearer to the last than its own width."""
    marks, last = [], -math.inf
    for tick in TICKS:
        if low <= tick <= high and (x(tick) - last > 30 or tick == 1):
            last = x(tick)
            marks.append(
                f'<text class="tick" x="{last:.1f}" y="{bottom + 15:.1f}" text-anchor="middle">{tick:g}</text>'
            )
    return marks


def _line(kind: str, x1: float, x2: float, y1: float, y2: float) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" x2="{x2:.1f}" y1="{y1:.1f}" y2="{y2:.1f}"/>'


def _svg(height: float, title: str, marks: Sequence[str], width: float = WIDTH) -> str:
    label = f'role="img" aria-label="{escape(title)}"' if title else 'aria-hidden="true"'
    return f'<svg viewBox="0 0 {width:g} {height:g}" {label}>{"".join(marks)}</svg>'
