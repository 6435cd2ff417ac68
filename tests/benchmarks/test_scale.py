"""The scale benchmark: rows with every key, resumable, and clear refusals."""

import argparse
import json

import numpy as np
import pytest

from benchmarks import scale
from benchmarks.scale_cases import METHODS, Judge, measured
from graphforget.errors import InputError
from graphforget.gnn.task import LinkPrediction
from graphforget.mapped import open_store
from graphforget.methods.d2dgn_calibrated import CalibratedD2DGN
from graphforget.region import Reach
from graphforget.splits import split_edges
from tests.small import both_ways, sbm

KEYS = ("method", "edges", "request", "seconds", "peak_mib", "epoch_seconds")


@pytest.mark.parametrize("mapped", [False, True])
def test_a_graph_is_measured(tmp_path, mapped):
    path = scale.power_law(4000, tmp_path)
    degree = open_store(path).degree
    assert degree(range_of(10)).mean() > 4 * degree(range_of(390)[-200:]).mean()  # hubs come first
    flags = argparse.Namespace(
        methods=["utu", "d2dgn_calibrated"], request=5, repeats=1, mapped=mapped, no_epoch=False, accuracy=False
    )
    rows = list(measured(flags, str(path)))
    assert [row["method"] for row in rows] == flags.methods
    for row in rows:
        assert all(row[key] is not None for key in KEYS)
        assert row["graph"].endswith("-mapped") is mapped
    scale.plot(rows, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 1000


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
    with pytest.raises(InputError, match="repeats"):
        scale.check(argparse.Namespace(methods=[], real=[], request=1, repeats=0, edges=[]))
