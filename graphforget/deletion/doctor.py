"""``graphforget doctor``: what is installed, what is broken in this environment, and the remedy.

What a package needs is read from graphforget's own metadata. The traps that were met in practice are tried out rather
than looked up: whether DGL finds its compiled part, whether RecBole runs beside this numpy, what ``torch.load`` does
with a file that holds a program.
"""

from __future__ import annotations

import importlib
import io
import os
import pickle
import re
import sqlite3
import sys
from collections.abc import Iterator
from importlib import metadata, util
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from rich.markup import escape
from rich.table import Table

from graphforget.errors import GraphforgetError
from graphforget.gnn.dgl_interop import choose_pytorch
from graphforget.kernels.pairs import pair_dot

Status = Literal["ok", "missing", "broken", "note"]
BROKEN_IMPORT = (ImportError, OSError, AttributeError, RuntimeError, TypeError, ValueError)
BESIDE = {"recbole": "pip install --no-deps recbole==1.2.1"}  # not in its extra: its own pins clash
SKIPPED = ("all", "dev")
ORDER: tuple[Status, ...] = ("broken", "note", "missing", "ok")


class Finding(BaseModel):
    """One line of the diagnosis.

    Args:
        name: of the package or of what was tried.
        group: core, the name of an extra, or environment.
        status: ok, missing (an optional package), broken, or note (works, but know this).
        version: that is installed.
        detail: what was found.
        remedy: a command or an action; "" where none is needed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    group: str
    status: Status
    version: str = ""
    detail: str = ""
    remedy: str = ""


class Diagnosis(BaseModel):
    """Everything that was looked at.

    Args:
        python: its version.
        findings: packages first, then the environment.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    python: str
    findings: tuple[Finding, ...]

    @property
    def healthy(self) -> bool:
        """Is nothing broken; missing optional packages are no illness."""
        return not any(each.status == "broken" for each in self.findings)


def diagnose() -> Diagnosis:
    """Look at the installed packages and try out what is known to break.

    Example:
        >>> found = diagnose()
        >>> {each.name for each in found.findings if each.group == "core"} >= {"torch", "numpy", "safetensors"}
        True
    """
    needed = metadata.requires("graphforget") or []
    findings = list(packages(needed))
    tried = (loading(), kernels(), database(), data_folder(), accelerator())
    findings += [dgl(), recbole(), *tried]
    return Diagnosis(python=sys.version.split()[0], findings=tuple(findings))


def table(diagnosis: Diagnosis) -> Table:
    """Return the diagnosis for a terminal: what needs attention first.

    Args:
        diagnosis: of :func:`diagnose`.
    """
    shown = Table(title=f"graphforget on Python {diagnosis.python}", title_justify="left")
    for name in ("what", "part of", "status", "version", "found", "remedy"):
        shown.add_column(name, overflow="fold")
    for each in sorted(diagnosis.findings, key=lambda each: ORDER.index(each.status)):
        cells = (each.name, each.group, each.status, each.version, each.detail, each.remedy)
        shown.add_row(*map(escape, cells), style={"broken": "red", "missing": "dim"}.get(each.status, ""))
    return shown


def packages(needed: list[str]) -> Iterator[Finding]:
    """Yield a finding for every package that graphforget or one of its extras names.

    Args:
        needed: requirements as ``importlib.metadata`` writes them.

    Example:
        >>> [each.status for each in packages(["numpy>=1.0", "no-such-package>=1; extra == 'x'", "numpy>=999"])]
        ['ok', 'missing', 'broken']
    """
    for line in needed:
        found = re.match(r"\s*([\w.-]+)\s*(?:\[[^\]]*\])?\s*\(?([^;)]*)\)?\s*(?:;(.*))?$", line)
        if not found:
            continue
        name, wanted, marker = found[1], found[2].strip(), found[3] or ""
        extra = re.search(r"extra == ['\"]([\w-]+)['\"]", marker)
        if name == "graphforget" or (extra and extra[1] in SKIPPED):
            continue
        yield _package(name, wanted, extra[1] if extra else "")


