"""The cost of methods beside gold: rows, settings, and that a finished request is kept."""

from __future__ import annotations

import json

import pytest

from benchmarks import speed


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    folder = tmp_path_factory.mktemp("speed")
    asked = ["karate", "--pool", "random", "--ratio", "5", "--repeat", "1", "--cache", str(folder / "cache")]
    asked += ["--methods", "utu", "finetune", "finetune.epochs=3", "--out", str(folder / "speed.jsonl"), "--json"]
    assert speed.main(asked) == 0
    first = (folder / "speed.jsonl").read_text(encoding="utf-8")
    assert speed.main(asked) == 0
    assert (folder / "speed.jsonl").read_text(encoding="utf-8") == first  # nothing was measured again
    return [json.loads(line) for line in first.splitlines()]


def test_ratios_are_of_the_same_run(rows):
    assert [row["method"] for row in rows] == ["retrain", "utu", "finetune", "finetune.epochs=3"]
    assert all(row["gold_ratio"] == pytest.approx(rows[0]["seconds"] / row["seconds"]) for row in rows)


def test_operations_follow_the_epochs(rows):
    by = {row["method"]: row["flops"] for row in rows}
    check = by["utu"]  # one forward pass, before any method
    assert by["finetune"] - check == pytest.approx(10 * (by["finetune.epochs=3"] - check), rel=1e-6)  # 30 by default
    assert by["utu"] < by["finetune.epochs=3"] < by["retrain"]


def test_markdown_has_a_line_a_method(rows):
    lines = speed.markdown(rows).splitlines()
    assert lines[0] == "karate random"
    assert [line.split(" | ")[0] for line in lines[4:]] == [f"| {row['method']}" for row in rows]


def test_an_unknown_setting_is_named(capsys):
    assert speed.main(["karate", "--methods", "finetune.epoch=3"]) == 2
    assert "did you mean 'epochs'" in capsys.readouterr().err
