"""The cost of methods beside gold: rows, settings, and that a finished request is kept."""

from __future__ import annotations

import json
import time

import pytest

from benchmarks import speed
from graphforget.cost import measure


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
    assert all(row["gold_ratio"] == pytest.approx(rows[0]["cpu_s"] / row["cpu_s"]) for row in rows)


def test_processor_seconds_leave_out_what_was_waited_for():
    with measure() as cost:
        time.sleep(0.2)
    assert cost.seconds >= 0.2 > 4 * cost.cpu_s


def test_operations_follow_the_epochs(rows):
    by = {row["method"]: row["flops"] for row in rows}
    check = by["utu"]  # one forward pass, before any method
    assert by["finetune"] - check == pytest.approx(10 * (by["finetune.epochs=3"] - check), rel=1e-6)  # 30 by default
    assert by["utu"] < by["finetune.epochs=3"] < by["retrain"]


def test_markdown_has_a_line_a_method(rows):
    lines = speed.markdown(rows).splitlines()
    assert lines[0] == "karate gcn edge random"
    assert [line.split(" | ")[0] for line in lines[4:]] == [f"| {row['method']}" for row in rows]


def test_requests_without_counted_operations_share_a_table(rows):
    kinds = [{**row, "kind": kind, "flops": float("nan")} for kind in ("user", "item") for row in rows[:3]]
    lines = speed.markdown([*kinds, *rows, {**kinds[0], "kind": "both", "method": "del"}]).splitlines()
    assert lines[0] == "| processor seconds | retrain | utu | finetune | del |"
    assert [line.split(" | ")[0] for line in lines[2:5]] == [
        f"| karate gcn {k} random" for k in ("user", "item", "both")
    ]
    gold, utu = (rows[k]["cpu_s"] for k in (0, 1))
    assert lines[2].split(" | ")[1:3] == [f"{gold:.2f}", f"{utu:.2f} ({rows[1]['gold_ratio']:.1f}x)"]
    assert "karate gcn edge random" in lines


@pytest.mark.slow
def test_a_recommender_is_timed_by_its_own_defaults(tmp_path, capsys):
    asked = ["ml100k", "--model", "bpr", "--ratio", "1", "--repeat", "1", "--cache", str(tmp_path), "--json"]
    assert speed.main([*asked, "--methods", "finetune.epochs=1"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["kind"], row["pool"], row["method"]) for row in rows] == [
        ("user", "random", "retrain"),
        ("user", "random", "finetune.epochs=1"),
    ]
    assert rows[1]["gold_ratio"] > 1


def test_an_unknown_kind_is_named(capsys):
    assert speed.main(["karate", "--kind", "edges"]) == 2
    assert "did you mean 'edge'" in capsys.readouterr().err


def test_an_unknown_setting_is_named(capsys):
    assert speed.main(["karate", "--methods", "finetune.epoch=3"]) == 2
    assert "did you mean 'epochs'" in capsys.readouterr().err
