"""Pools of edges and nodes, planted poison and planted wrong labels."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch_geometric.utils import k_hop_subgraph

from graphforget import download
from graphforget.errors import InputError, UnknownName
from graphforget.forget import ForgetSplit
from graphforget.gnn.data import DATASETS, load_splits
from graphforget.gnn.selectors import (
    EDGE_POOLS,
    NODE_POOLS,
    edges_in_reach,
    plant_mislabelled,
    plant_poison,
    select_edges,
    select_nodes,
)
from graphforget.graph import Graph
from graphforget.splits import Splits, split_edges, split_nodes
from tests.small import edges_of, same_random_state, sbm, snapshot


@pytest.fixture(scope="module")
def link() -> Splits[Graph]:
    return split_edges(sbm(60, inside=0.15, between=0.03), val=0.05, test=0.05, seed=1)


@pytest.fixture(scope="module")
def node() -> Splits[Graph]:
    return split_nodes(sbm(60))


def chosen(request) -> set[tuple[int, int]]:
    pairs = request.parts["edge"]
    assert request.kinds == ("edge",)
    assert pairs.dim() == 2
    assert bool((pairs[0] < pairs[1]).all())
    return set(edges_of(pairs))


# --- edges


@pytest.mark.parametrize("pool", EDGE_POOLS)
def test_a_pool_gives_train_edges_and_follows_its_seed(pool, link):
    before = [snapshot(part) for part in link]
    with same_random_state():
        request = select_edges(link, pool, count=3, seed=5)
    assert chosen(request) <= set(edges_of(link.train.pairs()))
    assert select_edges(link, pool, count=3, seed=5).digest == request.digest
    for part, kept in zip(link, before, strict=True):
        assert all(value.equal(kept[name]) for name, value in snapshot(part).items())
    ForgetSplit.of(link.train, request, link.val)


def test_seeds_draw_different_edges(link):
    assert select_edges(link, "random", count=5, seed=1).digest != select_edges(link, "random", count=5, seed=2).digest


def test_a_ratio_is_in_percent_of_undirected_edges_rounded_down(link):
    total = link.train.pairs().shape[1]
    for ratio in (2.5, 10, 33.3):
        assert len(chosen(select_edges(link, "random", ratio=ratio))) == int(total * ratio / 100)
    assert len(chosen(select_edges(link, "random", ratio=100))) == total


def test_in_and_out_are_the_two_hop_neighbourhood_of_the_test_edges(link):
    pairs = link.train.pairs()
    seeds = link.test.edge_index.unique()
    nodes, *_ = k_hop_subgraph(seeds, 2, link.train.edge_index, num_nodes=link.train.num_nodes)
    expected = torch.isin(pairs, nodes).all(0)
    inside = edges_in_reach(link, pairs)
    assert inside.equal(expected)
    if bool((~inside).any()):
        assert not chosen(select_edges(link, "out", count=1)) & set(edges_of(pairs[:, inside]))
    assert chosen(select_edges(link, "in", count=5)) <= set(edges_of(pairs[:, inside]))


def test_legacy_pools_are_those_of_gnndeletes_code(link):
    pairs = link.train.pairs()  # row < col, as in its prepare_dataset.py
    _, _, _, mask = k_hop_subgraph(link.test.edge_index.flatten().unique(), 2, pairs, num_nodes=link.train.num_nodes)
    assert edges_in_reach(link, pairs, legacy=True).equal(mask)
    assert int(mask.sum()) < int(edges_in_reach(link, pairs).sum())
    assert chosen(select_edges(link, "in_legacy", count=4)) <= set(edges_of(pairs[:, mask]))
    assert chosen(select_edges(link, "out_legacy", count=4)) <= set(edges_of(pairs[:, ~mask]))


def test_legacy_walks_only_to_smaller_ids():
    train = Graph.from_edges(torch.tensor([[0, 1, 2, 3, 4], [1, 2, 3, 4, 5]]), 6)
    test = replace(train, edge_index=torch.tensor([[3], [3]]), undirected=False)
    splits = Splits(train, test, test)
    assert edges_in_reach(splits, train.pairs(), legacy=True).tolist() == [False, True, True, False, False]
    assert edges_in_reach(splits, train.pairs()).tolist() == [False, True, True, True, True]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "edges", "legacy", "true"), [("dblp", 47_581, 60.7, 94.8), ("cs", 73_706, 79.0, 99.3)]
)
def test_measured_coverage(name, edges, legacy, true, data_root):
    if download.locate(DATASETS[name], data_root) is None:
        pytest.skip(f"{name} is not in the data folder")
    splits = load_splits(name, data_root, task="link", seed=42)
    pairs = splits.train.pairs()
    assert pairs.shape[1] == edges
    for mode, expected in ((True, legacy), (False, true)):
        share = 100 * float(edges_in_reach(splits, pairs, legacy=mode).float().mean())
        assert share == pytest.approx(expected, abs=1.0)  # another permutation than theirs
    assert select_edges(splits, "random", ratio=2.5).parts["edge"].shape[1] == {"dblp": 1189, "cs": 1842}[name]
    with pytest.raises(InputError, match=r"the pool out of .* holds"):
        select_edges(splits, "out", ratio=10)


def test_hubs_and_low_degree(link):
    degree, pairs = link.train.degree, link.train.pairs()
    total = sorted(degree[pairs].sum(0).tolist())
    for pool, expected in (("hubs", total[-6:]), ("low_degree", total[:6])):
        found = select_edges(link, pool, count=6).parts["edge"]
        assert sorted(degree[found].sum(0).tolist()) == expected


def test_a_pool_that_is_too_small_gives_both_numbers(link):
    total = link.train.pairs().shape[1]
    inside = int(edges_in_reach(link, link.train.pairs()).sum())
    for pool, size in (("random", total), ("in", inside), ("out", total - inside), ("hubs", total)):
        with pytest.raises(InputError, match=f"holds {size:,}, but {total + 1:,} are asked for"):
            select_edges(link, pool, count=total + 1)


@pytest.mark.parametrize(
    "bad", [{}, {"ratio": 1, "count": 1}, {"ratio": 0}, {"ratio": 101}, {"ratio": -2.5}, {"ratio": 0.001}, {"count": 0}]
)
def test_a_size_that_means_nothing_is_refused(bad, link):
    with pytest.raises(InputError, match="got"):
        select_edges(link, "random", **bad)


def test_unknown_pools_get_a_hint(link, node):
    with pytest.raises(UnknownName, match="did you mean 'in_legacy'"):
        select_edges(link, "in_legcy", count=1)
    with pytest.raises(UnknownName, match="did you mean 'hubs'"):
        select_nodes(node, "hub", count=1)
    with pytest.raises(InputError, match="plant_mislabelled"):
        select_nodes(node, "mislabelled", count=1)


def test_in_needs_test_edges(node):
    with pytest.raises(InputError, match="in and out need test edges"):
        select_edges(node, "in", count=1)
    assert len(chosen(select_edges(node, "random", count=3))) == 3


def test_directed_graphs_with_parallel_edges():
    edges = torch.tensor([[0, 0, 1, 2, 3, 4, 5, 6, 7, 8], [1, 1, 0, 3, 4, 5, 6, 7, 8, 9]])
    graph = Graph(edges, (10, 10), edge_attrs={"type": torch.arange(10) % 2})
    splits = split_edges(graph, val=0.2, test=0.2)
    request = select_edges(splits, "random", ratio=100)
    assert set(edges_of(request.parts["edge"])) == set(edges_of(splits.train.edge_index))


# --- nodes


@pytest.mark.parametrize("pool", NODE_POOLS)
def test_a_pool_gives_train_nodes(pool, node):
    with same_random_state():
        request = select_nodes(node, pool, count=4, seed=1)
    ids = request.parts["node"]
    assert len(ids) == 4
    assert bool(node.train.node_mask[ids].all())
    assert select_nodes(node, pool, count=4, seed=1).digest == request.digest
    if pool == "class":
        assert len(node.train.y[ids].unique()) == 1
    degree = node.train.degree[node.train.nodes()].sort().values
    if pool in ("hubs", "low_degree"):
        expected = degree[-4:] if pool == "hubs" else degree[:4]
        assert node.train.degree[ids].sort().values.equal(expected)


def test_a_whole_class(node):
    request = select_nodes(node, "class", seed=0)
    assert request.kinds == ("node_class",)
    assert len({int(select_nodes(node, "class", seed=seed).parts["node_class"]) for seed in range(20)}) == 3


def test_node_pools_that_cannot_be_met(node):
    with pytest.raises(InputError, match="holds 36, but 37 are asked for"):
        select_nodes(node, "random", count=37)
    with pytest.raises(InputError, match=r"class \d holds \d+, but 30"):
        select_nodes(node, "class", count=30)
    with pytest.raises(InputError, match="ratio in percent or a count"):
        select_nodes(node, "random")
    with pytest.raises(InputError, match="no labels"):
        select_nodes(Splits(*(replace(part, y=None) for part in node)), "class")


def test_removed_nodes_are_not_chosen_again(node):
    from graphforget.forget import ForgetRequest

    left = ForgetSplit.of(node.train, ForgetRequest.of("node", node.train.nodes()[:30]), node.val).retain
    splits = Splits(left, node.val, node.test)
    assert set(select_nodes(splits, "random", count=6).parts["node"].tolist()) == set(node.train.nodes()[30:].tolist())


# --- what is planted


@pytest.mark.parametrize("kind", ["link", "node"])
def test_poison_joins_classes_and_is_new(kind, link, node):
    splits = link if kind == "link" else node
    whole = sbm(60).y
    before = [snapshot(part) for part in splits]
    with same_random_state():
        poisoned, request = plant_poison(splits, ratio=10, seed=4)
    added = request.parts["edge"]
    assert added.shape[1] == int(splits.train.pairs().shape[1] * 0.1)
    assert bool((whole[added[0]] != whole[added[1]]).all())
    assert not any(bool(part.has_edges(both).any()) for part in splits for both in (added, added.flip(0)))
    assert set(edges_of(poisoned.train.pairs())) == set(edges_of(splits.train.pairs())) | chosen(request)
    poisoned.train.validate()
    retained = ForgetSplit.of(poisoned.train, request, poisoned.val).retain
    assert edges_of(retained.edge_index) == edges_of(splits.train.edge_index)
    for old, new in zip(splits[1:], poisoned[1:], strict=True):
        assert new.num_edges == old.num_edges + (2 * added.shape[1] if kind == "node" else 0)
        if old.negatives is not None:
            assert not chosen(request) & {tuple(sorted(pair)) for pair in old.negatives.T.tolist()}
    for part, kept in zip(splits, before, strict=True):
        assert all(value.equal(kept[name]) for name, value in snapshot(part).items())
    assert plant_poison(splits, ratio=10, seed=4)[1].digest == request.digest
    assert plant_poison(splits, ratio=10, seed=5)[1].digest != request.digest


def test_every_free_pair_can_be_poison():
    y = torch.tensor([0, 0, 1, 1])
    train = Graph.from_edges(torch.tensor([[0, 2, 0], [1, 3, 2]]), 4, y=y)  # cross pairs left: 0-3, 1-2, 1-3
    view = replace(train, edge_index=torch.tensor([[1], [3]]), undirected=False)
    poisoned, request = plant_poison(Splits(train, view, view), ratio=67)
    assert chosen(request) == {(0, 3), (1, 2)}
    assert poisoned.train.num_edges == 10
    with pytest.raises(InputError, match="3 cross-class edges are asked for, but only 2"):
        plant_poison(Splits(train, view, view), ratio=100)


def test_poison_needs_labels_and_no_attributes(link):
    with pytest.raises(InputError, match="no labels"):
        plant_poison(Splits(*(replace(part, y=None) for part in link)), ratio=1)
    with pytest.raises(InputError, match="two labels"):
        plant_poison(Splits(*(replace(part, y=torch.zeros_like(part.y)) for part in link)), ratio=1)
    weighted = replace(link.train, edge_attrs={"weight": torch.ones(link.train.num_edges)})
    with pytest.raises(InputError, match="attributes cannot be planted"):
        plant_poison(Splits(weighted, link.val, link.test), ratio=1)
    with pytest.raises(InputError, match="percent"):
        plant_poison(link, ratio=0)


@pytest.mark.parametrize("kind", ["node", "label"])
def test_wrong_labels(kind, node):
    with same_random_state():
        wrong, request = plant_mislabelled(node, count=9, kind=kind, seed=2)
    ids = request.parts[kind]
    changed = (wrong.train.y != node.train.y).nonzero().flatten()
    assert set(changed.tolist()) == set(ids.tolist())
    assert len(ids) == 9
    assert bool((wrong.train.y[ids] >= 0).all())
    assert int(wrong.train.y.max()) <= 2
    assert wrong.val is node.val
    ForgetSplit.of(wrong.train, request, wrong.val)
    with pytest.raises(InputError, match="holds 36, but 99"):
        plant_mislabelled(node, count=99)
    with pytest.raises(UnknownName, match="kind"):
        plant_mislabelled(node, count=1, kind="edge")


def test_wrong_labels_are_spread_over_the_other_classes():
    y = torch.arange(3000) % 3 * 2  # labels 0, 2, 4
    graph = Graph.from_edges(torch.tensor([[0], [1]]), 3000, y=y)
    splits = split_nodes(graph)
    wrong, request = plant_mislabelled(splits, count=1500)
    ids = request.parts["node"]
    step = (wrong.train.y[ids] - splits.train.y[ids]) % 6
    counts = torch.bincount(step, minlength=6).tolist()
    assert counts[0] == counts[1] == counts[3] == counts[5] == 0
    assert abs(counts[2] - 750) < 100
