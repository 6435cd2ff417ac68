"""``python -m benchmarks.diffusion_pictures digits-diffusion.jsonl --plot FILE``: the attack's curves and its images.

Left, how often the concept is recognised where the original makes the first psi of the steps, for gold and every
method of the rows; right, such images for one method and seed, beside the original's and gold's own. Models come from
the cache of the run.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.arguments import method_of
from benchmarks.bench import Bench
from benchmarks.cell import Cell
from benchmarks.diffusions import FIRST, PSIS
from benchmarks.output import refused
from benchmarks.pictures import COLOURS, FIXED, MARKS
from graphforget.diffusion.concealment import recovery
from graphforget.diffusion.sampling import sample
from graphforget.diffusion.task import NoisePrediction
from graphforget.errors import GraphforgetError, InputError, missing_extra
from graphforget.report import Report, label

COUNT = 6  # images a row


def main(argv: Sequence[str] | None = None) -> int:
    """Draw the picture; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.diffusion_pictures", description=__doc__)
    add = parser.add_argument
    add("rows", type=Path, help="JSON lines of benchmarks.digits_diffusion")
    add("--plot", type=Path, required=True, metavar="FILE", help="the picture")
    add("--method", default="esd", metavar="KEY", help="whose images are shown (esd)")
    add("--seed", type=int, default=1, help="of which model (1)")
    add("--data-root", type=Path, default=None, help="folder of the data sets")
    add("--cache", type=Path, default=Path("benchmarks/results/.cache"), help="trained originals and golds")
    flags = parser.parse_args(argv)
    try:
        if not flags.rows.exists():
            raise InputError(f"{flags.rows} does not exist; run benchmarks.digits_diffusion with --out first")
        draw(curves(Report.read(flags.rows)), strips(flags), flags.plot)
    except GraphforgetError as error:
        return refused(error)
    return 0


def curves(report: Report) -> dict[str, dict[float, float]]:
    """{model: {psi: mean probability of the concept}} of gold and every method, over seeds."""
    found: dict[str, dict[float, float]] = {}
    for role, method in report.models():
        if role in ("gold", "unlearned"):
            name = "gold" if role == "gold" else method
            points = {p: report.select(role=role, method=method, metric=f"concept@{p:g}") for p in PSIS}
            found[name] = {psi: sum(r["value"] for r in rows) / len(rows) for psi, rows in points.items() if rows}
    return found


SHOWN = (0.05, 0.25, 0.35, 0.45, 0.55, 0.75)
SCORES = {
    ("forget", "recognised"): "7s recognised",
    ("retain", "recognised"): "others recognised",
    ("forget", "ccs_scaled"): "CCS, calibrated",
    ("forget", "crs_signed"): "signed CRS",
    ("forget", "crs_gap"): "published CRS, the 7",
    ("retain", "crs_gap"): "published CRS gap, a 0",
}


def markdown(report: Report) -> str:
    """Render the curve and the scores of every model, means over seeds."""
    mean = curves(report)
    names = [f"psi {psi:g}" for psi in SHOWN]
    head = ["model", "seeds", *names, "mean over psi, minus gold", *SCORES.values()]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for role, method in report.models():
        if role == "gold_other_seed":
            continue
        own = Report({}, report.select(role=role, method=method))
        curve = mean.get("gold" if role == "gold" else method, {})
        seeds = {row["seed"] for row in own.rows}
        gold = curves(Report({}, [row for row in report.rows if row["seed"] in seeds]))["gold"]  # of the same seeds
        apart = [curve[psi] - gold[psi] for psi in curve]
        cells = [label(role, method), str(len(seeds))]
        cells += [f"{curve[psi]:.3f}" if psi in curve else "" for psi in SHOWN]
        cells += [f"{sum(apart) / len(apart):+.3f}" if apart and role == "unlearned" else ""]
        for part, metric in SCORES:
            values = [row["value"] for row in own.select(part=part, metric=metric) if row["value"] == row["value"]]
            cells.append(f"{sum(values) / len(values):.3f}" if values else "")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def strips(flags: Any) -> dict[str, Tensor]:
    """{label: [COUNT, H, W] images} of the original, gold, and the attack at each psi."""
    cell = Cell("digits_diffusion", "attention_unet", "noise", "class", None, 1, "random", flags.seed)
    bench = Bench(cell, flags.data_root, flags.cache)
    task, original = bench.task, bench.original()[0]
    if not isinstance(task, NoisePrediction):
        raise InputError(f"this picture needs a task of noise prediction (got {type(task).__name__})")
    asked, shape = torch.full((COUNT,), FIRST), tuple(bench.splits.train.x.shape[1:])
    unlearned = method_of(flags.method).unlearn(original, task, bench.whole, seed=flags.seed).model
    found = {
        "original": sample(original, task.noise, asked, shape),
        "gold": sample(bench.gold(0)[0].model, task.noise, asked, shape),
    }
    attack = recovery(original, unlearned, task.noise, asked, shape, psis=PSIS)
    found |= {f"{flags.method}, psi {psi:g}": images for psi, images in attack.items()}
    return {name: images[:, 0] for name, images in found.items()}


def draw(points: dict[str, dict[float, float]], rows: dict[str, Tensor], path: Path) -> None:
    """Write the picture.

    Raises:
        MissingExtra: without matplotlib.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise missing_extra("matplotlib", "report") from error
    figure = Figure(figsize=(10.5, 4.6), layout="constrained")
    halves: Any = figure.subfigures(1, 2, width_ratios=(1.5, 1))
    left, right = halves
    axis = left.subplots()
    free = [name for name in points if name not in FIXED]
    for name, curve in points.items():
        number = free.index(name) if name in free else 0
        colour, style = FIXED.get(name, (COLOURS[number % len(COLOURS)], "-"))
        mark = None if name in FIXED else MARKS[number % len(MARKS)]
        axis.plot(list(curve), list(curve.values()), style, color=colour, marker=mark, markersize=4, label=name)
    axis.set_xlabel("psi, the original's share of the steps")
    axis.set_ylabel(f"probability of a {FIRST}")
    axis.grid(alpha=0.3)
    axis.legend(frameon=False)
    axes = right.subplots(len(rows), COUNT)
    for line, (name, images) in zip(axes, rows.items(), strict=True):
        for place, image in zip(line, images, strict=True):
            place.imshow(image.numpy(), cmap="gray_r", vmin=-1, vmax=1)
            place.set_xticks([])
            place.set_yticks([])
        line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)


if __name__ == "__main__":
    raise SystemExit(main())
