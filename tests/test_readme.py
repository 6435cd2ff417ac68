"""The README's Python runs as it stands, block after block, in one namespace."""

from __future__ import annotations

import re
from pathlib import Path

import torch

README = Path(__file__).resolve().parent.parent / "README.md"


def test_every_python_block_runs_and_the_forgotten_edges_are_gone(capsys):
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    names: dict = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    ours, floor = map(float, capsys.readouterr().out.split())
    assert 0 < ours < 0.2
    assert 0 < floor < 0.2
    data, (u, v) = names["data"], names["forgotten"]
    left = set(map(tuple, data.edge_index.T.tolist()))
    assert not left & {*zip(u.tolist(), v.tolist(), strict=True), *zip(v.tolist(), u.tolist(), strict=True)}
    assert all(torch.isfinite(weight).all() for weight in names["model"].parameters())
