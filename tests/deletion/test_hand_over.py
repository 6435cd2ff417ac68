"""What leaves a store by the commands: a report, a model card, figures for a tracker, and a program to serve."""

from __future__ import annotations

import json

import pytest
import torch
from typer.testing import CliRunner

from graphforget.cli import app
from tests.deletion import small


@pytest.fixture
def call(monkeypatch):
    monkeypatch.setenv("GRAPHFORGET_KEY", small.KEY.secret.decode())

    def run(*words, code=0):
        done = CliRunner().invoke(app, [str(word) for word in words])
        assert done.exit_code == code, (done.output, done.exception)
        return json.loads(done.stdout.splitlines()[-1]) if "--json" in words else done.output

    return run


def test_report_card_tracker_and_program(tmp_path, call):
    pytest.importorskip("tensorboard", reason="needs tensorboard")
    small.friends_store(tmp_path / "store")
    file = small.ask(tmp_path, "r1,node,person-003@home,,", "r2,edge,,person-010@home,person-011@home")
    call("run", tmp_path / "store", file, "--json", code=3)
    card, log = tmp_path / "README.md", f"tensorboard:{tmp_path / 'runs'}"
    done = call("report", tmp_path / "store", "--card", card, "--log", log, "--json")
    assert (done["card"], done["logged"]) == (str(card), 1)
    assert "| 1 |" in card.read_text(encoding="utf-8")
    assert len(list((tmp_path / "runs").iterdir())) == 1
    files = call("export", tmp_path / "store", "--out", tmp_path / "served", "--json")["files"]
    program = torch.export.load(next(each for each in files if each.endswith("model.pt2"))).module()
    assert program(torch.ones(9, 8), torch.tensor([[0, 1], [1, 2]])).shape == (9, 4)
    outside = [tmp_path / "served", tmp_path / "runs"]
    assert [hit for folder in outside for hit in small.contains(folder, "person-003@home")] == []
    assert "person-003" not in card.read_text(encoding="utf-8")
    assert "did you mean" in call("report", tmp_path / "store", "--log", "tensorbord:x", code=2)


def test_onnx_is_of_gnns(tmp_path, call):
    small.films_store(tmp_path / "store")
    assert "got a recommender" in call("export", tmp_path / "store", "--out", tmp_path / "served", "--onnx", code=2)
    assert not (tmp_path / "served").exists()
