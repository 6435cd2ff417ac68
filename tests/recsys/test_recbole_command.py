"""``python -m recsys.recbole``, and what it says of input that cannot be used."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytest.importorskip("recbole", reason="needs RecBole: pip install --no-deps recbole==1.2.1")

from typer.testing import CliRunner

from recsys.recbole import load
from recsys.recbole.__main__ import app
from tests.recsys.recbole_small import run, write_small


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    here = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("run"))  # RecBole's trainers write to the current folder
    try:
        return run("BPR", write_small(Path("data").absolute()), epochs=2)
    finally:
        os.chdir(here)


def call(*words: object):
    return CliRunner().invoke(app, [*map(str, words), "--method", "finetune"])


def test_users_are_forgotten_and_the_unknown_only_skipped_when_asked(done, tmp_path):
    out = tmp_path / "new.pth"
    words = (done.checkpoint, out, "--user", "3", "--user", "nobody", "--item", "50")
    refused = call(*words)
    assert refused.exit_code == 2
    assert "does not know 1 of the request: user 'nobody'" in refused.output
    assert "--skip-missing" in refused.output
    assert not list(tmp_path.iterdir())
    served = call(*words, "--skip-missing")
    assert served.exit_code == 0, served.output
    assert "recall@10" in served.output
    assert "left out, unknown: user 'nobody'" in served.output
    dataset = load(out).train_data.dataset
    gone = {"user_id": dataset.token2id("user_id", "3"), "item_id": dataset.token2id("item_id", "50")}
    assert not any((dataset.inter_feat[field] == number).any() for field, number in gone.items())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.partition("\n")[2], "line 1 must be the header"),
        (lambda text: text.replace("\n1\t", "\n1\t9\t", 1), "must have 4 cells"),
        (lambda text: text + "7\t8\n", "must have 4 cells"),
    ],
)
def test_a_broken_file_of_interactions_is_named_with_the_line(done, tmp_path, change, message):
    write_small(tmp_path)
    file = tmp_path / "small" / "small.inter"
    file.write_text(change(file.read_text()))
    found = call(done.checkpoint, tmp_path / "new.pth", "--user", "3", "--data", tmp_path)
    assert found.exit_code == 2
    assert "small.inter: line" in found.output.replace("\n", " ")
    assert message in " ".join(found.output.split())
    assert not (tmp_path / "new.pth").exists()


def test_the_data_of_another_run_is_refused(done, tmp_path):
    write_small(tmp_path, users=30)
    found = call(done.checkpoint, tmp_path / "new.pth", "--user", "3", "--data", tmp_path)
    assert found.exit_code == 2
    assert "was trained on another data set" in " ".join(found.output.split())
