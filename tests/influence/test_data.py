"""Loaders of the linear models' data."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
import torch

from graphforget.errors import InputError, UnknownName
from graphforget.folders import BadFile
from graphforget.influence.data import DATASETS, load_splits

README = Path(__file__).resolve().parents[2] / "data" / "README.md"
SIZES = {"mnist_3v8": (1600, 92, 292), "mnist_3v8_small": (1600, 92, 292), "adult": (29305, 3256, 16281)}


@pytest.mark.parametrize("name", SIZES)
def test_the_real_files_hold_what_their_cards_say(name, data_root):
    parts = load_splits(name, data_root, seed=3)
    assert tuple(part.size for part in parts) == SIZES[name]
    assert parts.train.x.shape[1] == DATASETS[name].inputs
    torch.testing.assert_close(parts.train.x.norm(dim=1), torch.ones(DATASETS[name].rows))
    assert parts.train.y.unique().tolist() == [0, 1]
    if name == "adult":
        assert int(parts.test.y[parts.test.rows()].sum()) == 3846
    else:
        assert int(parts.train.y.sum()) == 974


def test_broken_and_missing_files_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("GRAPHFORGET_CACHE", str(tmp_path / "cache"))
    with pytest.raises(InputError, match=r"MNIST, 3 against 8 is not on disk"):
        load_splits("mnist_3v8", tmp_path)
    with pytest.raises(UnknownName, match="did you mean 'adult'"):
        load_splits("adults")
    (tmp_path / "mnist_t10k").mkdir()
    for name in DATASETS["mnist_3v8"].files:
        (tmp_path / "mnist_t10k" / name).write_bytes(gzip.compress(b"0" * 30))
    with pytest.raises(BadFile, match="header of 3-dimensional bytes"):
        load_splits("mnist_3v8", tmp_path)
    (tmp_path / "tabular").mkdir()
    for name in DATASETS["adult"].files:
        (tmp_path / "tabular" / name).write_text("39, State-gov, 77516\n")
    with pytest.raises(BadFile, match="15 columns"):
        load_splits("adult", tmp_path)


def test_the_documentation_lists_every_data_set():
    text = README.read_text(encoding="utf-8")
    for name, card in DATASETS.items():
        assert f"| `{name}` | {card.title} |" in text
        assert all(sha in text for sha in card.files.values())
