"""What memory alone would take: counts by hand, positive rates, and a clear word without results."""

from __future__ import annotations

import json

import numpy as np

from benchmarks import limits
from graphforget import kernels

SIZE = 44_896


def test_rows_count_what_is_moved(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(limits, "TURNS", 1)
    graph = limits.kernel_graphs.Random(2000)
    lines = [("k_hop_1", len(graph.csr[1])), ("propagation", SIZE), ("evaluation", 100), ("structured", 5)]
    rows = [{"kernel": name, "size": size, "threads": 1, "ours_s": 2.0} for name, size in lines]
    path = tmp_path / "kernels.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, {**rows[1], "threads": 2}]), encoding="utf-8")
    assert limits.main(["--results", str(path), "--edges", "2000", "--json"]) == 0
    found = {row["kernel"]: row for row in map(json.loads, capsys.readouterr().out.splitlines())}
    assert found.keys() == {"k_hop_1", "propagation", "evaluation"}
    seed = graph.nodes(1, 1)
    near = kernels.k_hop_nodes(*graph.csr, seed, 1)
    assert found["k_hop_1"]["lines"] == 3 * (len(near) + len(kernels.k_hop_nodes(*graph.csr, seed, 2)))
    assert found["propagation"]["bytes"] == 4 * (2 * SIZE * 268 + (597 + 1846) * 256)
    assert found["evaluation"]["bytes"] == 300 * 100 * 4
    for row in found.values():
        want = row["bytes"] / row["gb_s"] / 1e9 + row["lines"] / row["lines_s"]
        assert np.isclose(row["limit_s"], want)
        assert np.isclose(row["share"], want / 2)
        assert row["gb_s"] > 0.1


def test_without_results_it_says_what_to_run(tmp_path, capsys):
    assert limits.main(["--results", str(tmp_path / "none")]) == 2
    assert "run python -m benchmarks.kernels" in " ".join(capsys.readouterr().err.split())
