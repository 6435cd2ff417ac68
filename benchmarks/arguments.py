"""The flags that every benchmark shares, and a method's fields as flags (``--d2dgn.alpha 0.5``)."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import domains
from benchmarks.cell import OPTIONAL, plan
from benchmarks.domains import Domain
from benchmarks.lira import KINDS
from graphforget import catalog
from graphforget.classes import ClassTask
from graphforget.errors import InputError, unknown
from graphforget.task import Task
from graphforget.unlearner import Unlearner

WORDS = {
    "modality": ("NAME", "which modality goes, of --kind modality (the first)"),
    "max_users": ("N", "rank for at most so many users of a part (all)"),
    "partition": ("NAME", "how clients come by their data: dirichlet, iid or shards (dirichlet)"),
    "clients": ("N", "number of clients (10)"),
    "epochs": ("N", "at most so many epochs of training (the task's own recipe)"),
    "batch_size": ("B", "elements a step (the task's own recipe)"),
    "patience": ("P", "stop after so many epochs without a better validation score (the task's own recipe)"),
    "eval_every": ("N", "epochs between two looks at the validation data (the task's own recipe)"),
    "lr": ("LR", "learning rate of training (the task's own recipe)"),
}
ONLY_SOME = ("modality", "max_users", "partition", "clients")  # the others every domain has
TYPES = {"modality": str, "partition": str, "lr": float}  # the others are numbers of something
PARTITIONS = ("dirichlet", "iid", "shards")


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    """Names a default where there is one; None says nothing that the text has not said."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default is None else super()._get_help_string(action)


def parser(dataset: str, domain: Domain) -> argparse.ArgumentParser:
    """Build the parser of one data set's benchmark."""
    made = argparse.ArgumentParser(
        prog=domains.typed(dataset),
        description=f"Unlearn from {domain.subject} on {dataset}: every method beside gold and the noise floor.",
        epilog="A method's fields are flags too: --d2dgn.alpha 0.3. A second row of a method: --also del.h=0.",
        formatter_class=_Help,
    )
    task, kind = next(iter(domain.tasks.items()))
    others = "".join(f"; {value} for --task {name}" for name, value in domain.tasks.items() if name != task)
    add = made.add_argument
    add("--methods", nargs="+", default=list(domain.methods), metavar="KEY[.FIELD=VALUE,...]", help="catalog keys")
    add("--also", nargs="+", default=[], metavar="KEY[.FIELD=VALUE,...]", help="further rows beside those of --methods")
    add("--model", nargs="+", default=[domain.model], metavar="NAME", help=" ".join(domain.models))
    add("--task", default=task, metavar="NAME", help=" or ".join(domain.tasks))
    add("--kind", default=None, metavar="KIND", help=f"what is forgotten: {' '.join(domain.kinds)} ({kind}{others})")
    size = made.add_mutually_exclusive_group()
    size.add_argument(
        "--ratio",
        nargs="+",
        type=float,
        default=None,
        metavar="P",
        help=f"per cent of the train elements ({domain.ratio:g})",
    )
    size.add_argument("--count", nargs="+", type=int, default=None, metavar="N", help="number of elements instead")
    add("--pool", nargs="+", default=["random"], metavar="NAME", help=f"where they are drawn: {' '.join(domain.pools)}")
    add("--seeds", nargs="+", type=int, default=[0, 1, 2], metavar="S", help="seeds of split, request and models")
    add("--golds", type=int, default=3, metavar="K", help="golds a request, at least 2")
    add("--batches", type=int, default=1, metavar="R", help="cut the request into R sequential requests")
    made.set_defaults(**dict.fromkeys(OPTIONAL))
    for name, (letter, text) in WORDS.items():
        if name not in ONLY_SOME or name in domain.flags:
            flag = f"--{name.replace('_', '-')}"
            add(flag, type=TYPES.get(name, int), default=None, metavar=letter, help=text)
    add("--relearn", action="store_true", help="measure relearn time as well (slow)")
    add("--attacks", action="store_true", help="SVC, entropy and ZRF figures of the answers too (labels only)")
    add("--lira", type=int, default=0, metavar="S", help="U-LiRA with S shadows, even, of edges or images (slow)")
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
    add("--workers", type=int, default=1, metavar="N", help="cells at a time, each in a process of one thread")
    add("--ray", action="store_true", help="run the cells on Ray (extra ray) instead of a pool of processes")
    add("--json", action="store_true", help="print JSON lines instead of a table")
    return made


