"""A small deployment that runs in a blink: a ring of friends, or a few users and films, and a tiny model."""

from __future__ import annotations

from pathlib import Path

import torch

from graphforget.deletion.deployment import Deployment
from graphforget.deletion.keys import Key
from graphforget.deletion.store import Store, create
from graphforget.deletion.verdict import Thresholds
from graphforget.deletion.vocabulary import Vocabulary
from graphforget.gnn.models import GCN
from graphforget.graph import Graph
from graphforget.splits import Splits, split_edges
from graphforget.train import seeded
from recsys.models.lightgcn import LightGCN

KEY = Key(b"a key for the tests, nothing else")
PEOPLE, USERS, ITEMS = 60, 20, 30


def people(count: int = PEOPLE) -> tuple[Splits[Graph], Vocabulary]:
    """A ring with chords; every person has a name that stands nowhere else."""
    ids = torch.arange(count)
    pairs = torch.cat([torch.stack([ids, (ids + step) % count]) for step in (1, 2, 5)], dim=1)
    x = torch.randn(count, 8, generator=torch.Generator().manual_seed(0))
    graph = Graph.from_edges(pairs, count, features={"x": x}, y=ids % 3)
    return split_edges(graph, val=0.1, test=0.1), Vocabulary(
        {"node": tuple(f"person-{row:03d}@home" for row in range(count))}
    )


def shop() -> tuple[Splits[Graph], Vocabulary]:
    """Users and items in two tastes, with times, relations of none, and one modality."""
    generator = torch.Generator().manual_seed(0)
    liked = torch.rand(USERS, ITEMS, generator=generator) < 0.4
    edges = liked.nonzero().T.contiguous()
    part = torch.arange(edges.shape[1]) % 10
    text = torch.randn(ITEMS, 4, generator=generator)
    time = torch.arange(edges.shape[1], dtype=torch.float64)
    whole = Graph(edges, (USERS, ITEMS), bipartite=True, features={"text": text}, edge_attrs={"time": time})
    splits = Splits(whole.with_edges(part < 8), whole.with_edges(part == 8), whole.with_edges(part == 9))
    names = {
        "user": tuple(f"user-{row:03d}" for row in range(USERS)),
        "item": tuple(f"film-{row:03d}" for row in range(ITEMS)),
    }
    return splits, Vocabulary(names)


def tiny_gcn() -> GCN:
    """A GCN for :func:`people`."""
    return GCN(8, 8, 4)


def tiny_lightgcn() -> LightGCN:
    """A LightGCN for :func:`shop`."""
    return LightGCN(USERS, ITEMS, dim=8)


LOOSE = Thresholds(  # untrained models, a handful of elements: what is tested here is the way, not the verdict
    belief=1, attack_auc=0.5, attack_tpr=1, retain_auc=0.5, update_auc=0.5, utility=1e3, accept_stand_in=True
)
FRIENDS = Deployment(
    thresholds=LOOSE,
    factory="tests.deletion.small:tiny_gcn",
    task="link",
    recipe={"epochs": 3, "patience": 3},
    method="finetune",
    settings={"epochs": 2},
    golds=0,
)
FILMS = Deployment(
    thresholds=LOOSE,
    factory="tests.deletion.small:tiny_lightgcn",
    task="recommend",
    recipe={"epochs": 3, "patience": 3, "batch_size": 64},
    method="finetune",
    settings={"epochs": 2},
    golds=0,
)


def friends_store(root: Path, **policy: object) -> Store:
    """A store of :func:`people`."""
    splits, names = people()
    with seeded(0):
        model = tiny_gcn()
    return create(root, Deployment.model_validate(FRIENDS.model_dump() | policy), model, splits, names, KEY)


def films_store(root: Path, **policy: object) -> Store:
    """A store of :func:`shop`."""
    splits, names = shop()
    with seeded(0):
        model = tiny_lightgcn()
    return create(root, Deployment.model_validate(FILMS.model_dump() | policy), model, splits, names, KEY)


def ask(root: Path, *rows: str) -> Path:
    """Write a request file: rows of request_id,subject_kind,subject_id,src,dst."""
    path = root / "requests.csv"
    path.write_text("request_id,subject_kind,subject_id,src,dst\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return path


def contains(root: Path, *needles: str) -> list[str]:
    """The files below a folder that hold one of some texts, as UTF-8."""
    found = []
    for path in sorted(each for each in root.rglob("*") if each.is_file()):
        content = path.read_bytes()
        found += [f"{path.name}: {needle}" for needle in needles if needle.encode() in content]
    return found
