"""Loaders on fixtures in the true raw formats, and on broken or hostile ones."""

from __future__ import annotations

import json
import pickle
import zipfile

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from graphforget.errors import InputError
from graphforget.gnn.data import load, load_many, load_splits
from tests.gnn.raw_files import arxiv, collab, gz, npz, planetoid, recount
from tests.small import edges_of


def test_pubmed_in_its_raw_format(tmp_path, monkeypatch):
    planetoid(tmp_path / "planetoid/PubMed/raw", "pubmed")
    recount(monkeypatch, "pubmed", nodes=10, edges=10, features=4, classes=3)
    graph = load("pubmed", tmp_path, normalize=False)
    expected = np.tile(np.eye(4), (3, 1))[:10] + np.eye(10, 4, k=-1)
    np.testing.assert_array_equal(graph.x.numpy(), expected)
    assert graph.y.tolist() == [i % 3 for i in range(10)]
    assert edges_of(graph.pairs()).keys() == {(min(u, (u + 1) % 10), max(u, (u + 1) % 10)) for u in range(10)}


def test_a_test_node_in_no_file_has_no_words_and_no_label(tmp_path, monkeypatch):
    planetoid(tmp_path / "planetoid/CiteSeer/raw", "citeseer", skip=7)
    recount(monkeypatch, "citeseer", nodes=10, edges=8, features=4, classes=3)
    graph = load("citeseer", tmp_path)
    assert graph.y.tolist() == [0, 1, 2, 0, 1, 2, 0, -1, 2, 0]
    assert not bool(graph.x[7].any())
    assert bool((graph.x.sum(1)[torch.arange(10) != 7] == 1).all())


@pytest.mark.parametrize(
    ("name", "file", "first"),
    [
        ("physics", "coauthor/Physics/raw/ms_academic_phy.npz", [0.5, 0.5]),
        ("photo", "Photo/raw/amazon_electronics_photo.npz", [1, 1]),  # Amazon's words are not scaled
    ],
)
def test_npz_in_its_raw_format(name, file, first, tmp_path, monkeypatch):
    npz(tmp_path / file)  # the second one lies in the data set's own folder, as PyG's root
    recount(monkeypatch, name, nodes=3, edges=2, features=2, classes=2)
    graph = load(name, tmp_path)
    assert edges_of(graph.edge_index) == edges_of(torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]))
    assert graph.x.tolist() == [first, [0, 0], [0, 1]]
    assert graph.y.tolist() == [1, 0, 1]


def test_collab_in_its_raw_format(tmp_path, monkeypatch):
    collab(tmp_path / "ogbl_collab/ogbl_collab")
    recount(monkeypatch, "collab", nodes=4, edges=6, features=2)
    graph = load("collab", tmp_path)
    assert edges_of(graph.pairs()).keys() == {(0, 1), (1, 2), (2, 3), (0, 3), (0, 2)}
    assert graph.x[0].tolist() == [0.5, -1.25]  # embeddings are not scaled
    train, val, test = load_splits("collab", tmp_path)
    assert edges_of(train.pairs()).keys() == {(0, 1), (1, 2), (2, 3)}
    assert (val.edge_index.tolist(), val.negatives.tolist()) == ([[0], [3]], [[1], [3]])
    assert (test.edge_index.tolist(), test.negatives.tolist()) == ([[0], [2]], [[3], [0]])
    assert train.undirected
    assert not val.undirected


def test_arxiv_in_its_raw_format(tmp_path, monkeypatch):
    arxiv(tmp_path / "ogbn_arxiv/ogbn_arxiv")
    recount(monkeypatch, "arxiv", nodes=4, edges=4, features=2, classes=2)
    graph = load("arxiv", tmp_path)
    assert graph.undirected
    assert edges_of(graph.pairs()).keys() == {(0, 1), (1, 2), (0, 3)}
    assert graph.x[2].tolist() == [4, -5]
    splits = load_splits("arxiv", tmp_path)
    assert [part.nodes().tolist() for part in splits] == [[0, 1], [2], [3]]
    assert [part.y.tolist() for part in splits] == [[1, 0, -1, -1], [-1, -1, 1, -1], [-1, -1, -1, 0]]
    drawn = load_splits("arxiv", tmp_path, task="node", official=False)  # 60 % of four nodes
    assert [len(part.nodes()) for part in drawn] == [2, 1, 1]


def test_github_in_its_raw_format(tmp_path, monkeypatch):
    (tmp_path / "musae_github").mkdir()
    with zipfile.ZipFile(tmp_path / "musae_github/git_web_ml.zip", "w") as packed:
        packed.writestr("git_web_ml/musae_git_edges.csv", "id_1,id_2\n0,2\n1,2\n2,1\n")
        packed.writestr("git_web_ml/musae_git_target.csv", 'id,name,ml_target\n1,"a,b",1\n0,c,0\n2,d,0\n')
        packed.writestr("git_web_ml/musae_git_features.json", json.dumps({"2": [0, 3], "0": [1, 1], "1": []}))
    recount(monkeypatch, "github", nodes=3, edges=2, features=4, classes=2)
    graph = load("github", tmp_path)
    assert graph.y.tolist() == [0, 1, 0]
    assert graph.x.tolist() == [[0, 1, 0, 0], [0, 0, 0, 0], [0.5, 0, 0, 0.5]]
    assert edges_of(graph.pairs()).keys() == {(0, 2), (1, 2)}


