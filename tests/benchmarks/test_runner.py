"""A benchmark end to end on the karate club: rows, resuming, and a crash in the middle."""

from __future__ import annotations

import json

import pytest
from safetensors.torch import save_file

from benchmarks import markdown, output, report, runner, sweeps
from benchmarks.arguments import parse
from benchmarks.bench import Bench
from benchmarks.cell import plan
from benchmarks.graphs import GRAPHS
from graphforget.report import Report
from graphforget.train import Recipe

METHODS = ["--methods", "retrain", "utu", "finetune", "--seeds", "3", "--golds", "2", "--ratio", "10"]


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Short training, a cache of its own."""
    monkeypatch.setitem(GRAPHS.recipes, "link", Recipe(epochs=6, lr=1e-2))
    return ["--cache", str(tmp_path / "cache"), "--out", str(tmp_path / "out.jsonl")], tmp_path


def test_rows_have_the_long_format_and_every_role(small):
    words, folder = small
    assert runner.main("karate", [*METHODS, *words, "--relearn", "--lira", "4"]) == 0
    rows = [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]
    keys = {"dataset", "model", "task", "kind", "ratio", "pool", "seed", "method", "role", "part", "metric", "value"}
    assert all(keys <= row.keys() for row in rows)
    assert {row["role"] for row in rows} == {"original", "gold", "gold_other_seed", "unlearned"}
    assert {row["part"] for row in rows} == {"forget", "retain", "test", "all"}
    found = {row["metric"] for row in rows if row["role"] == "unlearned"}
    assert {
        "auc", "auc_retain_vs_forget", "auc_forget_vs_unseen", "auc_forget_vs_negative", "js_to_gold", "kl_to_gold",
        "mia_auc", "mia_tpr_at_1pct_fpr", "mi_ratio", "seconds", "peak_mib", "flops", "relearn_epochs",
        "forward_flops", "u_lira_auc",
    } <= found  # fmt: skip


def test_a_finished_cell_is_not_run_again_and_a_torn_line_is_cut(small, monkeypatch):
    words, folder = small
    runner.main("karate", [*METHODS, *words])
    text = (folder / "out.jsonl").read_text()
    (folder / "out.jsonl").write_text(text + '{"dataset": "kar')
    ran = []
    monkeypatch.setattr(runner, "blocks", lambda bench, methods, flags, first: ran.append((list(methods), first)) or [])
    runner.main("karate", [*METHODS, *words])
    assert ran == []
    runner.main("karate", [*METHODS[:4], "gradient_ascent", *METHODS[4:], *words])
    assert ran == [(["gradient_ascent"], False)]
    output.append(folder / "out.jsonl", '{"value": 1.0}\n')
    assert (folder / "out.jsonl").read_text() == text + '{"value": 1.0}\n'


def test_rows_of_other_settings_are_not_passed_off_as_these(small, capsys):
    words, folder = small
    chosen = ["--methods", "finetune", "--seeds", "3", "--golds", "2", "--ratio", "10", *words]
    assert runner.main("karate", [*chosen, "--finetune.epochs", "2"]) == 0
    rows = Report.read(folder / "out.jsonl").select(role="unlearned")
    assert {row["settings"] for row in rows} == {"epochs=2"}
    assert runner.main("karate", [*chosen, "--finetune.epochs", "2"]) == 0
    capsys.readouterr()
    assert runner.main("karate", chosen) == 2
    assert "epochs=2" in capsys.readouterr().err


def test_a_sequence_reports_each_step_against_its_own_golds(small):
    words, folder = small
    runner.main(
        "karate", ["--methods", "utu", "--seeds", "1", "--golds", "2", "--count", "6", "--batches", "3", *words]
    )
    rows = Report.read(folder / "out.jsonl").select(metric="step_js_to_gold", part="forget")
    assert sorted(row["step"] for row in rows if row["method"] == "utu") == [1, 2, 3]
    assert sorted(row["step"] for row in rows if row["method"] == "utu:floor") == [1, 2, 3]
    assert all(row["value"] > 0 for row in rows)


def test_nodes_are_benchmarked_as_well(small):
    words, folder = small
    chosen = ["--task", "node", "--methods", "finetune", "--seeds", "0", "--golds", "2", "--count", "3"]
    assert runner.main("karate", [*chosen, *words]) == 0
    rows = Report.read(folder / "out.jsonl")
    assert 0 <= rows.value("unlearned", "test", "accuracy", "finetune") <= 1
    assert 0 <= rows.value("gold", "forget", "f1") <= 1


def test_a_pool_smaller_than_the_request_is_an_error_with_both_numbers(small, capsys):
    words, _ = small
    assert runner.main("karate", ["--methods", "utu", "--count", "60", "--pool", "out", *words]) == 2
    assert "60" in capsys.readouterr().err


def test_a_cached_model_of_other_shapes_is_named(small, capsys):
    words, folder = small
    cell = next(plan("karate", parse("karate", [*METHODS, *words])[0]))
    bench = Bench(cell, None, folder / "cache")
    path = bench.path("original", 1000 * cell.seed)
    path.parent.mkdir()
    save_file({name: value[:1].clone() for name, value in bench.blank(3).state_dict().items()}, path)
    path.with_suffix(".json").write_text("{}")
    assert runner.main("karate", [*METHODS, *words]) == 2
    assert path.name in capsys.readouterr().err.replace("\n", "")


def test_the_page_and_the_table_show_every_model(small):
    words, folder = small
    runner.main("karate", [*METHODS, *words])
    assert report.main([str(folder / "out.jsonl"), "--html", str(folder / "out.html")]) == 0
    page = (folder / "out.html").read_text()
    assert page.count("<svg") == 2
    assert "How the golds were trained" in page
    curves = [row for row in Report.read(folder / "out.jsonl").rows if row["metric"] == "best_epoch"]
    assert {row["gold"] for row in curves} == {0, 1}
    assert all(row["value"] in dict(row["curve"]) and len(row["curve"]) <= 121 for row in curves)
    assert "http://" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    )
    text = markdown.table(Report.read(folder / "out.jsonl"), planned=3)
    for name in ("original", "gold (retrain)", "gold, other seed (floor)", "utu", "finetune"):
        assert name in page
        assert f"| {name} |" in text
    assert "2 of 3 cells not yet run" in text


def test_every_sweep_parses_and_has_its_place():
    from pathlib import Path

    page = (Path(__file__).resolve().parents[2] / sweeps.RESULTS / "README.md").read_text(encoding="utf-8")
    for sweep in sweeps.SWEEPS:
        assert sweep.cells() > 0
        assert f"<!-- {sweep.name} -->\n" in page
        assert f"<!-- end {sweep.name} -->" in page
