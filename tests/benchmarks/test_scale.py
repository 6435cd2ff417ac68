"""The scale benchmark: rows with every key, resumable, and clear refusals."""

import argparse
import json

import numpy as np
import pytest
import torch

from benchmarks import scale
from benchmarks.scale_cases import METHODS, PAPERS, Judge, measured, refusal
from graphforget.errors import InputError
from graphforget.gnn.task import LinkPrediction
from graphforget.mapped import open_store
from graphforget.methods.d2dgn_calibrated import CalibratedD2DGN
from graphforget.region import Reach
from graphforget.splits import Splits, split_edges
from recsys.task import Recommendation
from tests.recsys.test_local import clusters
from tests.small import both_ways, sbm

KEYS = ("method", "edges", "request", "seconds", "peak_mib", "epoch_seconds")


def asked(*methods, **changed):
    usual = {"request": 5, "repeats": 1, "mapped": False, "tables": False, "threads": 1, "no_epoch": True}
    return argparse.Namespace(**{**usual, "methods": list(methods), "accuracy": False, **changed})


@pytest.mark.parametrize("mapped", [False, True])
def test_a_graph_is_measured(tmp_path, mapped):
    path = scale.power_law(4000, tmp_path)
    degree = open_store(path).degree
    assert degree(range_of(10)).mean() > 4 * degree(range_of(390)[-200:]).mean()  # hubs come first
    flags = asked("utu", "d2dgn_calibrated", mapped=mapped, no_epoch=False)
    rows = list(measured(flags, str(path)))
    assert [row["method"] for row in rows] == flags.methods
    for row in rows:
        assert all(row[key] is not None for key in KEYS)
        assert row["graph"].endswith("-mapped") is mapped
    scale.plot(rows, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 1000


def test_a_table_with_a_row_a_node_stays_in_its_file(tmp_path):
    path = scale.power_law(4000, tmp_path)
    (row,) = measured(asked("d2dgn_calibrated_quick", mapped=True, tables=True), str(path))
    assert row["graph"] == "power-law-4000-mapped-tables"
    assert row["threads"] == 1
    table = np.load(path / "tables" / "embedding.weight.npy", mmap_mode="r")
    assert table.shape == (400, 64)
    assert row["arrays_mib"] == pytest.approx((table.nbytes + 8 * (401 + row["edges"])) / 2**20, abs=0.1)


def range_of(count):

    return np.arange(count)


def test_local_and_full_are_judged_by_gold():
    splits = split_edges(sbm(200, inside=0.1, between=0.01))
    judge = Judge.of(LinkPrediction(), splits, 5)
    assert not both_ways(judge.split.forget.edge_index) & both_ways(judge.split.retain.edge_index)
    found = judge.figures(*METHODS["utu"])
    assert found["js_original"] == found["js_local"] == found["js_full"] > 0  # unlinking changes no weight
    assert found["js_local_to_full"] == 0
    assert found["floor"] == judge.apart(*judge.golds) > 0
    moved = judge.figures(CalibratedD2DGN(refresh=0, epochs=2, lr=0.1), Reach())
    assert moved["js_original"] == found["js_original"] != moved["js_local"]
    assert 0.5 < found["test_original"] <= 1
    row = {"graph": "sbm", "method": "utu", "edges": 1, "seconds": 1.0, "epoch_seconds": None, "peak_mib": 1.0}
    text = scale.markdown([{**row, "arrays_mib": 1.0, "region": 0, **found}])
    assert text.count("| sbm |") == 2


def test_a_recommender_is_judged_too_and_what_does_not_apply_in_full_is_said():
    whole = clusters()
    part = np.arange(whole.num_edges) % 5
    train, val, test = (whole.with_edges(torch.from_numpy(np.isin(part, kept))) for kept in ([0, 1, 2], [3], [4]))
    judge = Judge.of(Recommendation(), Splits(train, val, test), 5)
    assert judge.task.recipe.batch_size is None
    found = judge.figures(*METHODS["utu"])
    assert found["full_refused"] == refusal(METHODS["utu"][0], judge.task)
    assert found["full_refused"] == "UtU needs a task that is GraphTask (got Recommendation)"
    assert found["js_full"] is found["test_full"] is found["full_seconds"] is found["js_local_to_full"] is None
    assert found["js_local"] == found["js_original"] > 0
    assert found["test_local"] > 0.2  # learned: a random order of 160 items gives 0.12
    paper = judge.figures(*PAPERS["mmrecun"])
    assert "full_refused" not in paper
    assert paper["js_full"] != paper["js_original"]
    assert paper["js_local_to_full"] > 0
    assert "| does not apply |" in scale.markdown([row_of(found)])


def row_of(found):
    row = {"graph": "clusters", "method": "utu", "edges": 1, "seconds": 1.0, "epoch_seconds": None, "peak_mib": 1.0}
    return {**row, "arrays_mib": 1.0, "region": 0, **found}


def test_a_method_of_another_domain_has_no_row(tmp_path, capsys):
    path = scale.power_law(4000, tmp_path)
    assert [row["method"] for row in measured(asked("mmrecun", "gnndelete"), str(path))] == ["gnndelete"]
    assert "MMRecUN needs a task that is Recommendation (got LinkPrediction); no row" in capsys.readouterr().err


def test_what_is_there_is_not_measured_again(tmp_path, capsys):
    out = tmp_path / "scale.jsonl"
    keys = {"edges": 4000, "request": 100, "seconds": 1.0, "peak_mib": 1.0, "epoch_seconds": 2.0}
    lines = [{"method": name, "graph": "power-law-4000", **keys} for name in scale.METHODS]
    out.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert scale.main(["--edges", "4000", "--out", str(out), "--json"]) == 0
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == lines


def test_refusals(capsys):
    assert scale.main(["--edges", "100"]) == 2
    assert "at least 20 times" in capsys.readouterr().err
    assert scale.main(["--methods", "utuu"]) == 2
    assert "did you mean 'utu'" in capsys.readouterr().err
    assert scale.main(["--edges", "4000", "--tables", "--real", "gowalla"]) == 2
    assert "--tables is for power-law graphs" in capsys.readouterr().err
    with pytest.raises(InputError, match="repeats"):
        scale.check(argparse.Namespace(methods=[], real=[], request=1, repeats=0, threads=1, edges=[], tables=False))
