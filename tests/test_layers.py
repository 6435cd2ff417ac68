"""Imports point one way.

The syntax trees of graphforget, recsys and benchmarks are walked, imports inside functions included (those under
``if TYPE_CHECKING`` never run and are left out). A module may import what stands on a lower rung of ``LADDER``, and
nothing on its own rung but its own package. A module that the ladder does not name fails: put it on its rung.
"""

from __future__ import annotations

import ast
import configparser
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("graphforget", "recsys", "benchmarks")

# From the ground up. A name without a dot is graphforget.NAME; "door" is graphforget/__init__.py, as others import it.
LADDER = """
errors whole
checked
kernels losses metrics intervals unpickle resolve page folders
download idx vocabulary
graph sparse
forget splits elements
store
mapped
parallel
checkpoint
region
train
fresh hessian
task
classes samples values
row_interop
strangers distill
calibrate
remembered
unlearner
local
disk_tables
attack relearn comeback
membership
cost
report
evidence
methods
trial
gnn vision regression influence llm federated continual diffusion valuation tabular active search fewshot recsys
catalog
api
text
door
deletion demo
cli
__main__
benchmarks
"""
RUNGS = {name: rung for rung, line in enumerate(LADDER.split("\n")) for name in line.split()}

# The rooms of a package on the domains' rung: its papers import them, they import no paper.
ROOMS = {
    "task",
    "data",
    "models",
    "metrics",
    "sparse",
    "interop",
    "cards",
    "readers",
    "synthetic",
    "selectors",
    "structure",
    "tables",
    "mixed",
    "writers",
    "derived",
    "profile",
    "relations",
    "sampler",
    "loaders",
    "minibatch",
    "linear",
    "convex",
    "clients",
    "history",
    "rounds",
    "tokens",
    "losses",
    "descent",
    "prompts",
    "antisamples",
    "corpora",
    "adapters",
    "sampling",
    "erasure",
    "attention",
    "utility",
    "seen",
    "profiles",
    "space",
    "games",
    "table",
    "associations",
    "efficacy",
    "attribution",
}
ON_PAPERS = {"flower_interop"}  # a bridge that runs a paper's method inside the other package
DOMAINS = next(set(line.split()) for line in LADDER.split("\n") if "recsys" in line.split())

IMPORTED_AS = {"scikit-learn": "sklearn"}  # where a distribution's name is not the module's
PRIVATE = ("/" + "work/", ".." + "/shared")  # in two parts: this file is searched too


class Import(NamedTuple):
    """One imported module, as written somewhere."""

    target: str  # absolute dotted name
    line: int
    lazy: bool  # inside a function


class Module(NamedTuple):
    """One of our files."""

    name: str  # dotted; a package's name is that of its __init__.py
    path: Path
    imports: tuple[Import, ...]


def modules(root: Path) -> list[Module]:
    """Parse every module of ours under ``root``."""
    files = {
        path: _dotted(path.relative_to(root)) for package in PACKAGES for path in sorted((root / package).rglob("*.py"))
    }
    ours = {prefix for name in files.values() for prefix in _prefixes(name)}
    return [Module(name, path, tuple(_imports(path, name, ours))) for path, name in files.items()]


def _dotted(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _prefixes(name: str) -> Iterator[str]:
    parts = name.split(".")
    return (".".join(parts[:count]) for count in range(1, len(parts) + 1))


def _imports(path: Path, name: str, ours: set[str]) -> Iterator[Import]:
    """Yield what a file imports; ``from package import thing`` is package.thing where that is a module of ours."""

    def visit(node: ast.AST, lazy: bool) -> Iterator[Import]:
        if isinstance(node, ast.If) and ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}:
            for child in node.orelse:
                yield from visit(child, lazy)
            return
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno, lazy) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, name, is_package=path.name == "__init__.py")
            for alias in node.names:
                target = f"{base}.{alias.name}"
                yield Import(target if target in ours else base, node.lineno, lazy)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            yield from (
                Import(each.value, node.lineno, lazy)
                for each in node.args[:1]
                if isinstance(each, ast.Constant) and isinstance(each.value, str)
            )
        inside = lazy or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        for child in ast.iter_child_nodes(node):
            yield from visit(child, inside)

    return visit(ast.parse(path.read_text(encoding="utf-8")), False)


def _absolute(node: ast.ImportFrom, name: str, *, is_package: bool) -> str:
    if not node.level:
        return node.module or ""
    parts = name.split(".") if is_package else name.split(".")[:-1]
    parts = parts[: len(parts) - (node.level - 1)]
    return ".".join([*parts, node.module] if node.module else parts)


