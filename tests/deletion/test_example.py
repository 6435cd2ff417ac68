"""The README's worked example: the commands are run, and print what the README says they print."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from graphforget.cli import app

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")


def block(mark: str) -> str:
    found = re.search(rf"<!-- {mark} -->\n```\w+\n(.*?)```", README, re.DOTALL)
    assert found, mark
    return found[1]


def plain(text: str) -> list[str]:
    """Lines without what differs from machine to machine: numbers, times, widths."""
    lines = [re.sub(r"\b[0-9a-f]{12,}\b", "#", line) for line in text.splitlines() if line.strip()]
    return [re.sub(r"\s+", " ", re.sub(r"[0-9][0-9,.:+T-]*", "#", line)).strip() for line in lines]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_worked_example_prints_what_it_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GRAPHFORGET_KEY", raising=False)
    monkeypatch.setenv("COLUMNS", "110")
    (tmp_path / "requests.csv").write_text(block("deletion-requests"))
    runner = CliRunner()
    for part in block("deletion-example").split("$ ")[1:]:
        command, _, said = part.partition("\n")
        words = shlex.split(command)
        if words[0] == "export":
            monkeypatch.setenv("GRAPHFORGET_KEY", Path("controller.key").read_text().strip())
            continue
        if words[0] == "cat":
            assert plain(Path(words[1]).read_text()) == plain(said)
            continue
        done = runner.invoke(app, words[1:])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        assert plain(done.output) == plain(said), command
