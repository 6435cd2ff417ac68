"""``python -m benchmarks.federated``: clients of the digits, from the command line to JSON lines."""

from __future__ import annotations

import json

import pytest

from benchmarks import domains, sweeps
from benchmarks.arguments import parse, parser
from benchmarks.federated import main
from benchmarks.federations import FEDERATIONS
from graphforget.errors import InputError

FEW = ["--seeds", "0", "--golds", "2", "--epochs", "2", "--eval-every", "2"]


def run(tmp_path, *flags: str) -> list[dict]:
    out = tmp_path / "rows.jsonl"
    assert main(["--data", "digits", *FEW, "--cache", str(tmp_path / "cache"), "--out", str(out), *flags]) == 0
    return [json.loads(line) for line in out.read_text().splitlines()]


def test_clients_are_forgotten_beside_gold_and_the_floor(tmp_path, capsys):
    """A second run finds everything finished; the record of the rounds is kept beside the original."""
    flags = ("--pool", "backdoor", "--methods", "retrain", "conda", "fed_eraser", "finetune")
    rows = run(tmp_path, *flags)
    assert rows == run(tmp_path, *flags)
    kept = list((tmp_path / "cache").glob("*.notes.safetensors"))
    assert len(kept) == 1
    found = {(row["role"], row["method"], row["part"], row["metric"]): row["value"] for row in rows}
    for name in ("conda", "fed_eraser", "finetune"):
        for part, metric in (("forget", "js_to_gold"), ("test", "backdoor"), ("all", "mia_accuracy")):
            assert 0 <= found["unlearned", name, part, metric] <= 1
    assert found["gold_other_seed", "retrain", "forget", "js_to_gold"] > 0
    assert found["unlearned", "conda", "all", "seconds"] < found["unlearned", "fed_eraser", "all", "seconds"]
    assert "backdoor" in capsys.readouterr().out


def test_what_forgets_whole_clients_is_left_out_of_classes_with_the_reason(tmp_path):
    rows = run(tmp_path, "--kind", "class", "--methods", "retrain", "conda", "--partition", "shards", "--clients", "5")
    assert "forgets whole clients" in next(row["reason"] for row in rows if row["method"] == "conda")
    assert {(row["partition"], row["clients"]) for row in rows} == {("shards", 5)}


def test_flags_that_make_no_sense(capsys):
    assert main(["--data", "minst"]) == 2
    assert "did you mean 'mnist'" in capsys.readouterr().err
    for flags, message in (
        (["--partition", "random"], "unknown partition"),
        (["--methods", "scrub"], "scrub needs a task that is ImageClassification"),
        (["--kind", "clients"], "unknown kind"),
    ):
        with pytest.raises(InputError, match=message):
            parse("federated_digits_images", flags)


def test_the_sweeps_name_the_command_that_a_reader_types():
    found = [sweep for sweep in sweeps.SWEEPS if sweep.dataset in FEDERATIONS]
    assert found
    assert all(sweep.command.startswith("python -m benchmarks.federated --data ") for sweep in found)
    assert all(sweep.cells() == 3 for sweep in found)


def test_the_help_names_a_command_that_exists():
    text = parser("federated_mnist", domains.of("federated_mnist")).format_usage()
    assert text.startswith("usage: python -m benchmarks.federated --data mnist")