def place(name: str) -> str:
    """Return the ladder's word for a module: graphforget.gnn.task is gnn, recsys.data is recsys."""
    parts = name.split(".")
    if parts[0] != "graphforget":
        return parts[0]
    return parts[1] if len(parts) > 1 else "door"


def is_interop(name: str) -> bool:
    """Say whether a module is one that bridges to other packages, and may import them at its top."""
    last = name.split(".")[-1]
    return last == "interop" or last.endswith("_interop")


def is_room(name: str) -> bool:
    """Say whether a module of a domain is one of the rooms that its papers stand on."""
    parts = name.split(".")
    inner = parts[2:] if parts[0] == "graphforget" else parts[1:]
    return bool(inner) and (inner[0] in ROOMS or (is_interop(name) and inner[0] not in ON_PAPERS))


def unnamed(root: Path) -> list[str]:
    """List the modules that the ladder does not name."""
    missing = {place(module.name) for module in modules(root)} - set(RUNGS)
    return [f"{name}: put it on its rung of the ladder" for name in sorted(missing)]


def upward(root: Path) -> list[str]:
    """List the imports that do not point down the ladder."""
    found = []
    for module in modules(root):
        own = place(module.name)
        for each in module.imports:
            if each.target.split(".")[0] not in PACKAGES or own not in RUNGS:
                continue
            at, other = f"{module.path.relative_to(root)}:{each.line}", place(each.target)
            if module.name == "graphforget":
                if not each.lazy and other != "errors":
                    found.append(f"{at}: graphforget/__init__.py imports {each.target} before it is asked for")
            elif other == own:
                if own in DOMAINS and is_room(module.name) and not is_room(each.target):
                    found.append(f"{at}: {module.name} is a room, {each.target} stands on it")
            elif RUNGS.get(other, sys.maxsize) >= RUNGS[own]:
                found.append(f"{at}: {module.name} imports {each.target}, which does not stand below it")
    return found


def optional(root: Path, core: set[str]) -> list[str]:
    """List what a core install could not import: optional packages at the top of a module that is no interop."""

    def foreign(each: Import) -> bool:
        top = each.target.split(".")[0]
        return not each.lazy and top not in core and top not in PACKAGES and top not in sys.stdlib_module_names

    everything = [module for module in modules(root) if not module.name.startswith("benchmarks")]
    bridges = {module.name for module in everything if is_interop(module.name) and any(map(foreign, module.imports))}
    return [
        f"{module.path.relative_to(root)}:{each.line}: {each.target} at the top; import it inside the function"
        for module in everything
        if not is_interop(module.name)
        for each in module.imports
        if foreign(each) or (each.target in bridges and not each.lazy)
    ]


def core_packages(setup_cfg: Path) -> set[str]:
    """Read the modules that a core install brings from setup.cfg's install_requires."""
    config = configparser.ConfigParser()
    config.read(setup_cfg, encoding="utf-8")
    lines = config["options"]["install_requires"].split("\n")
    names = [match[0] for line in lines if (match := re.match(r"[\w-]+", line))]
    return {IMPORTED_AS.get(name, name.replace("-", "_")) for name in names}


# --- the project itself


def test_the_ladder_names_every_module():
    assert unnamed(ROOT) == []


def test_no_import_points_upward():
    assert upward(ROOT) == []


def test_a_core_install_can_import_everything_but_the_bridges():
    assert optional(ROOT, core_packages(ROOT / "setup.cfg")) == []


def test_kernels_know_no_tensors():
    kernels = [module for module in modules(ROOT) if place(module.name) == "kernels"]
    assert [(m.name, e.target) for m in kernels for e in m.imports if e.target.split(".")[0].startswith("torch")] == []


def test_every_package_folder_is_found_by_the_packaging():
    folders = {module.path.parent for module in modules(ROOT)}
    assert [str(folder.relative_to(ROOT)) for folder in sorted(folders) if not (folder / "__init__.py").is_file()] == []


def test_no_file_names_a_private_workplace():
    files = [path for folder in (*PACKAGES, "tests") for path in (ROOT / folder).rglob("*.py")]
    files += [path for pattern in ("*.md", "*.cfg", "*.toml", "*.txt", "Makefile") for path in ROOT.glob(pattern)]
    texts = {path: path.read_text(encoding="utf-8") for path in files}
    assert [str(path.relative_to(ROOT)) for path, text in texts.items() if any(each in text for each in PRIVATE)] == []


