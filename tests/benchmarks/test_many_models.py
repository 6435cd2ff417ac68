"""Figures that need many models: U-LiRA's shadows on images, and KLoM."""

from __future__ import annotations

import json

import pytest
import torch

from benchmarks import klom
from benchmarks.arguments import parse
from benchmarks.bench import Bench
from benchmarks.cell import Cell
from benchmarks.lira import Rows
from graphforget.errors import InputError


@pytest.fixture
def bench(tmp_path):
    return Bench(Cell("digits_images", "mlp", "image", "sample", 10.0, None, "random", 0), None, tmp_path)


def test_a_shadow_is_trained_on_the_retained_and_what_it_then_forgets(bench):
    asked = Rows(bench)
    seen = torch.arange(2 * asked.count) % 3 == 0
    split = asked.split(seen)
    retained, rows = set(bench.whole.retain.rows().tolist()), set(asked.rows[seen].tolist())
    assert set(split.forget.rows().tolist()) == rows
    assert set(split.retain.rows().tolist()) == retained
    assert set(split.data.rows().tolist()) == retained | rows
    never = set(asked.rows[~seen].tolist())
    assert not never & set(split.data.rows().tolist())
    assert set(asked.rows[asked.count :].tolist()) <= set(bench.splits.test.rows().tolist())


@pytest.mark.parametrize(
    ("dataset", "words", "message"),
    [
        ("mnist", ["--kind", "class", "--lira", "4"], "--kind sample of --task image"),
        ("mnist", ["--lira", "3"], "even number"),
        ("kin8nm", ["--attacks"], "needs a task with labels"),
    ],
)
def test_what_cannot_be_attacked_is_refused_before_anything_is_trained(dataset, words, message):
    with pytest.raises(InputError, match=message):
        parse(dataset, words)


@pytest.mark.parametrize(
    "words", [["mnits"], ["mnist", "--models", "1"], ["mnist", "--kind", "edge"], ["mnist", "--model", "gcn"]]
)
def test_klom_refuses_what_it_cannot_measure(words, capsys):
    assert klom.main(words) == 2
    assert "error:" in capsys.readouterr().err


@pytest.mark.slow
def test_klom_is_kept_and_not_measured_twice(tmp_path, capsys):
    words = ["digits_images", "--models", "2", "--methods", "ssd", "--json", "--cache", str(tmp_path)]
    out = tmp_path / "klom.jsonl"
    assert klom.main([*words, "--out", str(out)]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {row["method"] for row in rows} == {"floor", "original", "ssd"}
    assert {row["part"] for row in rows} == {"forget", "retain", "test"}
    assert klom.main([*words, "--out", str(out)]) == 0
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == rows
    assert len(out.read_text().splitlines()) == len(rows)


def test_klom_as_markdown_has_a_line_a_model_and_a_column_a_part():
    keys = {"dataset": "mnist", "models": 100, "seconds": 0.25}
    rows = [
        {**keys, "method": name, "part": part, "mean": mean, "q95": 2.0}
        for name, mean in (("floor", 0.361), ("duck", 1.5))
        for part in ("forget", "test")
    ]
    lines = klom.markdown(rows).splitlines()
    assert lines[0] == "| dataset | models | method | forget | test | seconds |"
    assert lines[2:] == [
        "| mnist | 100 | floor | 0.36 (2.00) | 0.36 (2.00) | 0.2 |",
        "| mnist | 100 | duck | 1.50 (2.00) | 1.50 (2.00) | 0.2 |",
    ]
