"""The README's Python runs as it stands, block after block, in one namespace."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

README = Path(__file__).resolve().parent.parent / "README.md"


def test_every_python_block_runs_and_the_forgotten_are_gone(capsys, tmp_path, monkeypatch):
    pytest.importorskip("recbole", reason="needs RecBole: pip install --no-deps recbole==1.2.1")
    monkeypatch.chdir(tmp_path)  # RecBole's trainer writes its checkpoint to the current folder
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    names: dict = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    _, ours, _, floor = capsys.readouterr().out.split()
    assert 0 < float(ours) < 0.2
    assert 0 < float(floor) < 0.2
    data, (u, v) = names["data"], names["forgotten"]
    left = set(map(tuple, data.edge_index.T.tolist()))
    assert not left & {*zip(u.tolist(), v.tolist(), strict=True), *zip(v.tolist(), u.tolist(), strict=True)}
    assert all(torch.isfinite(weight).all() for weight in names["model"].parameters())
    forgotten = [names["result"].dataset.token2id("user_id", token) for token in ("196", "186")]
    assert not torch.isin(names["result"].dataset.inter_feat["user_id"], torch.tensor(forgotten)).any()
    assert 0 < names["scores"]["recall@10"] < 1
    assert (tmp_path / "saved/FREEDOM-unlearned.pth").is_file()


def test_no_python_block_is_left_out_of_the_test_above():
    fences = re.findall(r"^```(\w*)$", README.read_text(encoding="utf-8"), re.MULTILINE)
    run_elsewhere = {"csv", "console"}  # the worked example of deletion: tests/deletion/test_example.py
    assert {fence for fence in fences if fence} <= {"python", "sh"} | run_elsewhere