# --- the logic, on made-up trees


def write(root: Path, **files: str) -> Path:
    """Write modules; a double underscore in a name is a folder: gnn__task is graphforget/gnn/task.py."""
    for name, text in files.items():
        parts = name.split("__")
        folder = root if parts[0] in PACKAGES else root / "graphforget"
        path = folder.joinpath(*parts[:-1], "__init__.py" if parts[-1] == "init" else f"{parts[-1]}.py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


@pytest.mark.parametrize(
    "line",
    [
        "from graphforget.task import Task",
        "from graphforget import task",
        "import graphforget.task",
        "from .task import Task",
        "def late():\n    from graphforget.task import Task",
        "class A:\n    def late(self):\n        import graphforget.task as t",
        "import importlib\nimportlib.import_module('graphforget.task')",
        "if True:\n    from graphforget.task import Task",
        "try:\n    import graphforget.task\nexcept ImportError:\n    raise",
        "from graphforget import Task",  # a public name, from the door
        "import recsys",
        "from benchmarks.cora import main",
    ],
)
def test_an_upward_import_is_caught(tmp_path, line):
    write(tmp_path, task="", recsys__init="", benchmarks__cora="", graph=line)
    assert len(upward(tmp_path)) == 1
    assert "graph.py" in upward(tmp_path)[0]


@pytest.mark.parametrize(
    "line",
    [
        "from graphforget.errors import InputError",
        "from graphforget import errors",
        "from .kernels import csr",
        "from graphforget.kernels.csr import build",
        "import torch",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from graphforget.task import Task",
    ],
)
def test_a_downward_import_is_free(tmp_path, line):
    write(tmp_path, errors="", kernels__init="", kernels__csr="", task="", graph=line)
    assert upward(tmp_path) == []


def test_neighbours_on_a_rung_do_not_import_each_other(tmp_path):
    write(tmp_path, losses="", metrics="from graphforget import losses")
    write(
        tmp_path, vision__task="", gnn__task="import graphforget.vision.task", recsys__mf="import graphforget.gnn.task"
    )
    assert [text.split(":")[0] for text in upward(tmp_path)] == [
        str(Path("graphforget/gnn/task.py")),
        str(Path("graphforget/metrics.py")),
        str(Path("recsys/mf.py")),
    ]


def test_a_room_does_not_import_a_paper(tmp_path):
    write(tmp_path, gnn__utu="from graphforget.gnn import task", gnn__task="from graphforget.gnn.models import GCN")
    write(tmp_path, gnn__models="", recsys__mmrecun="", recsys__models__mf="from recsys.mmrecun import MMRecUN")
    write(tmp_path, gnn__data="from graphforget.gnn import UtU")  # through the package's own door
    found = upward(tmp_path)
    assert len(found) == 2
    assert "graphforget.gnn.data is a room" in found[0]
    assert "recsys.models.mf is a room" in found[1]


def test_the_front_door_is_lazy(tmp_path):
    write(tmp_path, errors="", api="", init="from graphforget.errors import InputError\nfrom graphforget import api")
    assert len(upward(tmp_path)) == 1
    write(tmp_path, init="def __getattr__(name):\n    from graphforget import api\n    return getattr(api, name)")
    assert upward(tmp_path) == []


def test_a_module_without_a_rung_is_caught(tmp_path):
    write(tmp_path, helpers="", errors="")
    assert unnamed(tmp_path) == ["helpers: put it on its rung of the ladder"]


def test_optional_packages_stay_inside_functions_and_bridges(tmp_path):
    write(
        tmp_path, gnn__interop="import dgl", recsys__recbole_interop="import recbole", gnn__task="import json, torch.nn"
    )
    write(tmp_path, gnn__data="def load():\n    import ogb\n    from graphforget.gnn import interop")
    assert optional(tmp_path, {"torch"}) == []
    write(tmp_path, gnn__models="import dgl.nn", gnn__utu="from graphforget.gnn.interop import to_dgl")
    found = optional(tmp_path, {"torch"})
    assert len(found) == 2
    assert "dgl.nn at the top" in found[0]
    assert "graphforget.gnn.interop at the top" in found[1]


def test_core_packages_are_read_from_setup_cfg(tmp_path):
    text = "[options]\ninstall_requires =\n    torch>=2.4\n    torch-geometric>=2.5\n    scikit-learn\n"
    (tmp_path / "setup.cfg").write_text(text, encoding="utf-8")
    assert core_packages(tmp_path / "setup.cfg") == {"torch", "torch_geometric", "sklearn"}
