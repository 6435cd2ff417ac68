"""The flags that every benchmark shares, and a method's fields as flags (``--d2dgn.alpha 0.5``)."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from graphforget import catalog
from graphforget.errors import InputError, unknown
from graphforget.gnn.models import MODELS

KINDS = ("edge", "node", "feature", "label", "node_class", "edge_class")
POOLS = ("random", "in", "out", "in_legacy", "out_legacy", "hubs", "low_degree", "poison", "mislabelled")
DEFAULT_METHODS = ("retrain", "finetune", "gradient_ascent", "utu", "gnndelete", "gif", "d2dgn", "d2dgn_calibrated")


def parser(dataset: str) -> argparse.ArgumentParser:
    """Build the parser of one data set's benchmark."""
    made = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{dataset}",
        description=f"Unlearn from a GNN on {dataset}: every method beside gold and the noise floor.",
        epilog="A method's fields are flags too: --d2dgn.alpha 0.3 --gnndelete.epochs 250.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = made.add_argument
    add("--methods", nargs="+", default=list(DEFAULT_METHODS), metavar="KEY", help="catalog keys of the methods")
    add("--model", nargs="+", default=["gcn"], metavar="NAME", help="gcn gat gin sage")
    add("--task", default="link", metavar="NAME", help="link or node")
    add(
        "--kind",
        default=None,
        metavar="KIND",
        help=f"what is forgotten: {' '.join(KINDS)} (edge; node for --task node)",
    )
    size = made.add_mutually_exclusive_group()
    size.add_argument(
        "--ratio", nargs="+", type=float, default=None, metavar="P", help="per cent of the train elements"
    )
    size.add_argument("--count", nargs="+", type=int, default=None, metavar="N", help="number of elements instead")
    add("--pool", nargs="+", default=["random"], metavar="NAME", help=f"where they are drawn: {' '.join(POOLS)}")
    add("--seeds", nargs="+", type=int, default=[0, 1, 2], metavar="S", help="seeds of split, request and models")
    add("--golds", type=int, default=3, metavar="K", help="golds a request, at least 2")
    add("--batches", type=int, default=1, metavar="R", help="cut the request into R sequential requests")
    add("--relearn", action="store_true", help="measure relearn time as well (slow)")
    add("--lira", type=int, default=0, metavar="S", help="U-LiRA with S shadow models, even, edges only (slow)")
    add("--device", default="cpu", help="torch device string")
    add("--data-root", type=Path, default=None, help="folder of the data sets (else GRAPHFORGET_DATA, else ./data)")
    add("--cache", type=Path, default=Path("benchmarks/results/.cache"), help="trained originals and golds")
    add(
        "--out",
        type=Path,
        default=None,
        metavar="FILE",
        help="JSON lines are appended here; finished cells are skipped",
    )
    add("--json", action="store_true", help="print JSON lines instead of a table")
    return made


def parse(dataset: str, argv: Sequence[str] | None = None) -> tuple[argparse.Namespace, dict[str, Any]]:
    """Parse the command line into (flags, methods by key).

    Raises:
        InputError: an unknown method, model, pool, kind or flag, with the nearest known name.
    """
    made = parser(dataset)
    flags, rest = made.parse_known_args(argv)
    flags.kind = flags.kind or ("edge" if flags.task == "link" else "node")
    for kind, values, known in (
        ("task", [flags.task], tuple(catalog.TASKS)),
        ("kind", [flags.kind], KINDS),
        ("model", flags.model, tuple(MODELS)),
        ("pool", flags.pool, POOLS),
    ):
        for value in values:
            if value not in known:
                raise unknown(kind, value, known)
    if flags.golds < 2:
        raise InputError(f"--golds must be at least 2 (got {flags.golds}): one gold has no noise floor")
    if flags.lira % 2 or flags.lira < 0 or (flags.lira and (flags.kind != "edge" or flags.task != "link")):
        raise InputError(f"--lira needs an even number of shadows and edges of --task link (got {flags.lira})")
    if flags.ratio is None and flags.count is None:
        flags.ratio = [2.5]
    fields = _fields(rest, [option for action in made._actions for option in action.option_strings])
    methods = {key: catalog.method(key)(**fields.pop(key, {})) for key in flags.methods}
    if fields:
        raise InputError(f"--{next(iter(fields))}.… sets a method that is not run; add it to --methods")
    return flags, methods


def _fields(rest: Sequence[str], options: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Read ``--method.field value`` pairs by the field's type."""
    found: dict[str, dict[str, Any]] = {}
    words = [part for word in rest for part in (word.split("=", 1) if word.startswith("--") else [word])]
    while words:
        flag = words.pop(0)
        key, dot, name = flag.removeprefix("--").partition(".")
        if not flag.startswith("--") or not dot:
            raise unknown("flag", flag, tuple(options))
        known = {field.name: field for field in dataclasses.fields(catalog.method(key))}
        if name not in known:
            raise unknown(f"field of {key}", name, tuple(known))
        if not words:
            raise InputError(f"{flag} needs a value")
        found.setdefault(key, {})[name] = _value(flag, str(known[name].type), words.pop(0))
    return found


def _value(flag: str, kind: str, text: str) -> Any:
    if kind == "bool":
        if text.lower() not in ("true", "false"):
            raise InputError(f"{flag} must be true or false (got {text!r})")
        return text.lower() == "true"
    if "None" in kind and text.lower() == "none":
        return None
    try:
        return int(text) if kind.startswith("int") else float(text) if kind.startswith("float") else text
    except ValueError as error:
        raise InputError(f"{flag} must be of type {kind} (got {text!r})") from error