def _package(name: str, wanted: str, extra: str) -> Finding:
    group = extra or "core"
    remedy = f"pip install 'graphforget[{extra}]'" if extra else f"pip install '{name}{wanted}'"
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Finding(
            name=name, group=group, status="missing" if extra else "broken", detail="not installed", remedy=remedy
        )
    lacking = [each for each in wanted.split(",") if each and not _satisfies(version, each.strip())]
    if lacking:
        detail = f"needs {wanted}"
        return Finding(
            name=name,
            group=group,
            status="broken",
            version=version,
            detail=detail,
            remedy=f"pip install '{name}{wanted}'",
        )
    return Finding(name=name, group=group, status="ok", version=version)


def _satisfies(version: str, wanted: str) -> bool:
    """Whether a release meets ``>=`` or ``==``; other operators are left to pip."""
    have, (operator, bound) = _release(version), (wanted[:2], _release(wanted[2:]))
    if operator == "==":
        return have[: len(bound)] == bound
    return have >= bound if operator == ">=" else True


def _release(version: str) -> tuple[int, ...]:
    digits = re.match(r"\s*(\d+(?:\.\d+)*)", version)
    return tuple(int(each) for each in digits[1].split(".")) if digits else ()


def dgl() -> Finding:
    """Whether DGL imports; from 2.0 on it needs a compiled part, graphbolt, for this very torch."""
    spec = util.find_spec("dgl")
    if spec is None or spec.origin is None:
        return Finding(name="dgl graphbolt", group="environment", status="ok", detail="DGL is not installed")
    choose_pytorch()
    return graphbolt(Path(spec.origin).parent, torch.__version__) or tried("dgl", GRAPHBOLT_REMEDY)


GRAPHBOLT_REMEDY = "pip install 'dgl==1.1.3' packaging (the newest release that imports beside current torch)"


def graphbolt(folder: Path, torch_version: str) -> Finding | None:
    """Return what is wrong with DGL's graphbolt, None where it is not there or fits.

    Args:
        folder: of the package dgl.
        torch_version: as ``torch.__version__`` writes it.
    """
    place = folder / "graphbolt"
    if not place.is_dir():
        return None
    wanted = f"libgraphbolt_pytorch_{torch_version.split('+')[0]}.so"
    built = sorted(each.name for each in place.glob("libgraphbolt_pytorch_*"))
    if wanted in built:
        return None
    newest = built[-1] if built else "none"
    return Finding(
        name="dgl graphbolt",
        group="environment",
        status="broken",
        detail=f"DGL brings no {wanted}, so that `import dgl` fails (newest it brings: {newest})",
        remedy=GRAPHBOLT_REMEDY,
    )


def tried(module: str, remedy: str) -> Finding:
    """Import a package and say how that went.

    Args:
        module: as it is imported.
        remedy: where it fails.

    Example:
        >>> tried("no_such_module", "install it").detail
        "ModuleNotFoundError: No module named 'no_such_module'"
    """
    name = f"import {module}"
    try:
        found = importlib.import_module(module)
    except BROKEN_IMPORT as error:
        detail = f"{type(error).__name__}: {_line(error)}"
        return Finding(name=name, group="environment", status="broken", detail=detail, remedy=remedy)
    return Finding(name=name, group="environment", status="ok", version=str(getattr(found, "__version__", "")))


