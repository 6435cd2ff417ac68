"""The benchmarks of regressors and linear models, on embedded data."""

from __future__ import annotations

import pytest

from benchmarks import domains, uci
from benchmarks.columns import COLUMNS, RANGE, columns_in, columns_of
from benchmarks.linears import LINEARS
from benchmarks.regressions import IMAGES, PAIRS, SERIES, TABLES
from benchmarks.runner import main
from graphforget.report import Report

SHORT = ["--seeds", "0", "--golds", "2", "--epochs", "3", "--patience", "3"]


def run(tmp_path, dataset, *flags):
    out = tmp_path / "rows.jsonl"
    assert main(dataset, [*flags, "--out", str(out), "--cache", str(tmp_path / "cache")]) == 0
    return Report.read(out)


def test_every_data_set_has_its_domain():
    names = ("diabetes", "digits_angle", "power_plant", "stsb", "ett", "adult", "mnist_3v8")
    found = {name: domains.of(name) for name in names}
    assert found["diabetes"] is found["power_plant"] is TABLES
    assert (found["stsb"], found["ett"]) == (PAIRS, SERIES)
    assert found["adult"] is found["mnist_3v8"] is LINEARS
    assert found["digits_angle"] is IMAGES
    for domain in (TABLES, PAIRS, SERIES, IMAGES, LINEARS):
        assert set(domain.tasks) <= set(COLUMNS)


METHODS = ("finetune", "blindspot", "gaussian_amnesiac", "d2dgn_calibrated")


def test_the_methods_of_a_regression_stand_beside_gold_and_floor(tmp_path, capsys):
    report = run(tmp_path, "diabetes", "--pool", "low", *SHORT, "--relearn", "--methods", *METHODS)
    assert {row["method"] for row in report.rows if row["role"] == "unlearned"} == set(METHODS) < set(TABLES.methods)
    for part, metric in [*RANGE, ("test", "mae"), ("forget", "w1_to_gold"), ("forget", "mia_svc"), ("all", "seconds")]:
        assert all(report.value("unlearned", part, metric, m) >= 0 for m in METHODS)
    assert report.value("gold", "forget", "ain") == 1
    assert columns_in(report.rows)[-2:] == [("forget", "relearn_epochs"), ("forget", "ain")]
    assert {"ain", "mia_svc"} <= set(capsys.readouterr().out.split())  # the printed table shows what was asked for
    assert report.value("gold_other_seed", "forget", "rmse_to_gold") > 0
    assert columns_of("regression", "low", "sample")[:2] == RANGE
    assert columns_of("regression", "random", "sample") == COLUMNS["regression"]


def test_every_method_of_a_regression_serves_images(tmp_path):
    report = run(tmp_path, "digits_angle", "--pool", "low", *SHORT)
    assert {row["method"] for row in report.rows if row["role"] == "unlearned"} == set(IMAGES.methods) - {"retrain"}
    assert not any("reason" in row for row in report.rows)
    assert all(report.value("unlearned", "forget", "w1_to_gold", m) > 0 for m in IMAGES.methods if m != "retrain")


@pytest.mark.parametrize("task", ["linear", "sparse"])
def test_linear_models_are_told_by_the_distance_of_their_weights(tmp_path, task):
    report = run(
        tmp_path, "breast_cancer", "--task", task, "--seeds", "0", "--golds", "2", "--methods", "ij", "prox_ij"
    )
    assert report.value("original", "all", "relative_distance") == 1
    assert report.value("gold", "all", "relative_distance") < 1e-6
    assert report.value("gold_other_seed", "forget", "js_to_gold") < 1e-12
    nearest = "ij" if task == "linear" else "prox_ij"
    assert report.value("unlearned", "all", "relative_distance", nearest) < 0.3
    if task == "sparse":
        assert report.value("unlearned", "all", "support_overlap", "prox_ij") > 0.8


def test_the_uci_command_runs_the_tables_that_it_is_given(tmp_path, capsys, monkeypatch):
    asked = []
    monkeypatch.setattr(uci, "run_benchmark", lambda name, rest: asked.append((name, rest)) or 0)
    assert uci.main(["--dataset", "yacht", "energy", "--pool", "low"]) == 0
    assert asked == [("yacht", ["--pool", "low"]), ("energy", ["--pool", "low"])]
    with pytest.raises(SystemExit):
        uci.main(["--dataset", "stsb"])


@pytest.mark.parametrize(
    ("dataset", "flags", "message"),
    [
        ("diabetes", ["--pool", "lowest"], "did you mean 'low'"),
        ("diabetes", ["--methods", "ijj"], "did you mean 'ij'"),
        ("diabetes", ["--methods", "prox_ij"], "prox_ij needs a task that is Linear"),
        ("breast_cancer", ["--methods", "blindspot"], "blindspot needs a task that is Regression"),
        ("breast_cancer", ["--count", "500"], "must take some and leave some"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, capsys, dataset, flags, message):
    assert main(dataset, [*flags, *SHORT, "--cache", str(tmp_path)]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
