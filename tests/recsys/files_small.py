"""Files of a few lines in their true raw formats, and splits whose numbers need all their digits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from graphforget.graph import Graph
from graphforget.splits import Splits
from recsys.readers import Vocabulary
from tests.small import snapshot

INTER = (
    "userID\titemID\trating\ttimestamp\tx_label\n"
    "0\t1\t4.5\t964980499\t0\n1\t0\t3\t964980500\t1\n1\t2\t5\t964980501\t2\n"
)
RAW = "user_id:token\titem_id:token\n"


def lay(folder: Path, **files: str) -> Path:
    """Write text files; a double underscore in a name is a dot."""
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text, encoding="utf-8")
    return folder


def odd_splits() -> Splits[Graph]:
    """Parts whose numbers need all their digits, with an item and a user that nobody has or is."""
    rng = np.random.default_rng(0)
    features = {
        "image": torch.from_numpy(rng.standard_normal((4, 3)).astype(np.float32)),
        "text": torch.tensor([[1e-30, 1 / 3], [-0.0, 3e38], [0.1, 7.0], [2.0**-149, 1.0]]),
        "smell": torch.eye(4),
    }
    views = []
    for pairs in ([[2, 0, 0], [1, 1, 0]], [[1], [2]], [[0, 2], [2, 0]]):
        edges = torch.tensor(pairs)
        attrs = {
            "time": torch.from_numpy(964980499 + rng.random(edges.shape[1])),
            "rating": torch.from_numpy(rng.random(edges.shape[1]).astype(np.float32)),
        }
        views.append(Graph(edges, (4, 4), bipartite=True, features=features, edge_attrs=attrs))
    return Splits(*views)


NAMES = Vocabulary(
    ("zoe", "7", "ann", "007"),
    ("x-1", "ü", "b 2", "10"),
    ("Heat (1995)", "", "Being There", "Æon Flux (2005)"),
    (("Crime", "Drama"), (), ("Comedy",), ("Sci-Fi",)),
)


def same(left: Splits[Graph], right: Splits[Graph]) -> bool:
    """Bit for bit the same tensors in every part."""
    if [view.size for view in left] != [view.size for view in right]:
        return False
    pairs = [(snapshot(a), snapshot(b)) for a, b in zip(left, right, strict=True)]
    return all(a.keys() == b.keys() and all(a[key].equal(b[key]) for key in a) for a, b in pairs)
