"""The door of the data sets: graphs without files, names, splits and cards."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from graphforget import download
from graphforget.errors import InputError, UnknownName
from graphforget.gnn import data, readers, synthetic
from graphforget.gnn.cards import COLLECTIONS, DATASETS
from graphforget.gnn.data import load, load_many, load_splits
from tests.small import same_random_state

README = Path(__file__).resolve().parents[2] / "data" / "README.md"


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


def test_unknown_names_get_a_hint():
    with pytest.raises(UnknownName, match="did you mean 'cora'"):
        load("corra")
    with pytest.raises(UnknownName, match="collection of graphs"):
        load_many("cora")
    with pytest.raises(UnknownName, match="task"):
        load_splits("karate", task="edges")


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
