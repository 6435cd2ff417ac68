"""``make figures``: every sweep behind the README, resumable, with its predicted minutes first.

``python -m benchmarks.figures --tables`` prints every table from the results that are there and marks what has not been
run; ``--write README.md benchmarks/results/README.md`` puts them between their markers.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from benchmarks import (
    active,
    cifar10_stream,
    clinc,
    comeback,
    diffusion_pictures,
    kernels,
    letters,
    scale,
    search,
    series,
    tabsyndex,
    valuation,
)
from benchmarks.arguments import parse
from benchmarks.cell import plan
from benchmarks.claims import claims
from benchmarks.domains import typed
from benchmarks.glance import glance
from benchmarks.markdown import table
from benchmarks.output import kept
from benchmarks.runner import main as run_benchmark
from benchmarks.speed import markdown
from graphforget.report import Report

RESULTS = Path("benchmarks/results")
TRAIN_SECONDS = {  # one model to convergence on two cores: of a gcn for links, and of a recommender by its model
    "cora": 8, "citeseer": 8, "dblp": 45, "cs": 110, "computers": 40, "digits": 5,
    "ml_posters bpr": 17, "ml_posters lightgcn": 75, "ml_posters freedom": 100, "ml_posters mgcn": 320,
    "gowalla lightgcn": 670, "mnist": 12, "notmnist": 12, "cifar10": 420,
    "federated_digits_images": 7, "federated_mnist": 27, "federated_cifar10": 60,
    "kin8nm": 6, "power_plant": 8, "stsb": 15, "digits_angle": 6, "ett": 5, "mnist_3v8": 3, "mnist_3v8_small": 3,
    "adult": 3, "restor": 25, "tofu": 25, "digits_diffusion": 65,
}  # fmt: skip
WORTH = {  # all methods together, in trainings
    "link": 1.0,
    "node": 1.0,
    "recommend": 2.5,
    "image": 2.0,
    "federated": 4.0,
    "language": 2.0,
    "restoration": 2.0,
    "noise": 3.0,
    "regression": 2.0,
    "linear": 2.0,
    "sparse": 2.0,
}


@dataclass(frozen=True)
class Sweep:
    """One command of the README.

    Args:
        name: of the results file and of the README's marker.
        dataset: which benchmark.
        flags: its command line.
        title: above the table.
    """

    name: str
    dataset: str
    flags: str
    title: str

    @property
    def out(self) -> Path:
        """The JSON lines."""
        return RESULTS / f"{self.name}.jsonl"

    @property
    def command(self) -> str:
        """What a reader types."""
        return f"{typed(self.dataset)} {self.flags} --out {self.out}"

    def cells(self) -> int:
        """Number of (request, seed) cells."""
        return len(list(plan(self.dataset, parse(self.dataset, self.flags.split())[0])))

    def minutes(self) -> float:
        """Predicted minutes on two cores: an original and the golds of every cell, and what all methods are worth."""
        flags = parse(self.dataset, self.flags.split())[0]
        trainings = int(flags.golds) * int(flags.batches) + 1 + WORTH[flags.task]
        node = 0.2 if flags.task == "node" else 1.0
        usual = TRAIN_SECONDS.get(self.dataset, 30)
        seconds = [TRAIN_SECONDS.get(f"{self.dataset} {cell.model}", usual) for cell in plan(self.dataset, flags)]
        return sum(seconds) * trainings * node / 60


LEGACY = "--pool in_legacy out_legacy"
ONE_CLASS = "--task node --kind node_class --count 1"
MODELS = "--model bpr lightgcn freedom"
QUICK = "--methods retrain utu d2dgn_calibrated --d2dgn_calibrated.refresh 0 --d2dgn_calibrated.epochs 10"
VARIANTS = ("-quick", "-longer", "-released")  # the same requests with other settings: not in the tables at a glance
REPORTED = "--seeds 1 2 3"  # our constants for rankings were chosen on seed 0
FIXED = (  # a million interactions: no early stop, seldom a look at the validation data, and few methods
    "--seeds 0 --golds 2 --epochs 100 --batch-size 65536 --patience 100 --eval-every 25 --max-users 2000"
    " --methods retrain row_reset finetune mmrecun mmrecun_calibrated"
)
NOISE = (  # fixed epochs: with early stopping a network hardly learns labels that are wrong
    "--kind label_noise --epochs 60 --patience 60 --eval-every 59 --golds 2"
    " --methods retrain finetune gradient_ascent ssd duck salun del d2dgn_calibrated"
)
SOME = "--methods retrain finetune gradient_ascent ssd duck salun del d2dgn_calibrated"
CONTROLS = "--also del.criterion=random del.granularity=param del.criterion=random,granularity=param"
TWIN = "pgu.gamma=0,lr=0.1,last_lr=0.02,most_lost=1"  # without its projection; the rate of its acceptance test
RESNET = (  # a fixed number of epochs, 14 s each on one core; none of the short methods may take three of them
    "--model resnet18 --epochs 30 --patience 30 --eval-every 29 --golds 2"
    " --methods retrain finetune ssd duck del d2dgn_calibrated --finetune.epochs 1 --duck.epochs 2 --del.epochs 2"
)
GLANCES = (
    ("glance", ("link", "node")),
    ("glance-recommend", ("recommend",)),
    ("glance-image", ("image",)),
    ("glance-federated", ("federated",)),
    ("glance-language", ("language", "restoration")),
    ("glance-regression", ("regression",)),
    ("glance-diffusion", ("noise",)),
)
FIRST = "--also features_labels.order=first"
POOLED = f"{REPORTED} --golds 2 --methods retrain finetune gradient_ascent fedaf d2dgn_calibrated"  # not ConDa's kinds
FEDERATED = f"{REPORTED} --golds 2 --methods retrain finetune conda conda_released fed_eraser pga fedaf"
EXACT = "--count 10 200 --seeds 1 2 3 --golds 2"  # golds of a convex fit are one and the same
LANGUAGE = f"{REPORTED} --golds 2"
SPEED = (
    "dblp cs --methods utu gnndelete d2dgn d2dgn_calibrated d2dgn_calibrated.refresh=0,epochs=10",
    "ml_posters --model lightgcn --kind interaction --methods mmrecun mmrecun_calibrated finetune",
    "ml_posters --model freedom --kind interaction --methods mmrecun mmrecun_calibrated finetune",
    "ml_posters --model bpr --kind interaction --methods mmrecun mmrecun_calibrated finetune",
)
SWEEPS = (
    Sweep("cora-edges", "cora", f"--ratio 0.5 2.5 5 {LEGACY} in out --seeds 0 1 2 3 4", "Cora, edges, GCN"),
    Sweep("citeseer-edges", "citeseer", f"--ratio 0.5 2.5 5 {LEGACY} in out", "CiteSeer, edges, GCN"),
    Sweep("dblp-edges", "dblp", f"--ratio 2.5 {LEGACY}", "DBLP, edges, GCN"),
    Sweep("cs-edges", "cs", f"--ratio 2.5 {LEGACY}", "CS, edges, GCN"),
    Sweep("dblp-edges-quick", "dblp", f"--ratio 2.5 {LEGACY} {QUICK}", "DBLP, edges, GCN, ours without its refresh"),
    Sweep("cs-edges-quick", "cs", f"--ratio 2.5 {LEGACY} {QUICK}", "CS, edges, GCN, ours without its refresh"),
    *(
        Sweep(f"{name}-few{end}", name, f"--count 1 3 10 30 {flags}", f"{title}, one to thirty edges, GCN{more}")
        for name, title in (("cora", "Cora"), ("digits", "Digits"))
        for end, flags, more in (
            ("", "--methods retrain utu finetune d2dgn_calibrated", ""),
            ("-quick", QUICK, ", ours without its refresh"),
        )
    ),
    Sweep(
        "cora-attacks",
        "cora",
        "--ratio 2.5 --pool out_legacy --seeds 0 --lira 16 --relearn",
        "Cora, edges, under attack",
    ),
    Sweep("cora-models", "cora", f"--model gat gin --ratio 2.5 {LEGACY} --seeds 0 1 2 3 4", "Cora, edges, GAT and GIN"),
    Sweep("cora-poison", "cora", "--ratio 10 --pool poison --seeds 0 1 2 3 4", "Cora, 10 % planted edges"),
    Sweep("dblp-poison", "dblp", "--ratio 10 --pool poison --seeds 0 1 2 3 4", "DBLP, 10 % planted edges"),
    *(
        Sweep(
            f"{name}-poison-longer",
            name,
            "--ratio 10 --pool poison --seeds 0 1 2 3 4 --methods retrain finetune --finetune.epochs 75",
            f"{title}, 10 % planted edges, fine-tuning as long as ours takes",
        )
        for name, title in (("cora", "Cora"), ("dblp", "DBLP"))
    ),
    Sweep("cora-sequence", "cora", "--ratio 5 --batches 10", "Cora, ten requests of 0.5 %"),
    Sweep(
        "cora-nodes",
        "cora",
        "--task node --count 100 --pool random mislabelled hubs --seeds 0 1 2 3 4",
        "Cora, 100 nodes, node classification",
    ),
    Sweep(
        "citeseer-nodes", "citeseer", "--task node --count 100 --pool random mislabelled hubs", "CiteSeer, 100 nodes"
    ),
    Sweep(
        "computers-nodes", "computers", "--task node --count 100 --pool random mislabelled hubs", "Computers, 100 nodes"
    ),
    Sweep("cora-class", "cora", f"{ONE_CLASS} --seeds 0 1 2 3 4", "Cora, one class"),
    Sweep("citeseer-class", "citeseer", ONE_CLASS, "CiteSeer, one class"),
    Sweep("computers-class", "computers", ONE_CLASS, "Computers, one class"),
    *(
        Sweep(
            f"posters-{kind}",
            "ml_posters",
            f"{MODELS} --kind {kind} --ratio 5 {REPORTED}",
            f"MovieLens with posters, 5 % {what}",
        )
        for kind, what in (
            ("user", "users"),
            ("item", "items"),
            ("user_item", "users and items"),
            ("interaction", "interactions"),
        )
    ),
    *(
        Sweep(
            f"posters-mgcn-{kind}",
            "ml_posters",
            f"--model mgcn --kind {kind} --ratio 5 --seeds 1",
            f"MovieLens with posters, MGCN, 5 % {kind}s",
        )
        for kind in ("user", "interaction")
    ),
    Sweep(
        "posters-modality",
        "ml_posters",
        "--model freedom --kind modality --ratio 5 --seeds 1 2 3",
        "MovieLens with posters, the image features (the first modality) of 5 % of the films",
    ),
    Sweep(
        "gowalla-interaction",
        "gowalla",
        f"--kind interaction --ratio 5 {FIXED}",
        "Gowalla, 5 % interactions, fixed schedule",
    ),
    Sweep("mnist-class", "mnist", f"--kind class {REPORTED} {CONTROLS} {TWIN} duck.repair=2", "MNIST, one class, MLP"),
    Sweep("mnist-subclass", "mnist", f"--kind subclass {REPORTED} {SOME}", "MNIST, one sub-class by k-means, MLP"),
    Sweep("mnist-sample", "mnist", f"--kind sample {REPORTED} {SOME} --also pgu {TWIN}", "MNIST, 10 % images, MLP"),
    Sweep("notmnist-class", "notmnist", f"--kind class {REPORTED}", "notMNIST, one class, MLP"),
    Sweep(
        "cifar10-class",
        "cifar10",
        f"{RESNET} --kind class --seeds 1",
        "CIFAR-10 (JPEG subset), one class of 1,000 images, ResNet-18, fixed schedule",
    ),
    Sweep(
        "mnist-noise",
        "mnist",
        f"{NOISE} {REPORTED}",
        "MNIST, 10 % of the labels wrong, MLP, fixed schedule",
    ),
    Sweep(
        "federated-digits",
        "federated_digits_images",
        f"{REPORTED} --golds 2",
        "Digits with ten clients, one leaves, MLP, 40 rounds",
    ),
    Sweep(
        "federated-digits-class",
        "federated_digits_images",
        f"--kind class {POOLED}",
        "Digits with ten clients, one class leaves, MLP, 40 rounds",
    ),
    Sweep(
        "federated-digits-sample",
        "federated_digits_images",
        f"--kind sample {POOLED}",
        "Digits with ten clients, half of one client's images leave, MLP, 40 rounds",
    ),
    Sweep(
        "federated-mnist", "federated_mnist", f"{FEDERATED}", "MNIST with ten clients, one leaves, small CNN, 20 rounds"
    ),
    Sweep(
        "federated-mnist-backdoor",
        "federated_mnist",
        f"--pool backdoor {FEDERATED}",
        "MNIST with ten clients, the one that planted a backdoor leaves, small CNN, 20 rounds",
    ),
    Sweep(
        "federated-cifar10",
        "federated_cifar10",
        f"{FEDERATED}",
        "CIFAR-10 (JPEG subset) with ten clients, one leaves, small CNN, 20 rounds",
    ),
    Sweep("gowalla-user", "gowalla", f"--kind user --count 1 {FIXED}", "Gowalla, one user, fixed schedule"),
    Sweep("kin8nm", "kin8nm", f"--pool low random {REPORTED}", "Kin8nm, 30 % rows: the lowest targets, or at random"),
    Sweep("power_plant", "power_plant", f"--pool low {REPORTED}", "Power plant, 30 % rows with the lowest targets"),
    Sweep("stsb", "stsb", f"--pool under2 {REPORTED}", "STS-B, all scores under 2"),
    Sweep("digits_angle", "digits_angle", f"--pool low {REPORTED}", "Digits, turned: the 30 % of the smallest angles"),
    Sweep("ett", "ett", f"--pool low {REPORTED}", "ETTh1, the 30 % windows with the lowest targets"),
    Sweep("restor", "restor", LANGUAGE, "RESTOR, ten facts of different people"),
    Sweep(
        "restor-released",
        "restor",
        f"{LANGUAGE} --methods retrain unstar --unstar.retain_mix 0",
        "RESTOR, the same facts, UnSTAR without its retain step, as released",
    ),
    Sweep("restor-corruption", "restor", f"--task restoration {LANGUAGE}", "RESTOR, the false facts of ten people"),
    Sweep("tofu", "tofu", LANGUAGE, "TOFU, ten short answers on different authors"),
    Sweep(
        "digits-diffusion",
        "digits_diffusion",
        f"{REPORTED} --golds 2 --methods retrain finetune esd ablating_concepts forget_me_not sdd",
        "Digits, a diffusion model with cross-attention, the concept 7",
    ),
    Sweep("mnist_3v8", "mnist_3v8", f"{EXACT} {FIRST}", "MNIST 3 against 8, L2"),
    Sweep("adult", "adult", f"--count 200 --seeds 1 2 3 --golds 2 {FIRST}", "Adult, L2"),
    Sweep(
        "mnist_3v8_sparse",
        "mnist_3v8_small",
        f"--task sparse {EXACT} --methods retrain finetune ij prox_ij",
        "MNIST 3 against 8, 14 x 14, L1",
    ),
)


STREAM = "cifar10_stream"
SERIES = {  # benchmarks without a single request: what made the rows, and their columns
    "letters": ("letters", letters.COLUMNS),
    "stream-digits": (f"{STREAM} --data digits_images --model mlp --buffer 200", cifar10_stream.COLUMNS),
    "stream-cora": (f"{STREAM} --data cora --buffer 200 --methods uniclun er only_new", cifar10_stream.COLUMNS),
    "stream-cifar10": (f"{STREAM} --methods uniclun er --epochs 5", cifar10_stream.COLUMNS),
    "clinc": ("clinc --seeds 2 3 4", clinc.COLUMNS),  # seed 1 was seen while the warm start was chosen
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


def tables(sweeps: Sequence[Sweep], documents: Sequence[Path]) -> int:
    """Print the Markdown tables, or write them between ``<!-- NAME -->`` and ``<!-- end NAME -->`` of documents."""
    found = blocks(sweeps)
    if not documents:
        sys.stdout.write("\n\n".join(found.values()) + "\n")
    for document in documents:
        text = document.read_text(encoding="utf-8")
        for name, block in found.items():
            marker = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end {name} -->)", re.DOTALL)
            text = marker.sub(lambda place, block=block: f"{place[1]}{block}\n{place[2]}", text)  # type: ignore[misc]
        document.write_text(text, encoding="utf-8")
    return 0


def blocks(sweeps: Sequence[Sweep]) -> dict[str, str]:
    """Markdown by marker: a folded block a sweep; of all sweeps together also every request at a glance, and cost."""
    reports = {sweep.name: Report.read(sweep.out) if sweep.out.exists() else Report() for sweep in sweeps}
    found = {
        sweep.name: f"<details><summary>{sweep.title}</summary>\n\n`{sweep.command}`\n\n"
        f"{table(reports[sweep.name], sweep.cells())}\n</details>"
        for sweep in sweeps
    }
    if len(sweeps) < len(SWEEPS):
        return found
    for marker, tasks in GLANCES:
        rows = [
            row for name in reports if not name.endswith(VARIANTS) for row in reports[name].rows if row["task"] in tasks
        ]
        found[marker] = glance(Report({}, rows))
        if tasks == ("recommend",):
            found["claims"] = claims(Report({}, rows))
    if (RESULTS / "speed.jsonl").exists():
        rows = kept(RESULTS / "speed.jsonl")
        said = "\n".join(f"python -m benchmarks.speed {words} --out benchmarks/results/speed.jsonl" for words in SPEED)
        found["speed"] = f"```sh\n{said}\n```\n\n{markdown(rows)}\n"
    if (RESULTS / "kernels.jsonl").exists():
        found["kernels"] = kernels.markdown(kept(RESULTS / "kernels.jsonl"))
    if (RESULTS / "scale.jsonl").exists():
        found["scale"] = scale.markdown(kept(RESULTS / "scale.jsonl"))
    return found | companions()


def companions() -> dict[str, str]:
    """Markdown by marker of the commands that have rows of their own form."""
    found = {}
    for name, (command, columns) in SERIES.items():
        if rows := kept(RESULTS / f"{name}.jsonl"):
            found[name] = f"`python -m benchmarks.{command}`\n\n{series.markdown(rows, columns)}\n"
    if (RESULTS / "digits-diffusion.jsonl").exists():
        found["diffusion"] = diffusion_pictures.markdown(Report.read(RESULTS / "digits-diffusion.jsonl"))
    if rows := kept(RESULTS / "comeback.jsonl"):
        found |= {f"comeback-{dataset}": text for dataset, text in comeback.markdown(rows).items()}
    if rows := kept(RESULTS / "search.jsonl"):
        found["search"] = search.markdown(rows)
    if rows := kept(RESULTS / "valuation.jsonl"):
        found["valuation"] = valuation.tables(rows, valuation.SHORT)
        found["valuation-all"] = valuation.tables(rows)
    if rows := kept(RESULTS / "tabsyndex.jsonl"):
        found["tabsyndex"] = tabsyndex.markdown(rows)
    if rows := kept(RESULTS / "active.jsonl"):
        parts = {row["task"] for row in rows}
        found["active"] = "\n\n".join(active.markdown(rows, part) for part in active.PARTS if part in parts)
    return found


if __name__ == "__main__":
    raise SystemExit(main())
