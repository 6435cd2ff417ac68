"""Loaders: published counts, raw formats, missing and broken files, official splits."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import pickle
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from graphforget import download
from graphforget.errors import InputError, UnknownName
from graphforget.folders import BadFile
from graphforget.gnn import data, readers, synthetic
from graphforget.gnn.cards import COLLECTIONS, DATASETS
from graphforget.gnn.data import load, load_many, load_splits
from graphforget.graph import Graph
from tests.small import both_ways, edges_of, same_random_state

README = Path(__file__).resolve().parents[2] / "data" / "README.md"
HERE = (
    "cora",
    "citeseer",
    "dblp",
    "cora_ml",
    "citeseer_full",
    "tolokers",
    "minesweeper",
    "actor",
    "acm",
    "wordnet18rr",
)
LARGE = ("cs", "computers", "blogcatalog", "github", "ddi")


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


class Reply(io.BytesIO):
    """What urlopen returns."""

    headers = None


def serve(monkeypatch, pages: dict[str, bytes]) -> list[str]:
    """A network that knows some pages, by the end of their address."""
    asked: list[str] = []

    def answer(url, **_):
        asked.append(url)
        for end, body in pages.items():
            if url.endswith(end):
                return Reply(body)
        raise OSError(f"404 {url}")

    monkeypatch.setattr(download.urllib.request, "urlopen", answer)
    return asked


def present(name: str, root: Path) -> None:
    card = {**DATASETS, **COLLECTIONS}[name]
    if download.locate(card, root) is None:
        pytest.skip(f"{card.title} is not in the data folder")


def recount(monkeypatch, name: str, **counts: int) -> None:
    """Give a card the counts of a small fixture."""
    table = DATASETS if name in DATASETS else COLLECTIONS
    monkeypatch.setitem(table, name, replace(table[name], pinned=False, **counts))


def tree(root: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in root.rglob("*") if path.is_file()}


# --- the real files


def check_published(name: str, root: Path) -> Graph:
    present(name, root)
    card, before = DATASETS[name], tree(root / DATASETS[name].folder)
    with same_random_state():
        graph = load(name, root)
    pairs = graph.pairs().shape[1]
    assert (graph.num_nodes, pairs) == (card.nodes, card.edges)
    assert (graph.x.shape[1] if "x" in graph.features else 0) == card.features
    assert (0 if graph.y is None else int(graph.y.max()) + 1) == card.classes
    assert graph.undirected == card.undirected
    if card.undirected:
        assert graph.num_edges == 2 * pairs
        assert not bool((graph.edge_index[0] == graph.edge_index[1]).any())
    if card.bag_of_words:
        total = graph.x.sum(1)
        assert bool((total.sub(1).abs() < 1e-4).logical_or(total < 1).all())
    assert tree(root / card.folder) == before  # used in place, nothing written
    return graph


@pytest.mark.parametrize("name", HERE)
def test_published_counts(name, data_root):
    check_published(name, data_root)


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGE)
def test_published_counts_of_large_graphs(name, data_root):
    check_published(name, data_root)


@pytest.mark.parametrize(("name", "title"), [("cora", "Cora"), ("citeseer", "CiteSeer")])
def test_planetoid_equals_pyg(name, title, data_root):
    from torch_geometric.io import read_planetoid_data
    from torch_geometric.transforms import NormalizeFeatures

    present(name, data_root)
    theirs = NormalizeFeatures()(read_planetoid_data(str(data_root / f"planetoid/{title}/raw"), name))
    ours = load(name, data_root)
    assert both_ways(ours.edge_index) == both_ways(theirs.edge_index)
    assert ours.x.equal(theirs.x)
    known = ours.y >= 0
    assert ours.y[known].equal(theirs.y[known])
    assert int((~known).sum()) == {"cora": 0, "citeseer": 15}[name]
    assert not bool(ours.x[~known].any())


@pytest.mark.parametrize(
    ("name", "file"), [("dblp", "dblp/raw/dblp.npz"), ("citeseer_full", "citeseer/raw/citeseer.npz")]
)
def test_npz_equals_pyg(name, file, data_root):
    from torch_geometric.io import read_npz
    from torch_geometric.transforms import NormalizeFeatures

    present(name, data_root)
    theirs = read_npz(str(data_root / "citationfull" / file))
    ours = load(name, data_root, normalize=False)
    assert edges_of(ours.edge_index) == edges_of(theirs.edge_index)
    assert ours.y.equal(theirs.y)
    assert ours.x.equal(theirs.x)
    assert load(name, data_root).x.equal(NormalizeFeatures()(theirs).x)


def test_labels_are_numbered_from_zero(data_root):
    present("blogcatalog", data_root)
    raw = readers.npz(download.obtain(DATASETS["blogcatalog"], data_root))
    assert set(raw.y) == set(range(6))  # the file counts from 1


def test_wordnet_equals_pyg(data_root, tmp_path):
    from torch_geometric.datasets import WordNet18RR

    present("wordnet18rr", data_root)
    shutil.copytree(data_root / "wordnet18rr/raw", tmp_path / "raw")
    theirs = WordNet18RR(str(tmp_path))[0]
    ours = load("wordnet18rr", data_root)

    def facts(edge_index, kind):
        return sorted(zip(*edge_index.tolist(), kind.tolist(), strict=True))

    assert facts(ours.edge_index, ours.edge_attrs["type"]) == facts(theirs.edge_index, theirs.edge_type)
    splits = load_splits("wordnet18rr", data_root)
    assert [part.num_edges for part in splits] == [86_835, 3_034, 3_134]
    parts = (theirs.train_mask, theirs.val_mask, theirs.test_mask)
    for part, mask in zip(splits, parts, strict=True):
        assert facts(part.edge_index, part.edge_attrs["type"]) == facts(
            theirs.edge_index[:, mask], theirs.edge_type[mask]
        )
    for part in splits[1:]:
        assert part.negatives.shape[1] == part.num_edges
        assert not bool(ours.has_edges(part.negatives).any())


@pytest.mark.slow
def test_ddi_has_its_official_split(data_root):
    present("ddi", data_root)
    splits = load_splits("ddi", data_root)
    train, val, test = splits
    assert [train.pairs().shape[1], val.num_edges, test.num_edges] == [1_067_911, 133_489, 133_489]
    assert [val.negatives.shape[1], test.negatives.shape[1]] == [101_882, 95_599]
    for part in (val, test):
        assert not bool(train.has_edges(part.edge_index).any())
        assert not bool(train.has_edges(part.edge_index.flip(0)).any())
        assert not bool(train.has_edges(part.negatives).any())
    drawn = load_splits("ddi", data_root, official=False)
    assert drawn.val.num_edges == int(0.05 * 1_334_889)


@pytest.mark.parametrize(("name", "graphs"), [("mutag", 188), ("proteins", 1113)])
def test_collections(name, graphs, data_root):
    present(name, data_root)
    found = load_many(name, data_root)
    card = COLLECTIONS[name]
    assert len(found) == graphs
    assert sum(graph.num_nodes for graph in found) == card.nodes
    assert sum(graph.pairs().shape[1] for graph in found) == card.edges
    assert all(len(graph.y.unique()) == 1 and graph.x.sum(1).eq(1).all() for graph in found)
    assert {int(graph.y[0]) for graph in found} == {0, 1}
    with pytest.raises(InputError, match="load_many"):
        load(name, data_root)


# --- without files


def test_digits_is_the_same_everywhere():
    with same_random_state():
        graph = load("digits", seed=1)
    assert (graph.num_nodes, graph.x.shape[1], int(graph.y.max())) == (1797, 64, 9)
    code = graph.edge_index[0] * graph.num_nodes + graph.edge_index[1]
    digest = hashlib.sha256(code.numpy().tobytes()).hexdigest()
    assert graph.pairs().shape[1] == 9929
    assert digest == DIGITS
    assert float((graph.y[graph.edge_index[0]] == graph.y[graph.edge_index[1]]).float().mean()) > 0.95
    assert int(graph.degree.min()) >= 8
    with pytest.raises(InputError, match="neighbours"):
        synthetic.digits(0)


DIGITS = "9af267ac88b644e04c991626861d6636b636ae68dcba63c485b3079492af8afc"


def test_digits_are_nearest_neighbours():
    graph = synthetic.digits(3)
    x = (graph.x.double() * 16).round()
    for node in (0, 7, 1796):
        distance = ((x - x[node]) ** 2).sum(1)
        distance[node] = np.inf
        near = np.lexsort((np.arange(len(x)), distance.numpy()))[:3]
        neighbours = set(graph.edge_index[1, graph.edge_index[0] == node].tolist())
        assert set(near.tolist()) <= neighbours


def test_karate():
    graph = load("karate")
    assert (graph.num_nodes, graph.pairs().shape[1], dict(graph.features)) == (34, 78, {})
    assert graph.y[0] == 0
    assert graph.y[33] == 1


def test_sbm_follows_its_chances_and_its_seed():
    with same_random_state():
        graph = synthetic.sbm((200, 300), 0.1, 0.01, num_features=4, signal=5.0, seed=3)
    pairs = graph.pairs()
    inside = graph.y[pairs[0]] == graph.y[pairs[1]]
    expected = 0.1 * (200 * 199 / 2 + 300 * 299 / 2)
    assert abs(int(inside.sum()) - expected) < 5 * expected**0.5
    assert abs(int((~inside).sum()) - 600) < 5 * 600**0.5
    means = torch.stack([graph.x[graph.y == block].mean(0) for block in (0, 1)])
    assert bool(((means.norm(dim=1) - 5).abs() < 0.5).all())
    again = synthetic.sbm((200, 300), 0.1, 0.01, num_features=4, signal=5.0, seed=3)
    assert again.edge_index.equal(graph.edge_index)
    assert again.x.equal(graph.x)
    assert not synthetic.sbm((200, 300), 0.1, 0.01, seed=4).edge_index.equal(graph.edge_index)
    assert not load("sbm", seed=1).edge_index.equal(load("sbm", seed=2).edge_index)
    assert load("sbm").x.shape == (DATASETS["sbm"].nodes, DATASETS["sbm"].features)


@pytest.mark.parametrize("bad", [{"sizes": ()}, {"sizes": (0, 3)}, {"p_in": 1.5}, {"p_out": -0.1}, {"num_features": 0}])
def test_sbm_refuses_nonsense(bad):
    with pytest.raises(InputError, match="must"):
        synthetic.sbm(**bad)


# --- tiny fixtures in the true raw formats


def planetoid(folder: Path, name: str, skip: int | None = None) -> None:
    """Six training and four test nodes in a ring of four words; ``skip`` leaves a test node out, as CiteSeer does."""
    folder.mkdir(parents=True, exist_ok=True)
    x = np.tile(np.eye(4, dtype=np.float32), (3, 1))[:10] + np.eye(10, 4, k=-1, dtype=np.float32)
    labels = np.eye(3, dtype=np.int32)[np.arange(10) % 3]
    test = np.array([9, 7, 6, 8])
    test = test[test != skip]
    graph = {u: [(u + 1) % 10, (u - 1) % 10] for u in range(10)}
    if skip is not None:
        graph = {u: [v for v in near if v != skip] for u, near in graph.items()} | {skip: []}
    parts = {
        "x": sp.csr_matrix(x[:2]),
        "tx": sp.csr_matrix(x[test]),
        "allx": sp.csr_matrix(x[:6]),
        "y": labels[:2],
        "ty": labels[test],
        "ally": labels[:6],
        "graph": graph,
    }
    for part, value in parts.items():
        text = pickle.dumps(value, protocol=2).replace(b"scipy.sparse._csr", b"scipy.sparse.csr")
        (folder / f"ind.{name}.{part}").write_bytes(text)
    (folder / f"ind.{name}.test.index").write_text("".join(f"{each}\n" for each in test))


def npz(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    adjacency = sp.csr_matrix(np.array([[0, 2.0, 0], [0, 1, 1], [0, 0, 0]], dtype=np.float32))
    words = sp.csr_matrix(np.array([[3.0, 1], [0, 0], [0, 2]], dtype=np.float32))
    fields = {"labels": np.array([2, 1, 2]), "class_names": np.array([{"a": 1}], dtype=object)}
    for name, matrix in (("adj", adjacency), ("attr", words)):
        fields |= {f"{name}_{part}": getattr(matrix, part) for part in ("data", "indices", "indptr", "shape")}
    np.savez_compressed(path, **fields)


def gz(path: Path, rows: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt") as file:
        csv.writer(file).writerows(rows)


def collab(folder: Path) -> None:
    gz(folder / "raw/edge.csv.gz", [(0, 1), (1, 0), (1, 2), (2, 3)])
    gz(folder / "raw/node-feat.csv.gz", [(0.5, -1.25), (1e-3, 0), (2, 3), (4, 5)])
    (folder / "split/time").mkdir(parents=True)
    for part, edge, negative in (("valid", (0, 3), (1, 3)), ("test", (0, 2), (3, 0))):
        saved = {
            "edge": np.array([edge]),
            "weight": np.array([1]),
            "year": np.array([2018]),
            "edge_neg": np.array([negative]),
        }
        torch.save(saved, folder / f"split/time/{part}.pt", _use_new_zipfile_serialization=False)


def arxiv(folder: Path) -> None:
    gz(folder / "raw/edge.csv.gz", [(0, 1), (1, 2), (2, 1), (3, 0)])
    gz(folder / "raw/node-feat.csv.gz", [(0.5, 1), (2, 3), (4, -5), (6, 7)])
    gz(folder / "raw/node-label.csv.gz", [[1], [0], [1], [0]])
    for part, nodes in (("train", [0, 1]), ("valid", [2]), ("test", [3])):
        gz(folder / f"split/time/{part}.csv.gz", [[node] for node in nodes])


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


# --- what goes wrong


def test_unknown_names_get_a_hint():
    with pytest.raises(UnknownName, match="did you mean 'cora'"):
        load("corra")
    with pytest.raises(UnknownName, match="collection of graphs"):
        load_many("cora")
    with pytest.raises(UnknownName, match="task"):
        load_splits("karate", task="edges")


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


# --- splits and cards


def test_splits_follow_the_card_and_the_seed(monkeypatch):
    link = load_splits("karate", task="link", seed=1)
    assert [part.num_edges for part in link] == [144, 3, 3]
    assert not link.test.edge_index.equal(load_splits("karate", task="link", seed=2).test.edge_index)
    node = load_splits("karate")
    assert [len(part.nodes()) for part in node] == [20, 7, 7]
    monkeypatch.setattr(synthetic, "karate", lambda: replace(synthetic.sbm((5, 5)), y=None))
    with pytest.raises(InputError, match="no labels"):
        load_splits("karate")


def test_every_card_can_be_read_and_says_where_it_is_from():
    for name, card in {**DATASETS, **COLLECTIONS}.items():
        assert name == name.lower()
        assert card.title
        assert card.source
        assert card.licence
        assert card.task in ("link", "node", "graph")
        if card.files:
            assert card.layout in readers.READERS or card.layout == "tu"
            assert card.url.startswith("https://")
            assert all(sha == "" or len(sha) == 64 for sha in card.files.values())
            assert not card.pinned or all(card.files.values())
        else:
            assert card.layout in ("digits", "karate", "sbm")


def test_checksums_are_those_of_the_files(data_root):
    wrong = []
    for card in (*DATASETS.values(), *COLLECTIONS.values()):
        for name, path in (download.locate(card, data_root) or {}).items():
            if card.files[name] and hashlib.sha256(path.read_bytes()).hexdigest() != card.files[name]:
                wrong.append(name)
    assert wrong == []


def test_the_readme_lists_every_data_set():
    text = README.read_text(encoding="utf-8")
    for name, card in {**DATASETS, **COLLECTIONS}.items():
        assert f"`{name}`" in text
        for fact in (card.title, card.source, card.licence, card.note, f"{card.nodes:,}"):
            assert fact in text, (name, fact)
        for file, sha in card.files.items():
            assert file in text
            assert sha in text


def test_data_is_the_door():
    assert set(data.__all__) <= set(vars(data))
