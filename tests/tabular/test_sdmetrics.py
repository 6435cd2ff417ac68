"""TabSynDex's order of tables beside SDMetrics', which lives in an environment of its own (pandas under 3)."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from benchmarks.tabsyndex import GENERATORS
from graphforget.tabular.data import load_table
from graphforget.tabular.table import Table
from graphforget.tabular.tabsyndex import tabsyndex

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks/sdmetrics_reference.py"


def written(table: Table, path: Path) -> Path:
    np.savetxt(
        path, table.values, delimiter=",", header=",".join(n.replace(" ", "_") for n in table.names), comments=""
    )
    return path


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_sdmetrics_orders_tables_as_tabsyndex_does(tmp_path, data_root):
    python = os.environ.get("GRAPHFORGET_SDMETRICS")
    if not python:
        pytest.skip("needs an environment with sdmetrics: GRAPHFORGET_SDMETRICS names no python")
    real, other = load_table("wine", data_root).rows(np.arange(1200)).halves(1)
    rng = np.random.default_rng(0)
    tables = {name: generator.fit(other, seed=1).sample(600, seed=1) for name, generator in GENERATORS.items()}
    tables["real"] = other
    tables["permuted"] = other.like(np.stack([rng.permutation(column) for column in other.values.T], axis=1))
    tables["noise"] = other.like(other.values + rng.normal(0, 1, other.values.shape) * other.values.std(0))
    found = {}
    for name, table in tables.items():
        files = [written(real, tmp_path / "real.csv"), written(table, tmp_path / "fake.csv")]
        said = subprocess.run(
            [python, SCRIPT, *files, "--categorical", "quality"], check=True, capture_output=True, text=True
        )
        found[name] = (tabsyndex(real, table).score, json.loads(said.stdout.splitlines()[-1]))
    (tmp_path / "compared.json").write_text(json.dumps(found))
    for outside in ("quality", "pairs"):
        assert found["real"][1][outside] > found["permuted"][1][outside]
    assert found["real"][0] > found["permuted"][0]
    assert found["real"][0] > found["noise"][0]
    assert found["real"][1]["quality"] > found["noise"][1]["quality"]
