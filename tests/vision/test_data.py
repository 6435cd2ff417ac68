"""Loaders: published counts, raw formats in small, missing and broken files."""

from __future__ import annotations

import gzip
import io
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from graphforget.download import BadFile
from graphforget.errors import InputError, UnknownName
from graphforget.idx import read_idx
from graphforget.vision import data
from graphforget.vision.cards import DATASETS
from graphforget.vision.data import load, load_splits

README = Path(__file__).resolve().parents[2] / "data" / "README.md"
FILES = {"x.gz": "", "y.gz": ""}
SMALL = replace(DATASETS["mnist"], images=(3,), per_class=(1, 2), shape=(1, 2, 2), url="", files=FILES)


def idx(*shape: int, values: bytes, kind: int = 8) -> bytes:
    return gzip.compress(struct.pack(f">HBB{len(shape)}I", 0, kind, len(shape), *shape) + values, mtime=0)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setitem(data.DATASETS, "small", SMALL)
    monkeypatch.setenv("GRAPHFORGET_CACHE", str(tmp_path / "cache"))
    place = tmp_path / "mnist_t10k"
    place.mkdir()
    (place / "x.gz").write_bytes(idx(3, 2, 2, values=bytes(range(0, 240, 20))))
    (place / "y.gz").write_bytes(idx(3, values=bytes([1, 0, 1])))
    return place


def test_idx_files_are_read_as_they_are(folder):
    found = load("small", folder.parent)
    assert found.x.shape == (3, 1, 2, 2)
    assert found.x[1, 0, 0, 1] == pytest.approx(100 / 255)
    assert found.y.tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.gz", idx(3, 2, 2, values=bytes(11)), "expected 12 bytes .got 11"),
        ("x.gz", idx(3, 2, 2, values=bytes(12), kind=9), "expected the header"),
        ("x.gz", b"<html>", "cannot be read, half-downloaded or corrupt"),
        ("x.gz", idx(3, 2, 2, values=bytes(12))[:-9], "cannot be read, half-downloaded or corrupt"),
        ("x.gz", idx(2, 2, 2, values=bytes(8)), r"expected images \[3, 1, 2, 2\]"),
        ("y.gz", idx(3, values=bytes([1, 0, 7])), r"labels must lie in \[0, 2\) \(got 7\)"),
        ("y.gz", idx(3, values=bytes([0, 0, 1])), r"expected \[1, 2\] images of the classes \(got \[2, 1\]\)"),
    ],
)
def test_a_broken_file_is_named_and_stays(folder, name, content, message):
    (folder / name).write_bytes(content)
    with pytest.raises(BadFile, match=message):
        load("small", folder.parent)
    assert (folder / name).read_bytes() == content


def test_missing_files_say_where_to_put_them(folder, monkeypatch):
    (folder / "y.gz").unlink()
    monkeypatch.delenv("GRAPHFORGET_DATA", raising=False)
    with pytest.raises(InputError, match=r"MNIST .*is not on disk: no y.gz in .*no address is known.*put the files"):
        load("small", folder.parent)
    with pytest.raises(UnknownName, match="did you mean 'mnist'"):
        load("mnits")
    with pytest.raises(InputError, match="root must name a folder"):
        load("mnist", folder / "nowhere")


def test_jpegs_are_decoded_in_order(tmp_path, monkeypatch):
    image_module = pytest.importorskip("PIL.Image")
    files = {"a.npz": "", "b.npz": ""}
    card = replace(DATASETS["cifar10"], images=(2, 1), per_class=(1, 2), shape=(3, 8, 8), files=files)
    monkeypatch.setitem(data.DATASETS, "jpegs", card)
    place = tmp_path / "cifar10_jpeg_subset"
    place.mkdir()
    for name, colours, labels in (("a", [(255, 0, 0), (0, 255, 0)], [1, 0]), ("b", [(0, 0, 255)], [1])):
        packed = []
        for colour in colours:
            buffer = io.BytesIO()
            image_module.new("RGB", (8, 8), colour).save(buffer, "JPEG", quality=95)
            packed.append(np.frombuffer(buffer.getvalue(), np.uint8))
        ends = np.cumsum([0, *map(len, packed)])
        np.savez(place / f"{name}.npz", jpeg=np.concatenate(packed), offsets=ends, y=np.array(labels, np.uint8))
    found = load("jpegs", tmp_path)
    assert found.y.tolist() == [1, 0, 1]
    assert found.x.mean((2, 3)).argmax(1).tolist() == [0, 1, 2]
    parts = load_splits("jpegs", tmp_path, seed=1)
    assert parts.train.rows().tolist() == [0, 1]
    (place / "b.npz").write_bytes(b"PK")
    with pytest.raises(BadFile, match=r"b\.npz"):
        load("jpegs", tmp_path)


def test_digits_need_no_file():
    parts = load_splits("digits_images", seed=3)
    assert [part.size for part in parts] == [1258, 180, 359]
    assert parts.train.x is parts.test.x
    assert float(parts.train.x.max()) == 1
    assert not torch.equal(parts.train.rows(), load_splits("digits_images", seed=4).train.rows())


@pytest.mark.parametrize("name", ["mnist", "notmnist", "cifar10"])
def test_the_published_counts_hold(data_root, name):
    card = DATASETS[name]
    if not (data_root / card.folder).is_dir():
        pytest.skip(f"needs {card.folder} in GRAPHFORGET_DATA")
    found = load(name, data_root)
    assert list(found.x.shape) == [sum(card.images), *card.shape]
    assert tuple(torch.bincount(found.y).tolist()) == card.per_class
    assert (float(found.x.min()), float(found.x.max())) == (0, 1)
    if name == "cifar10":
        parts = load_splits(name, data_root)
        assert [part.size for part in parts] == [10_000, 1_000, 1_000]


@pytest.mark.parametrize("name", DATASETS)
def test_every_data_set_is_listed_with_its_source(name):
    text, card = README.read_text(encoding="utf-8"), DATASETS[name]
    (line,) = [line for line in text.splitlines() if line.startswith(f"| `{name}` | {card.title} |")]
    assert card.licence in line
    assert card.note in line


def test_a_header_of_other_dimensions_is_refused(tmp_path):
    (tmp_path / "a.gz").write_bytes(idx(2, values=bytes(2)))
    with pytest.raises(BadFile, match="3-dimensional"):
        read_idx(tmp_path / "a.gz", 3)