def test_mutag_in_its_raw_format(tmp_path, monkeypatch):
    folder = tmp_path / "tudataset/MUTAG/raw"
    folder.mkdir(parents=True)
    texts = {"A": "1, 2\n2, 1\n4, 3\n3, 4\n4, 5\n5, 4\n", "graph_indicator": "1\n1\n2\n2\n2\n"}
    texts |= {"graph_labels": "1\n-1\n", "node_labels": "0\n7\n0\n0\n7\n"}
    for part, text in texts.items():
        (folder / f"MUTAG_{part}.txt").write_text(text)
    recount(monkeypatch, "mutag", nodes=5, edges=3, features=2, classes=2, graphs=2)
    first, second = load_many("mutag", tmp_path)
    assert (first.num_nodes, second.num_nodes) == (2, 3)
    assert edges_of(second.pairs()).keys() == {(0, 1), (1, 2)}
    assert second.x.tolist() == [[1, 0], [1, 0], [0, 1]]
    assert (first.y.tolist(), second.y.tolist()) == ([1, 1], [0, 0, 0])
    (folder / "MUTAG_A.txt").write_text("1, 3\n3, 1\n4, 3\n3, 4\n4, 5\n5, 4\n")
    with pytest.raises(InputError, match=r"MUTAG_A\.txt.*between two graphs"):
        load_many("mutag", tmp_path)


def test_wrong_counts_name_file_found_and_expected(tmp_path):
    npz(tmp_path / "amazon/Photo/raw/amazon_electronics_photo.npz")
    with pytest.raises(InputError, match=r"amazon_electronics_photo\.npz: gives Amazon Photo 3 nodes, expected 7,650"):
        load("photo", tmp_path)


@pytest.mark.parametrize("count", ["nodes", "edges", "features", "classes"])
def test_every_count_is_checked(count, tmp_path, monkeypatch):
    npz(tmp_path / "amazon/Photo/raw/amazon_electronics_photo.npz")
    right = {"nodes": 3, "edges": 2, "features": 2, "classes": 2}
    recount(monkeypatch, "photo", **right | {count: 9})
    with pytest.raises(InputError, match=f"{count}, expected 9"):
        load("photo", tmp_path)


def test_a_hostile_planetoid_file_is_refused(tmp_path):
    folder = tmp_path / "planetoid/Cora/raw"
    planetoid(folder, "cora")
    (folder / "ind.cora.graph").write_bytes(b"cos\nsystem\n(S'echo hacked'\ntR.")
    with pytest.raises(InputError, match=r"ind\.cora\.graph.*os\.system"):
        load("cora", tmp_path)


def test_a_matrix_that_points_outside_itself_is_refused(tmp_path):
    folder = tmp_path / "planetoid/Cora/raw"
    planetoid(folder, "cora")
    evil = sp.csr_matrix(np.eye(6, 4, dtype=np.float32))
    evil.indices[0] = 10**6
    (folder / "ind.cora.allx").write_bytes(pickle.dumps(evil, protocol=2))
    with pytest.raises(InputError, match=r"ind\.cora\.allx"):
        load("cora", tmp_path)


def test_a_pickled_npz_is_refused(tmp_path):
    path = tmp_path / "amazon/Photo/raw/amazon_electronics_photo.npz"
    path.parent.mkdir(parents=True)
    np.savez(path, adj_data=np.array([{}], dtype=object))
    with pytest.raises(InputError, match=r"photo\.npz.*allow_pickle"):
        load("photo", tmp_path)


@pytest.mark.parametrize("text", ["a b\n", "a _unknown b\n", ""])
def test_broken_triples_are_named(text, tmp_path):
    (tmp_path / "raw").mkdir()
    for part in ("train", "valid", "test"):
        (tmp_path / f"raw/{part}.txt").write_text("a _hypernym b\n" if part != "valid" else text)
    with pytest.raises(InputError, match=r"valid\.txt"):
        load("wordnet18rr", tmp_path)


def test_edges_outside_the_graph_are_named(tmp_path, monkeypatch):
    arxiv(tmp_path)
    gz(tmp_path / "raw/edge.csv.gz", [(0, 9)])
    recount(monkeypatch, "arxiv", nodes=4, edges=1, features=2, classes=2)
    with pytest.raises(InputError, match=r"edge\.csv\.gz.*\[0, 4\) \(got 9\)"):
        load("arxiv", tmp_path)
