"""Loaders on the real files: published counts, PyG's own readers, official splits."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from graphforget import download
from graphforget.errors import InputError
from graphforget.gnn import readers
from graphforget.gnn.cards import COLLECTIONS, DATASETS
from graphforget.gnn.data import load, load_many, load_splits
from graphforget.graph import Graph
from tests.gnn.raw_files import present, tree
from tests.small import both_ways, edges_of, same_random_state

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
