"""Where the tests of loaders keep files, and no network."""

from __future__ import annotations

from pathlib import Path

import pytest

from graphforget import download


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """An empty cache, and no data folder of the user."""
    monkeypatch.setenv("GRAPHFORGET_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("GRAPHFORGET_DATA", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def offline(monkeypatch) -> list[str]:
    """No network; the addresses asked for are listed."""
    asked: list[str] = []

    def refuse(url, **_):
        asked.append(url)
        raise OSError("no network")

    monkeypatch.setattr(download.urllib.request, "urlopen", refuse)
    return asked
