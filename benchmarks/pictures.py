"""Curves of several models side by side: gold black, the original grey, methods in colours that differ in print too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from graphforget.errors import missing_extra

FIXED = {"gold": ("black", "-"), "original": ("grey", "--")}
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F3C8D", "#8C510A")
MARKS = "osv^DXP*"

Curves = Mapping[str, Mapping[Any, float]]  # model -> x -> y


def lines(path: Path, panels: Sequence[tuple[str, Curves]], ylabel: str) -> None:
    """Draw one panel a probe and write the picture.

    Args:
        path: its ending names the format.
        panels: label of the x axis, and model -> x -> y.
        ylabel: of the y axis that the panels share.

    Raises:
        MissingExtra: without matplotlib.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise missing_extra("matplotlib", "report") from error
    figure = Figure(figsize=(5.2 * len(panels), 4.2), layout="constrained")
    axes: Any = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axis, (label, curves) in zip(axes, panels, strict=True):
        free = [name for name in curves if name not in FIXED]
        for name, points in curves.items():
            number = free.index(name) if name in free else 0
            colour, style = FIXED.get(name, (COLOURS[number % len(COLOURS)], "-"))
            mark = None if name in FIXED else MARKS[number % len(MARKS)]
            axis.plot(list(points), list(points.values()), style, color=colour, marker=mark, markersize=4, label=name)
        axis.set_xlabel(label)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel(ylabel)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
