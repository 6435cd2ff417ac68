"""``python -m benchmarks.digits_diffusion``, ``comeback`` and ``search`` from the command line to JSON lines."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("diffusers", reason="needs the extra diffusion")

from benchmarks import comeback, diffusions, search
from benchmarks.arguments import parse
from benchmarks.runner import main
from graphforget.errors import InputError


def rows_of(path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.slow
def test_a_concept_is_forgotten_beside_gold_and_the_attack_is_reported(tmp_path, monkeypatch, capsys):
    """On a schedule of nothing: figures are there, in their ranges, and finished rows are not run again."""
    small = {"PSIS": (0.2, 0.6), "SHORT": (0.4,), "IMAGES": 10, "ATTACKS": 2, "EACH": 1, "STEPS": 5}
    for name, value in small.items():
        monkeypatch.setattr(diffusions, name, value)
    out = tmp_path / "rows.jsonl"
    flags = [
        "--seeds",
        "0",
        "--golds",
        "2",
        "--epochs",
        "1",
        "--patience",
        "1",
        "--eval-every",
        "1",
        "--esd.epochs",
        "2",
    ]
    flags += ["--methods", "retrain", "esd", "--model", "class_unet"]
    flags += ["--cache", str(tmp_path / "cache"), "--out", str(out)]
    assert main("digits_diffusion", flags) == 0
    rows = rows_of(out)
    assert main("digits_diffusion", flags) == 0
    assert rows == rows_of(out)
    found = {(row["role"], row["part"], row["metric"]): row["value"] for row in rows}
    for role in ("gold", "unlearned"):
        for metric in ("recognised", "concept@0.2", "concept@0.6", "concept_mean", "ccs", "crs_gap"):
            assert 0 <= found[role, "forget", metric] <= 1
        assert "crs_gap" in {metric for r, part, metric in found if (r, part) == (role, "retain")}
    assert ("original", "forget", "recognised") in found
    assert "concept recognised" not in capsys.readouterr().err


def test_flags_of_the_concept(tmp_path):
    assert parse("digits_diffusion", [])[0].count == [1]
    with pytest.raises(InputError, match="unknown method"):
        parse("digits_diffusion", ["--methods", "esdd"])
    with pytest.raises(InputError, match="scrub needs a task that is ImageClassification"):
        parse("digits_diffusion", ["--methods", "scrub"])
    assert main("digits_diffusion", ["--count", "10", "--cache", str(tmp_path)]) == 2


def test_comeback_from_the_command_line_to_a_picture(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    out, picture = tmp_path / "rows.jsonl", tmp_path / "curves.png"
    flags = ["digits_images", "--seeds", "1", "--methods", "finetune", "ssd", "--cache", str(tmp_path)]
    assert comeback.main([*flags, "--out", str(out), "--plot", str(picture)]) == 0
    rows = rows_of(out)
    assert comeback.main([*flags, "--out", str(out)]) == 0
    assert rows == rows_of(out)
    assert picture.stat().st_size > 10_000
    assert {row["method"] for row in rows} == {"", "retrain", "finetune", "ssd"}
    text = comeback.markdown(rows)["digits_images"]
    assert "python -m benchmarks.comeback digits_images --seeds 1" in text
    assert "| gold |" in text
    capsys.readouterr()
    assert comeback.main(["digit"]) == 2
    assert "did you mean 'digits'" in capsys.readouterr().err


def test_search_from_the_command_line(tmp_path, capsys):
    out = tmp_path / "rows.jsonl"
    flags = ["moving", "--seeds", "1", "--methods", "random_cells", "cnn_small", "--epochs", "2", "--out", str(out)]
    assert search.main(flags) == 0
    rows = rows_of(out)
    assert search.main(flags) == 0
    assert rows == rows_of(out)
    assert {row["metric"] for row in rows} >= {"parameters", "forward_flops", "seconds", "accuracy"}
    assert all(row["value"] > 0 for row in rows if row["metric"] in ("parameters", "forward_flops", "seconds"))
    assert "| moving | cnn_small |" in search.markdown(rows)
    capsys.readouterr()
    assert search.main(["moving", "--methods", "resnet19"]) == 2
    assert "did you mean 'resnet18'" in capsys.readouterr().err