def recbole() -> Finding:
    """Whether RecBole runs beside this numpy, in the scope that graphforget opens for it."""
    if util.find_spec("recbole") is None:
        return Finding(
            name="recbole on numpy",
            group="environment",
            status="missing",
            detail="RecBole is not installed",
            remedy=f"pip install 'graphforget[recbole]' && {BESIDE['recbole']}",
        )
    from recsys.recbole.compat import compatible

    try:
        with compatible():
            importlib.import_module("recbole.model.general_recommender.bpr")
    except (GraphforgetError, *BROKEN_IMPORT) as error:
        return Finding(
            name="recbole on numpy",
            group="environment",
            status="broken",
            detail=f"{type(error).__name__}: {_line(error)}",
            remedy="install the versions of constraints.txt",
        )
    if hasattr(np, "float_"):
        return Finding(name="recbole on numpy", group="environment", status="ok", detail=f"numpy {np.__version__}")
    return Finding(
        name="recbole on numpy",
        group="environment",
        status="note",
        detail=f"RecBole itself fails on numpy {np.__version__} (no np.float_); graphforget runs it in a scoped shim",
        remedy="wrap your own RecBole calls: with recsys.recbole.compatible(): ...",
    )


def loading() -> Finding:
    """What ``torch.load`` does with a file that holds a program."""
    file = io.BytesIO()
    torch.save({"state": a_function_of_ours}, file)
    file.seek(0)
    try:
        torch.load(file)
    except pickle.UnpicklingError:
        return Finding(
            name="torch weights_only",
            group="environment",
            status="note",
            version=torch.__version__,
            detail="torch.load refuses everything but tensors; checkpoints of whole models do not load",
            remedy="save model.state_dict(), best as safetensors; RecBole's checkpoints load by recsys.recbole",
        )
    return Finding(
        name="torch weights_only",
        group="environment",
        status="broken",
        version=torch.__version__,
        detail="torch.load runs whatever a file says",
        remedy="pip install 'torch>=2.6', or always give weights_only=True",
    )


def a_function_of_ours() -> str:
    """Stand for what a checkpoint of a whole model names: code that loading it would have to find and run."""
    return __name__


def kernels() -> Finding:
    """Whether numba compiles and its cache can be written."""
    rows, ends = np.ones((2, 3), dtype=np.float32), np.array([0, 1])
    try:
        value = float(pair_dot(rows, ends, ends[::-1].copy())[0])
    except (OSError, RuntimeError) as error:
        return Finding(
            name="numba kernels",
            group="environment",
            status="broken",
            detail=f"{type(error).__name__}: {_line(error)}",
            remedy="set NUMBA_CACHE_DIR to a folder that can be written",
        )
    status: Status = "ok" if value == 3 else "broken"
    return Finding(name="numba kernels", group="environment", status=status, detail=f"<1, 1> of 3 numbers is {value:g}")


def database() -> Finding:
    """Whether SQLite has write-ahead logs, which the queue needs."""
    version = sqlite3.sqlite_version
    if _release(version) >= (3, 7):
        return Finding(name="sqlite", group="environment", status="ok", version=version)
    return Finding(
        name="sqlite",
        group="environment",
        status="broken",
        version=version,
        detail="no write-ahead log",
        remedy="use a Python that is built with SQLite 3.7 or newer",
    )


def data_folder() -> Finding:
    """Whether the folder of real data sets is named and there."""
    named = os.environ.get("GRAPHFORGET_DATA", "")
    if not named:
        return Finding(
            name="GRAPHFORGET_DATA",
            group="environment",
            status="note",
            detail="not set: downloads land in ./data",
            remedy="export GRAPHFORGET_DATA=FOLDER to keep data sets in one place",
        )
    if Path(named).is_dir():
        return Finding(name="GRAPHFORGET_DATA", group="environment", status="ok", detail=named)
    return Finding(
        name="GRAPHFORGET_DATA",
        group="environment",
        status="broken",
        detail=f"names no folder (got {named!r})",
        remedy="make the folder, or unset the variable",
    )


def accelerator() -> Finding:
    """Which device torch has; everything runs on the CPU too."""
    cuda = torch.cuda.is_available()
    detail = torch.cuda.get_device_name() if cuda else f"CPU, threads: {torch.get_num_threads()}"
    return Finding(name="device", group="environment", status="ok", detail=detail)


def _line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0][:200]
