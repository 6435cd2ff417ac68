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


def test_a_single_interaction_is_forgotten_and_what_cannot_be_is_answered(done, tmp_path):
    dataset = load(done.checkpoint).train_data.dataset
    pair = [int(dataset.inter_feat[field][0]) for field in ("user_id", "item_id")]
    names = [str(dataset.id2token(field, number)) for field, number in zip(("user_id", "item_id"), pair, strict=True)]
    out = tmp_path / "new.pth"
    served = call(done.checkpoint, out, "--interaction", ",".join(names))
    assert served.exit_code == 0, served.output
    left = load(out).train_data.dataset.inter_feat
    assert not ((left["user_id"] == pair[0]) & (left["item_id"] == pair[1])).any()
    for words, message in (
        (("--interaction", names[0]), "--interaction must be USER,ITEM"),
        (("--feature", f"image,{names[1]}"), "BPR of RecBole reads no item features"),
    ):
        refused = call(done.checkpoint, tmp_path / "other.pth", *words)
        assert refused.exit_code == 2
        assert message in " ".join(refused.output.split())
    again = CliRunner().invoke(app, ["no.pth", str(out), "--user", "3"])
    assert "there is a file" in " ".join(again.output.split())  # said before anything is read or trained


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
