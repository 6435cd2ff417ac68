"""Where files are looked for, downloads, and half files."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace

import pytest

from graphforget import download
from graphforget.errors import InputError
from graphforget.folders import BadFile
from graphforget.gnn.cards import DATASETS
from graphforget.gnn.data import load
from tests.gnn.raw_files import Reply, arxiv, npz, planetoid, recount, serve, tree


def test_missing_files_are_named_with_a_remedy(cache, offline, tmp_path):
    user = tmp_path / "mine"
    planetoid(user / "planetoid/PubMed/raw", "pubmed")
    (user / "planetoid/PubMed/raw/ind.pubmed.allx").unlink()  # one part is not the data set
    before = tree(user)
    with pytest.raises(InputError) as caught:
        load("pubmed", user)
    text = str(caught.value)
    for part in (
        "PubMed is not on disk",
        "ind.pubmed.allx",
        "no network",
        str(cache / "planetoid"),
        "GRAPHFORGET_DATA",
    ):
        assert part in text
    assert "ind.pubmed.tx" not in text  # that one is there
    assert offline[0].startswith("https://github.com/kimiyoung/planetoid/")
    assert tree(user) == before
    assert tree(cache.parent) == before  # nothing half-done anywhere


def test_a_root_that_is_no_folder_is_named(cache, monkeypatch, tmp_path):
    with pytest.raises(InputError, match="root must name a folder"):
        load("cora", tmp_path / "nowhere")
    monkeypatch.setenv("GRAPHFORGET_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="GRAPHFORGET_DATA must name a folder"):
        load("cora")
    assert load("karate").num_nodes == 34  # needs no file


def test_the_environment_names_the_folder(cache, monkeypatch, tmp_path):
    npz(tmp_path / "mine/amazon/Photo/raw/amazon_electronics_photo.npz")
    recount(monkeypatch, "photo", nodes=3, edges=2, features=2, classes=2)
    monkeypatch.setenv("GRAPHFORGET_DATA", str(tmp_path / "mine"))
    assert load("photo").num_nodes == 3


def test_a_missing_file_is_fetched_once_into_the_cache(cache, monkeypatch, tmp_path):
    npz(tmp_path / "served.npz")
    asked = serve(monkeypatch, {"amazon_electronics_photo.npz": (tmp_path / "served.npz").read_bytes()})
    recount(monkeypatch, "photo", nodes=3, edges=2, features=2, classes=2)
    assert load("photo").num_nodes == 3
    assert load("photo").num_nodes == 3
    assert asked == ["https://github.com/shchur/gnn-benchmark/raw/master/data/npz/amazon_electronics_photo.npz"]
    assert [path.name for path in cache.rglob("*") if path.is_file()] == ["amazon_electronics_photo.npz"]


def test_the_real_opener_is_used(cache, monkeypatch, tmp_path):
    npz(tmp_path / "served/amazon_electronics_photo.npz")
    recount(monkeypatch, "photo", nodes=3, edges=2, features=2, classes=2)
    monkeypatch.setitem(DATASETS, "photo", replace(DATASETS["photo"], url=f"{(tmp_path / 'served').as_uri()}/"))
    assert load("photo").num_nodes == 3
    (tmp_path / "served/amazon_electronics_photo.npz").unlink()
    assert load("photo").num_nodes == 3


def test_an_archive_gives_only_what_is_needed(cache, monkeypatch, tmp_path):
    arxiv(tmp_path / "arxiv")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("arxiv/../../evil.txt", "x")
        for path in sorted((tmp_path / "arxiv").rglob("*.gz")):
            archive.write(path, path.relative_to(tmp_path))
    asked = serve(monkeypatch, {"/nodeproppred/arxiv.zip": packed.getvalue()})
    recount(monkeypatch, "arxiv", nodes=4, edges=4, features=2, classes=2)
    assert load("arxiv").num_nodes == 4
    assert len(asked) == 1
    found = {str(path.relative_to(cache / "ogbn_arxiv/ogbn_arxiv")) for path in cache.rglob("*") if path.is_file()}
    assert found == set(DATASETS["arxiv"].files)


def test_a_broken_archive_is_named(cache, monkeypatch):
    serve(monkeypatch, {"arxiv.zip": b"PK\x03\x04 and then nothing"})
    with pytest.raises(InputError, match=r"arxiv\.zip"):
        load("arxiv")
    assert tree(cache) == {}


def test_a_download_with_another_checksum_is_not_kept(cache, monkeypatch):
    serve(monkeypatch, {"acm.npz": b"not the file"})
    with pytest.raises(InputError, match=r"acm\.npz.*expected 2147afca"):
        load("acm")
    assert tree(cache) == {}


def test_a_download_that_stops_early_is_not_kept(cache, monkeypatch):
    class Short(Reply):
        headers = {"Content-Length": "99"}  # noqa: RUF012

    monkeypatch.setattr(download.urllib.request, "urlopen", lambda url, **_: Short(b"half"))
    with pytest.raises(InputError, match="4 of 99 bytes"):
        load("photo")
    assert tree(cache) == {}


@pytest.mark.parametrize("keep", [0, 40, -30])
def test_a_half_file_in_the_cache_is_fetched_again(cache, monkeypatch, tmp_path, caplog, keep):
    npz(tmp_path / "served.npz")
    whole = (tmp_path / "served.npz").read_bytes()
    path = cache / "amazon/Photo/raw/amazon_electronics_photo.npz"
    path.parent.mkdir(parents=True)
    path.write_bytes(whole[:keep])
    asked = serve(monkeypatch, {"photo.npz": whole})
    recount(monkeypatch, "photo", nodes=3, edges=2, features=2, classes=2)
    assert load("photo").num_nodes == 3
    assert len(asked) == 1
    assert path.read_bytes() == whole
    assert "amazon_electronics_photo.npz is removed and fetched again" in caplog.text


def test_a_half_file_is_fetched_again_only_once(cache, monkeypatch):
    path = cache / "amazon/Photo/raw/amazon_electronics_photo.npz"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"half")
    asked = serve(monkeypatch, {"photo.npz": b"also half"})
    with pytest.raises(InputError, match=r"photo\.npz: cannot be read, half-downloaded or corrupt"):
        load("photo")
    assert len(asked) == 1


def test_a_half_file_without_network_says_that_it_is_gone(cache, offline):
    path = cache / "amazon/Photo/raw/amazon_electronics_photo.npz"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"half")
    with pytest.raises(InputError, match=r"photo\.npz was bad and has been removed .*no network"):
        load("photo")
    assert not path.exists()


def test_a_half_file_of_the_user_is_named_and_kept(cache, offline, tmp_path):
    path = tmp_path / "mine/amazon/Photo/raw/amazon_electronics_photo.npz"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"half")
    with pytest.raises(InputError, match=r"mine/amazon/Photo/raw/amazon_electronics_photo\.npz: cannot be read"):
        load("photo", tmp_path / "mine")
    assert path.read_bytes() == b"half"
    assert offline == []


def test_a_user_folder_inside_the_cache_is_the_users(cache, offline):
    path = cache / "mine/amazon/Photo/raw/amazon_electronics_photo.npz"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"half")
    with pytest.raises(BadFile):
        load("photo", cache / "mine")
    assert path.exists()
