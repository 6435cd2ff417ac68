"""``make figures``: every sweep behind the README, resumable, with its predicted minutes first.

``python -m benchmarks.figures --tables`` prints every table from the results that are there and marks what has not been
run; ``--write README.md benchmarks/results/README.md`` puts them between their markers.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmarks import (
    active,
    cifar10_stream,
    clinc,
    comeback,
    diffusion_pictures,
    kernels,
    klom,
    letters,
    scale,
    search,
    series,
    sweeps,
    tabsyndex,
    valuation,
)
from benchmarks.claims import claims
from benchmarks.glance import glance
from benchmarks.markdown import table
from benchmarks.output import kept
from benchmarks.runner import main as run_benchmark
from benchmarks.speed import markdown
from benchmarks.sweeps import SWEEPS, Sweep
from graphforget.report import Report

VARIANTS = ("-quick", "-longer", "-released", "-budget", "-online")  # of requests that others have: in no glance
GLANCES = (
    ("glance", ("link", "node")),
    ("glance-recommend", ("recommend",)),
    ("glance-image", ("image",)),
    ("glance-federated", ("federated",)),
    ("glance-language", ("language", "restoration")),
    ("glance-regression", ("regression",)),
    ("glance-diffusion", ("noise",)),
)
SPEED = (
    "dblp cs --methods utu gnndelete d2dgn d2dgn_calibrated d2dgn_calibrated.refresh=0,epochs=10",
    "ml_posters --model MODEL --kind interaction --methods mmrecun mmrecun_calibrated finetune",
    "ml_posters --model MODEL --kind KIND --methods row_reset mmrecun mmrecun_calibrated",
)
STREAM = "cifar10_stream"
SERIES = {  # benchmarks without a single request: what made the rows, and their columns
    "letters": ("letters", letters.COLUMNS),
    "letters-mnist": ("letters --data mnist", letters.WIDER),
    "stream-digits": (f"{STREAM} --data digits_images --model mlp --buffer 200", cifar10_stream.COLUMNS),
    "stream-cora": (f"{STREAM} --data cora --buffer 200 --methods uniclun er only_new", cifar10_stream.COLUMNS),
    "stream-cifar10": (f"{STREAM} --methods uniclun er --epochs 5", cifar10_stream.COLUMNS),
    "clinc": ("clinc --seeds 2 3 4", clinc.COLUMNS),  # seed 1 was seen while the warm start was chosen
    "banking77": ("clinc --data banking77 --seeds 2 3 4", clinc.COLUMNS),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the sweeps, or print or write their tables; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.figures", description=__doc__)
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", choices=[sweep.name for sweep in SWEEPS], help="some sweeps"
    )
    parser.add_argument("--plan", action="store_true", help="print the predicted minutes and stop")
    parser.add_argument("--tables", action="store_true", help="print the tables of what is there")
    parser.add_argument(
        "--write", nargs="+", type=Path, default=[], metavar="FILE", help="put the tables between a document's markers"
    )
    flags = parser.parse_args(argv)
    chosen = [sweep for sweep in SWEEPS if not flags.only or sweep.name in flags.only]
    if flags.tables or flags.write:
        return tables(chosen, flags.write)
    console = Console(stderr=True)
    for sweep in chosen:
        console.print(f"{sweep.name:24} {sweep.cells():3} cells, about {sweep.minutes():5.0f} min", highlight=False)
    console.print(
        f"in all about {sum(sweep.minutes() for sweep in chosen):.0f} min on two cores; finished cells are kept"
    )
    if flags.plan:
        return 0
    return max(run_benchmark(sweep.dataset, [*sweep.flags.split(), "--out", str(sweep.out)]) for sweep in chosen)


def tables(chosen: Sequence[Sweep], documents: Sequence[Path]) -> int:
    """Print the Markdown tables, or write them between ``<!-- NAME -->`` and ``<!-- end NAME -->`` of documents."""
    found = blocks(chosen)
    if not documents:
        sys.stdout.write("\n\n".join(found.values()) + "\n")
    for document in documents:
        text = document.read_text(encoding="utf-8")
        for name, block in found.items():
            marker = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end {name} -->)", re.DOTALL)
            text = marker.sub(lambda place, block=block: f"{place[1]}{block}\n{place[2]}", text)  # type: ignore[misc]
        document.write_text(text, encoding="utf-8")
    return 0


def blocks(chosen: Sequence[Sweep]) -> dict[str, str]:
    """Markdown by marker: a folded block a sweep; of all sweeps together also every request at a glance, and cost."""
    reports = {sweep.name: Report.read(sweep.out) if sweep.out.exists() else Report() for sweep in chosen}
    found = {
        sweep.name: f"<details><summary>{sweep.title}</summary>\n\n`{sweep.command}`\n\n"
        f"{table(reports[sweep.name], sweep.cells())}\n</details>"
        for sweep in chosen
    }
    if len(chosen) < len(SWEEPS):
        return found
    for marker, tasks in GLANCES:
        rows = [
            row for name in reports if not name.endswith(VARIANTS) for row in reports[name].rows if row["task"] in tasks
        ]
        found[marker] = glance(Report({}, rows))
        if tasks == ("recommend",):
            found["claims"] = claims(Report({}, rows), kept(sweeps.RESULTS / "speed.jsonl"))
    if (sweeps.RESULTS / "speed.jsonl").exists():
        rows = kept(sweeps.RESULTS / "speed.jsonl")
        said = "\n".join(f"python -m benchmarks.speed {words} --out benchmarks/results/speed.jsonl" for words in SPEED)
        found["speed"] = f"```sh\n{said}\n```\n\n{markdown(rows)}\n"
    if (sweeps.RESULTS / "kernels.jsonl").exists():
        rows = kept(sweeps.RESULTS / "kernels.jsonl")
        found["kernels"] = f"{kernels.markdown(kernels.largest(rows))}\n"
        found["kernels-all"] = f"{kernels.markdown(rows)}\n"
    if (sweeps.RESULTS / "scale.jsonl").exists():
        found["scale"] = scale.markdown(kept(sweeps.RESULTS / "scale.jsonl"))
    return found | companions()


def companions() -> dict[str, str]:
    """Markdown by marker of the commands that have rows of their own form."""
    found = {}
    for name, (command, columns) in SERIES.items():
        if rows := kept(sweeps.RESULTS / f"{name}.jsonl"):
            found[name] = f"`python -m benchmarks.{command}`\n\n{series.markdown(rows, columns)}\n"
    if (sweeps.RESULTS / "digits-diffusion.jsonl").exists():
        found["diffusion"] = diffusion_pictures.markdown(Report.read(sweeps.RESULTS / "digits-diffusion.jsonl"))
    if rows := kept(sweeps.RESULTS / "comeback.jsonl"):
        found |= {f"comeback-{dataset}": text for dataset, text in comeback.markdown(rows).items()}
    if rows := kept(sweeps.RESULTS / "klom.jsonl"):
        found["klom"] = f"{klom.markdown(rows)}\n"
    if rows := kept(sweeps.RESULTS / "search.jsonl"):
        found["search"] = search.markdown(rows)
    if rows := kept(sweeps.RESULTS / "valuation.jsonl"):
        found["valuation"] = valuation.tables(rows, valuation.SHORT)
        found["valuation-all"] = valuation.tables(rows)
    if rows := kept(sweeps.RESULTS / "tabsyndex.jsonl"):
        found["tabsyndex"] = tabsyndex.markdown(rows)
    if rows := kept(sweeps.RESULTS / "active.jsonl"):
        parts = {row["task"] for row in rows}
        found["active"] = "\n\n".join(active.markdown(rows, part) for part in active.PARTS if part in parts)
    return found


if __name__ == "__main__":
    raise SystemExit(main())
