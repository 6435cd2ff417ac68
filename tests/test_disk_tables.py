"""Tables in files: the result of tables in memory, only the touched rows change, and only those are resident."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from graphforget.disk_tables import map_tables, write_tables
from graphforget.errors import InputError
from graphforget.local import unlearn_local
from graphforget.methods.finetune import FineTune
from graphforget.store import Store
from recsys.models.lightgcn import LightGCN
from recsys.task import Recommendation
from tests.recsys.test_local import GRAPH

TASK, SIZE = Recommendation(cut=5), GRAPH.size
ROOT = Path(__file__).resolve().parent.parent


def model():
    torch.manual_seed(0)
    return LightGCN(*SIZE, dim=8)


def test_the_result_is_that_of_tables_in_memory(tmp_path):
    plain = model()
    write_tables(plain, TASK, SIZE, tmp_path / "tables")
    with torch.device("meta"):
        mapped = LightGCN(*SIZE, dim=8)
    map_tables(mapped, TASK, SIZE, tmp_path / "tables")
    assert sorted(path.name for path in (tmp_path / "tables").iterdir()) == ["item_embedding.npy", "user_embedding.npy"]
    before = {name: value.clone() for name, value in plain.state_dict().items()}
    store, pairs = Store.of(GRAPH), GRAPH.edge_index[:, [5, 6]]
    one, two = (unlearn_local(FineTune(epochs=2), each, TASK, store, pairs, seed=1) for each in (plain, mapped))
    for name, (ids, values) in one.rows.items():
        assert torch.equal(ids, two.rows[name][0])
        assert torch.equal(values, two.rows[name][1])
        assert torch.equal(torch.from_numpy(np.load(tmp_path / "tables" / f"{name}.npy")), before[name])
    two.onto(mapped)
    for name, (ids, values) in two.rows.items():
        found = np.load(tmp_path / "tables" / f"{name}.npy")
        assert np.array_equal(found[ids.numpy()], values.numpy())
        rest = np.setdiff1d(np.arange(len(found)), ids.numpy())
        assert len(rest)
        assert np.array_equal(found[rest], before[name].numpy()[rest])


LARGE = """
import sys, numpy as np, torch
from graphforget.disk_tables import map_tables
from graphforget.graph import Graph
from graphforget.local import unlearn_local
from graphforget.methods.finetune import FineTune
from graphforget.store import Store
from recsys.models.lightgcn import LightGCN
from recsys.task import Recommendation
from benchmarks.scale_cases import peak, reset_peak, resident

def run(users, items, folder):
    draw = np.random.default_rng(0)
    code = np.unique(draw.integers(0, users * items, users))
    store = Store.of(Graph(torch.from_numpy(np.stack([code // items, code % items])), (users, items), bipartite=True))
    with torch.device("meta"):
        model = LightGCN(users, items, dim=64)
    for name, rows in (("user", users), ("item", items)):
        np.lib.format.open_memmap(f"{folder}/{name}_embedding.npy", "w+", np.float32, (rows, 64))
    task = Recommendation()
    map_tables(model, task, store.size, folder)
    reset_peak()
    base = resident()
    unlearn_local(FineTune(epochs=1), model, task, store, store.sample(20, 0)).onto(model)
    return peak() - base

import os
os.makedirs(sys.argv[1] + "/small"), os.makedirs(sys.argv[1] + "/large")
run(500, 300, sys.argv[1] + "/small")
print(run(300_000, 100_000, sys.argv[1] + "/large"))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_tables_of_98_mib_are_not_read(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", LARGE, str(tmp_path)]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=300)
    assert float(done.stdout.split()[-1]) < 49  # MiB, of 98


def test_what_is_refused(tmp_path):
    with pytest.raises(InputError, match="no table with a row a node"):
        write_tables(torch.nn.Linear(3, 2), TASK, SIZE, tmp_path)
    with pytest.raises(InputError, match=r"user_embedding.npy is missing; write it with write_tables"):
        map_tables(model(), TASK, SIZE, tmp_path)
    write_tables(model(), TASK, SIZE, tmp_path)
    with pytest.raises(InputError, match="exists already"):
        write_tables(model(), TASK, SIZE, tmp_path)
    with pytest.raises(InputError, match=r"must be float32 \[240, 4\] \(got float32 \[240, 8\]\)"):
        map_tables(LightGCN(*SIZE, dim=4), TASK, SIZE, tmp_path)
    with torch.device("meta"), pytest.raises(InputError, match="no values"):
        write_tables(LightGCN(*SIZE), TASK, SIZE, tmp_path / "other")
    with (tmp_path / "item_embedding.npy").open("r+b") as file:
        file.truncate(300)
    untouched = model()
    with pytest.raises(InputError, match=r"item_embedding.npy is cut short"):
        map_tables(untouched, TASK, SIZE, tmp_path)
    assert not hasattr(untouched.user_embedding, "mapped")  # no table was taken