def parse(dataset: str, argv: Sequence[str] | None = None) -> tuple[argparse.Namespace, dict[str, Unlearner]]:
    """Parse the command line into (flags, methods by key).

    Raises:
        InputError: an unknown method, model, pool, kind or flag, with the nearest known name.
    """
    domain = domains.of(dataset)
    made = parser(dataset, domain)
    flags, rest = made.parse_known_args(argv)
    if flags.task not in domain.tasks:
        raise unknown("task", flags.task, tuple(domain.tasks))
    flags.kind = flags.kind or domain.tasks[flags.task]
    for kind, values, known in (
        ("kind", [flags.kind], domain.kinds),
        ("model", flags.model, domain.models),
        ("pool", flags.pool, domain.pools),
    ):
        for value in values:
            if value not in known:
                raise unknown(kind, value, known)
    _check(flags)
    if flags.ratio is None and flags.count is None:
        flags.count = [domain.counts[flags.kind]] if flags.kind in domain.counts else None
        flags.ratio = [domain.ratio] if flags.count is None else None
    fields = read_fields(rest, [option for action in made._actions for option in action.option_strings])
    usual: Mapping[str, Mapping[str, Any]] = domain.fields
    flags.methods, flags.also = ([_canonical(text) for text in texts] for texts in (flags.methods, flags.also))
    keys = {text: text.partition(".")[0] for text in [*flags.methods, *flags.also]}
    methods = {text: method_of(text, {**usual.get(key, {}), **fields.get(key, {})}) for text, key in keys.items()}
    if idle := [key for key in fields if key not in keys.values()]:
        raise InputError(f"--{idle[0]}.… sets a method that is not run; add it to --methods")
    cell = next(plan(dataset, flags))
    runs = catalog.task(flags.task)(**domain.task_with)
    if flags.attacks and not isinstance(runs, ClassTask):
        raise InputError(f"--attacks needs a task with labels (got --task {flags.task}); leave it out")
    _fits(runs, flags.task, methods)
    cell.recipe(domain.recipes[flags.task])  # says what is wrong with a schedule
    return flags, methods


def _check(flags: argparse.Namespace) -> None:
    if flags.golds < 2:
        raise InputError(f"--golds must be at least 2 (got {flags.golds}): one gold has no noise floor")
    if flags.workers < 1:
        raise InputError(f"--workers must be at least 1 (got {flags.workers})")
    if flags.lira % 2 or flags.lira < 0 or (flags.lira and flags.kind != KINDS.get(flags.task)):
        wanted = " or ".join(f"--kind {kind} of --task {task}" for task, kind in KINDS.items())
        raise InputError(f"--lira needs an even number of shadows and {wanted} (got {flags.lira}, --kind {flags.kind})")
    if flags.modality is not None and flags.kind != "modality":
        raise InputError(f"--modality belongs to --kind modality (got --kind {flags.kind}); add it or leave both out")
    if flags.partition is not None and flags.partition not in PARTITIONS:
        raise unknown("partition", flags.partition, PARTITIONS)
    if flags.max_users is not None and flags.max_users < 1:
        raise InputError(f"--max-users must be at least 1 (got {flags.max_users})")


def _fits(runs: Task[Any], task: str, methods: Mapping[str, Unlearner]) -> None:
    """Refuse a method of another domain before anything is trained."""
    for key, method in methods.items():
        if missing := [need.__name__ for need in method.needs if not isinstance(runs, need)]:
            raise InputError(f"{key} needs a task that is {missing[0]} (got --task {task}); leave it out of --methods")


def _canonical(text: str) -> str:
    """``KEY.FIELD=VALUE,...`` with the catalog's own key, under which lines are written."""
    key, dot, settings = text.partition(".")
    return catalog.canonical(key) + dot + settings


def method_of(text: str, usual: Mapping[str, Any] | None = None) -> Unlearner:
    """Build a method from ``KEY`` or ``KEY.FIELD=VALUE,FIELD=VALUE``; other fields as usual, else by their defaults.

    Example:
        >>> method_of("finetune.epochs=5,lr=0.1")
        FineTune(epochs=5, lr=0.1)
    """
    key, dot, settings = _canonical(text).partition(".")
    fields = read_fields([f"--{key}.{setting}" for setting in settings.split(",")])[key] if dot else {}
    made: Unlearner = catalog.method(key)(**{**(usual or {}), **fields})
    return made


def read_fields(rest: Sequence[str], options: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
    """Read ``--method.field value`` pairs by the field's type."""
    found: dict[str, dict[str, Any]] = {}
    words = [part for word in rest for part in (word.split("=", 1) if word.startswith("--") else [word])]
    while words:
        flag = words.pop(0)
        key, dot, name = flag.removeprefix("--").partition(".")
        if not flag.startswith("--") or not dot:
            raise unknown("flag", flag, tuple(options))
        key = catalog.canonical(key)
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
