"""The commands for values, synthetic tables and active learning: rows, resuming, bad input."""

from __future__ import annotations

import json

import pytest

from benchmarks import active, tabsyndex, valuation
from graphforget.report import Report


def rows_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_valuation_measures_games_and_tables_once(tmp_path, capsys):
    out = tmp_path / "v.jsonl"
    some = ["--seeds", "1", "--out", str(out), "--json"]
    games = ["--dataset", "airport", "--rows", "12", "--methods", "leave_one_out", "cluster_production", *some]
    assert valuation.main(games) == 0
    table = ["--dataset", "iris", "--rows", "20", "--methods", "random", "cluster_production", *some]
    assert valuation.main(table) == 0
    kept = rows_of(out)
    assert valuation.main(table) == 0
    assert rows_of(out) == kept  # nothing is measured twice
    report = Report.read(out)
    shown = {row["metric"] for row in report.select(dataset="iris", method="cluster_production")}
    assert {"mislabel_auc", "spearman_knn", "out_of_sample", "drop_high", "add_low", "trainings", "seconds"} <= shown
    assert {row["method"] for row in report.select(dataset="airport")} == {"leave_one_out", "cluster_production"}
    capsys.readouterr()
    assert valuation.main([arg for arg in table if arg != "--json"]) == 0
    assert "cluste" in capsys.readouterr().out
    pytest.importorskip("matplotlib", reason="needs the extra report")
    assert valuation.main([*table, "--plot", str(tmp_path / "curves.png")]) == 0
    assert (tmp_path / "curves.png").stat().st_size > 10_000
    assert "| iris | random |" in valuation.markdown(kept, ("mislabel_auc",))


def test_tabsyndex_measures_roles_beside_the_ceiling(tmp_path, capsys):
    out = tmp_path / "t.jsonl"
    args = ["--dataset", "iris", "--rows", "70", "--methods", "copies", "--seeds", "1", "--out", str(out), "--json"]
    assert tabsyndex.main(args) == 0
    kept = rows_of(out)
    assert tabsyndex.main(args) == 0
    assert rows_of(out) == kept
    report = Report.read(out)
    assert {row["role"] for row in report.select(generator="copies")} == {"original", "gold", "gold_other_seed"}
    real = report.select(generator="real", metric="tabsyndex")[0]["value"]
    assert 0.5 < real <= 1
    assert report.select(generator="copies", role="gold", metric="copies")[0]["value"] == 1
    assert "| iris | copies |" in tabsyndex.markdown(kept)
    capsys.readouterr()


def test_active_asks_for_labels_and_replays(tmp_path, capsys):
    out = tmp_path / "a.jsonl"
    args = ["--methods", "random", "margin", "--rounds", "1", "--seeds", "1", "--out", str(out), "--json"]
    assert active.main([*args, "--part", "labels"]) == 0
    kept = rows_of(out)
    assert active.main([*args, "--part", "labels"]) == 0
    assert rows_of(out) == kept
    assert {row["labels"] for row in kept if "labels" in row} == {20, 40}
    assert "| digits_images | margin |" in active.markdown(kept, "labels")
    capsys.readouterr()


@pytest.mark.parametrize(
    ("command", "args", "said"),
    [
        (valuation, ["--dataset", "irsi"], "did you mean 'iris'"),
        (valuation, ["--methods", "shapley"], "unknown valuator"),
        (valuation, ["--rows", "3"], "--rows must be at least 10"),
        (valuation, ["--dataset", "iris", "--rows", "90", "--methods", "random"], "--rows must leave rows"),
        (tabsyndex, ["--dataset", "wien"], "did you mean 'wine'"),
        (tabsyndex, ["--methods", "gan"], "unknown generator"),
        (tabsyndex, ["--dataset", "iris", "--rows", "100"], "half of the table"),
        (active, ["--methods", "bald"], "unknown strategy"),
        (active, ["--query", "0"], "--query must be at least 1"),
        (active, ["--part", "labels", "--methods", "random", "--query", "900"], "ask for more than"),
    ],
)
def test_bad_flags_are_refused(command, args, said, capsys):
    assert command.main(args) == 2
    assert said in capsys.readouterr().err.replace("\n", " ")
