"""PyG's sampling contract, on PyG's own loaders."""

from __future__ import annotations

import pickle
from collections import Counter

import numpy as np
import pytest
import torch
from torch_geometric.data import Data, HeteroData
from torch_geometric.loader import LinkLoader, NodeLoader
from torch_geometric.nn import SAGEConv
from torch_geometric.sampler import EdgeSamplerInput, NegativeSampling, NodeSamplerInput, NumNeighbors
from torch_geometric.testing import MyFeatureStore, MyGraphStore
from torch_geometric.utils import k_hop_subgraph

from graphforget.errors import InputError, NotApplicable
from graphforget.gnn import data as gnn_data
from graphforget.gnn.loaders import LinkNeighborLoader, NeighborLoader
from graphforget.gnn.sampler import NeighborSampler


def random_graph(num_nodes=60, num_edges=400, seed=0, **more) -> Data:
    draw = torch.Generator().manual_seed(seed)
    edges = torch.randint(num_nodes, (2, num_edges), generator=draw)
    return Data(x=torch.randn(num_nodes, 4, generator=draw), edge_index=edges, **more)


def bipartite(seed=0, users=30, items=20, num=150) -> HeteroData:
    draw = torch.Generator().manual_seed(seed)
    data = HeteroData()
    data["user"].x, data["item"].x = torch.randn(users, 3, generator=draw), torch.randn(items, 5, generator=draw)
    pairs = torch.stack([torch.randint(users, (num,), generator=draw), torch.randint(items, (num,), generator=draw)])
    data["user", "likes", "item"].edge_index = pairs
    data["item", "rev_likes", "user"].edge_index = pairs.flip(0)
    data["user", "knows", "user"].edge_index = torch.randint(users, (2, 60), generator=draw)
    return data


def nodes(ids, time=None, kind=None) -> NodeSamplerInput:
    return NodeSamplerInput(None, torch.tensor(ids), None if time is None else torch.tensor(time), kind)


def check_homogeneous(out, data, perm, seeds, fan_outs, replace=False):
    """Every field of a directional sample says what PyG's contract says."""
    assert out.node[: len(seeds)].tolist() == list(seeds)
    assert len(out.num_sampled_nodes) == len(out.num_sampled_edges) + 1 == len(fan_outs) + 1
    assert sum(out.num_sampled_nodes) == len(out.node)
    assert sum(out.num_sampled_edges) == len(out.row) == len(out.col) == len(out.edge)
    if out.batch is None:
        assert len(set(out.node.tolist())) == len(out.node)
    else:
        assert len(set(zip(out.batch.tolist(), out.node.tolist(), strict=True))) == len(out.node)
        assert (out.batch[out.row] == out.batch[out.col]).all()
    ends = torch.stack([out.node[out.row], out.node[out.col]])
    assert ends.equal(data.edge_index[:, perm[out.edge]])
    degree = torch.bincount(data.edge_index[1], minlength=data.num_nodes)
    first_node, first_edge = 0, 0
    for hop, fan in enumerate(fan_outs):
        frontier = range(first_node, first_node + out.num_sampled_nodes[hop])
        drawn = slice(first_edge, first_edge + out.num_sampled_edges[hop])
        count = Counter(out.col[drawn].tolist())
        assert set(count) <= set(frontier)
        for place in frontier:
            have = int(degree[out.node[place]])
            want = have if fan < 0 else (fan if replace and have else min(have, fan))
            assert count[place] == want
        if not replace:
            assert len(set(zip(out.col[drawn].tolist(), out.edge[drawn].tolist(), strict=True))) == want_all(drawn)
        first_node, first_edge = frontier.stop, drawn.stop
        assert (out.row[drawn] < first_node + out.num_sampled_nodes[hop + 1]).all()


def want_all(drawn: slice) -> int:
    return drawn.stop - drawn.start


@pytest.mark.parametrize("disjoint", [False, True])
@pytest.mark.parametrize("replace", [False, True])
@pytest.mark.parametrize("fan_outs", [[3, 2], [-1, 1, 4], [50]])
def test_a_homogeneous_sample_keeps_the_contract(disjoint, replace, fan_outs):
    data = random_graph()
    sampler = NeighborSampler(data, fan_outs, replace=replace, disjoint=disjoint)
    seeds = [5, 59, 0, 17]
    for _ in range(3):
        out = sampler.sample_from_nodes(nodes(seeds))
        check_homogeneous(out, data, sampler.edge_permutation, seeds, fan_outs, replace)
        assert (out.batch is not None) == disjoint


def test_all_neighbours_give_the_k_hop_subgraph():
    data = random_graph(200, 500)
    subset, *_ = k_hop_subgraph([3, 8], 2, data.edge_index, num_nodes=200)
    out = NeighborSampler(data, [-1, -1]).sample_from_nodes(nodes([3, 8]))
    assert sorted(out.node.tolist()) == subset.tolist()


def test_loaders_of_pyg_take_the_sampler_and_the_drop_in_equals_them():
    data = random_graph(y=torch.arange(60))
    plain = NodeLoader(data, node_sampler=NeighborSampler(data, [4, 4]), input_nodes=torch.arange(30), batch_size=8)
    ours = NeighborLoader(data, [4, 4], input_nodes=torch.arange(30), batch_size=8)
    for a, b in zip(plain, ours, strict=True):
        assert a.n_id.equal(b.n_id)
        assert a.edge_index.equal(b.edge_index)
        assert a.e_id.equal(b.e_id)
        assert b.x.equal(data.x[b.n_id])
        assert b.y.equal(data.y[b.n_id])
        assert b.n_id[: b.batch_size].equal(b.input_id)
        assert data.edge_index[:, b.e_id].equal(b.n_id[b.edge_index])


def test_a_network_learns_cora_from_mini_batches(data_root):
    splits = gnn_data.load_splits("cora", root=data_root, task="node", seed=0)
    graph = splits.train
    data = Data(x=graph.x, edge_index=graph.edge_index, y=graph.y)
    torch.manual_seed(0)
    convs = torch.nn.ModuleList([SAGEConv(data.num_features, 32), SAGEConv(32, int(data.y.max()) + 1)])
    optimizer = torch.optim.Adam(convs.parameters(), lr=0.01)

    def forward(batch):
        return convs[1](convs[0](batch.x, batch.edge_index).relu(), batch.edge_index)[: batch.batch_size]

    for _ in range(4):
        for batch in NeighborLoader(data, [10, 10], graph.nodes(), batch_size=128, shuffle=True):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(forward(batch), batch.y[: batch.batch_size]).backward()
            optimizer.step()
    test, hit = splits.test.nodes(), 0
    seen = Data(x=graph.x, edge_index=splits.test.edge_index, y=splits.test.y)
    with torch.no_grad():
        for batch in NeighborLoader(seen, [-1, -1], test, batch_size=500):
            hit += int((forward(batch).argmax(1) == batch.y[: batch.batch_size]).sum())
    assert hit / len(test) > 0.75


def test_each_call_draws_anew_and_a_seed_draws_again():
    data = random_graph()
    one, other = NeighborSampler(data, [3], seed=4), NeighborSampler(data, [3], seed=4)
    state = torch.get_rng_state()
    first, second = (one.sample_from_nodes(nodes(range(60))).edge for _ in range(2))
    assert torch.get_rng_state().equal(state)
    assert not first.equal(second)
    assert other.sample_from_nodes(nodes(range(60))).edge.equal(first)
    assert not NeighborSampler(data, [3], seed=5).sample_from_nodes(nodes(range(60))).edge.equal(first)


def test_workers_draw_apart_and_again_the_same():
    data = random_graph()

    def epoch():
        generator = torch.Generator().manual_seed(1)
        loader = NeighborLoader(
            data, [2], torch.zeros(4, dtype=torch.long), batch_size=1, num_workers=2, generator=generator
        )
        return [batch.e_id.tolist() for batch in loader]

    drawn = epoch()
    assert drawn == epoch()
    assert drawn[0] != drawn[1]
    assert pickle.loads(pickle.dumps(NeighborSampler(data, [2]))).sample_from_nodes(nodes([0])).node[0] == 0


@pytest.mark.parametrize("disjoint", [False, True])
def test_a_heterogeneous_sample_keeps_the_contract(disjoint):
    data = bipartite()
    fans = {("user", "likes", "item"): [3, 2], ("item", "rev_likes", "user"): [2, 2], ("user", "knows", "user"): [0, 4]}
    sampler = NeighborSampler(data, fans, disjoint=disjoint)
    out = sampler.sample_from_nodes(nodes([1, 7, 19], kind="item"))
    assert out.node["item"][:3].tolist() == [1, 7, 19]
    assert out.num_sampled_nodes["user"][0] == 0
    assert out.num_sampled_edges["user", "knows", "user"][0] == 0
    assert sum(out.num_sampled_edges["user", "knows", "user"]) > 0
    for kind in ("user", "item"):
        assert sum(out.num_sampled_nodes[kind]) == len(out.node[kind])
    for each in data.edge_types:
        source, _, target = each
        ends = torch.stack([out.node[source][out.row[each]], out.node[target][out.col[each]]])
        assert ends.equal(data[each].edge_index[:, sampler.edge_permutation[each][out.edge[each]]])
        if disjoint:
            assert out.batch[source][out.row[each]].equal(out.batch[target][out.col[each]])
        else:
            assert len(set(out.node[source].tolist())) == len(out.node[source])


def test_a_heterogeneous_loader_brings_the_features():
    data = bipartite()
    fans = NumNeighbors({("user", "knows", "user"): [1, 1]}, default=[4, 4])
    for batch in NeighborLoader(data, fans, ("user", torch.arange(10)), batch_size=4):
        for kind in ("user", "item"):
            assert batch[kind].x.equal(data[kind].x[batch[kind].n_id])
        assert batch["user"].batch_size == len(batch["user"].input_id)
    link = LinkNeighborLoader(
        data, [3, 3], ("user", "likes", "item"), batch_size=16, neg_sampling=NegativeSampling("binary")
    )
    batch = next(iter(link))
    found = batch["user", "likes", "item"]
    assert found.edge_label.tolist() == [1] * 16 + [0] * 16
    users = batch["user"].n_id[found.edge_label_index[0, :16]]
    items = batch["item"].n_id[found.edge_label_index[1, :16]]
    assert torch.stack([users, items]).equal(data["user", "likes", "item"].edge_index[:, found.input_id])


@pytest.mark.parametrize("mode", ["binary", "triplet"])
@pytest.mark.parametrize("disjoint", [False, True])
def test_a_link_loader_returns_its_edges(mode, disjoint):
    data = random_graph()
    sampler = NeighborSampler(data, [3, 3], disjoint=disjoint)
    loader = LinkLoader(data, sampler, neg_sampling=NegativeSampling(mode, 2), batch_size=10)
    batch = next(iter(loader))
    if mode == "binary":
        ends = batch.n_id[batch.edge_label_index[:, :10]]
        assert batch.edge_label_index.shape == (2, 30)
    else:
        ends = batch.n_id[torch.stack([batch.src_index, batch.dst_pos_index])]
        assert batch.dst_neg_index.shape == (10, 2)
    assert ends.equal(data.edge_index[:, batch.input_id])


@pytest.mark.parametrize("strategy", ["uniform", "last"])
@pytest.mark.parametrize("of", ["node", "edge"])
def test_nothing_is_later_than_its_seed(strategy, of):
    draw = torch.Generator().manual_seed(3)
    time = torch.randint(100, (60 if of == "node" else 400,), generator=draw)
    data = random_graph(when=time)
    seeds, at = list(range(12)), [50] * 6 + [80] * 6
    sampler = NeighborSampler(data, [4, 4], time_attr="when", temporal_strategy=strategy)
    out = sampler.sample_from_nodes(nodes(seeds, at))
    edge = sampler.edge_permutation[out.edge]
    happened = time[data.edge_index[0, edge]] if of == "node" else time[edge]
    limit = torch.tensor(at)[out.batch[out.col]]
    assert (happened <= limit).all()
    assert len(edge) > 40
    for place in range(12):
        into = (data.edge_index[1] == seeds[place]).nonzero().flatten()
        when = time[data.edge_index[0, into]] if of == "node" else time[into]
        allowed = sorted(when[when <= at[place]].tolist())
        mine = sorted(happened[out.col == place].tolist())
        assert len(mine) == min(4, len(allowed))
        if strategy == "last":
            assert mine == allowed[-len(mine) :] or not mine


@pytest.mark.parametrize("of", ["node", "edge"])
def test_nothing_is_later_than_its_seed_in_a_heterogeneous_graph(of):
    data, draw = bipartite(), torch.Generator().manual_seed(5)
    each_of = data.node_types if of == "node" else data.edge_types
    for each in each_of:
        count = data[each].num_nodes if of == "node" else data[each].num_edges
        data[each].when = torch.randint(100, (count,), generator=draw)
    sampler = NeighborSampler(data, [6, 6], time_attr="when")
    at = torch.tensor([60, 30, 90])
    out = sampler.sample_from_nodes(nodes([1, 7, 19], at.tolist(), "item"))
    drawn = 0
    for each in data.edge_types:
        edge = sampler.edge_permutation[each][out.edge[each]]
        source, _, target = each
        ends = torch.stack([out.node[source][out.row[each]], out.node[target][out.col[each]]])
        assert ends.equal(data[each].edge_index[:, edge])
        happened = data[source].when[ends[0]] if of == "node" else data[each].when[edge]
        limit = at[out.batch[target][out.col[each]]]
        assert (happened <= limit).all()
        drawn += len(edge)
    assert drawn > 10
    seeds = ("item", torch.tensor([1, 7, 19]))
    batch = next(iter(NeighborLoader(data, [6, 6], seeds, input_time=at, time_attr="when", batch_size=3)))
    assert batch["item"].n_id.equal(out.node["item"])
    assert batch["user"].x.equal(data["user"].x[batch["user"].n_id])


def test_seeds_without_a_time_take_their_own():
    time = torch.arange(60)
    data = random_graph(when=time)
    out = NeighborSampler(data, [-1, -1], time_attr="when").sample_from_nodes(nodes([30, 10]))
    assert (out.node <= torch.tensor([30, 10])[out.batch]).all()
    loader = NeighborLoader(data, [5], torch.arange(60), time_attr="when", batch_size=20)
    assert all((batch.n_id <= batch.n_id[batch.batch]).all() for batch in loader)
    edges = random_graph(when=torch.arange(400))
    with pytest.raises(InputError, match="give the time of each seed"):
        NeighborSampler(edges, [5], time_attr="when").sample_from_nodes(nodes([30]))


def test_induced_and_bidirectional():
    data = random_graph()
    out = NeighborSampler(data, [3], subgraph_type="induced").sample_from_nodes(nodes([4, 9]))
    inside = torch.isin(data.edge_index, out.node).all(0)
    assert len(out.edge) == int(inside.sum())
    assert out.num_sampled_edges is None
    both = NeighborSampler(data, [3], subgraph_type="bidirectional").sample_from_nodes(nodes([4, 9]))
    pairs = set(zip(both.row.tolist(), both.col.tolist(), strict=True))
    assert {(col, row) for row, col in pairs} == pairs


def test_stores_are_sampled_without_a_copy():
    data = random_graph(40, 200)
    direct = NeighborSampler(data, [3, 3])
    features, graph = MyFeatureStore(), MyGraphStore()
    features.put_tensor(data.x, group_name=None, attr_name="x", index=None)
    one = direct.columns.relations[""]
    csc = torch.from_numpy(one.indices), torch.from_numpy(one.indptr)
    graph.put_edge_index(csc, edge_type=None, layout="csc", size=(40, 40))
    remote = NeighborSampler((features, graph), [3, 3])
    assert np.shares_memory(remote.columns.relations[""].indices, one.indices)
    a, b = (sampler.sample_from_nodes(nodes([1, 2, 3])) for sampler in (direct, remote))
    assert a.node.equal(b.node)
    assert a.row.equal(b.row)
    batch = next(iter(NodeLoader((features, graph), remote, torch.arange(8), batch_size=8)))
    assert batch.x.equal(data.x[batch.n_id])


def test_a_sorted_graph_is_not_copied():
    data = random_graph().sort(sort_by_row=False)
    sampler = NeighborSampler(data, [2], is_sorted=True)
    assert sampler.edge_permutation is None
    assert np.shares_memory(sampler.columns.relations[""].indices, data.edge_index.numpy())
    out = sampler.sample_from_nodes(nodes([3]))
    assert data.edge_index[:, out.edge].equal(torch.stack([out.node[out.row], out.node[out.col]]))


def test_a_graph_without_edges_gives_the_seeds():
    data = Data(edge_index=torch.empty(2, 0, dtype=torch.long), num_nodes=3)
    out = NeighborSampler(data, [5, 5]).sample_from_nodes(nodes([2, 2]))
    assert out.node.tolist() == [2, 2]
    assert out.num_sampled_edges == [0, 0]
    assert out.row.dtype == torch.long


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({"edge_index": torch.tensor([[0], [-1]])}, {}, r"targets must lie in \[0, 60\) \(got -1"),
        ({"edge_index": torch.tensor([[60], [1]])}, {}, r"sources must lie in \[0, 60\) \(got 60"),
        ({"edge_index": torch.tensor([[1, 1], [1, 0]])}, {"is_sorted": True}, "the targets fall after edge 0"),
        (
            {"edge_index": torch.tensor([[1, 2], [0, 0]]), "when": torch.tensor([5, 3])},
            {"is_sorted": True, "time_attr": "when"},
            "the times of a target fall after edge 0",
        ),
        ({"edge_index": None}, {}, "there is no edge_index"),
        ({}, {"num_neighbors": [3, 0]}, r"got 0 in hop 2"),
        ({}, {"num_neighbors": [-2]}, r"got -2"),
        ({}, {"time_attr": "when"}, "neither nodes nor edges have a time 'when'"),
        ({"when": torch.zeros(60)}, {"time_attr": "when"}, "vector of integers"),
        ({}, {"subgraph_type": "inducd"}, "did you mean 'induced'"),
        ({}, {"temporal_strategy": "latest"}, "did you mean 'last'"),
        ({}, {"subgraph_type": "induced", "disjoint": True}, "leave out disjoint"),
        ({}, {"seed": -1}, "seed must be an integer"),
    ],
)
def test_what_cannot_be_sampled_is_named(change, options, message):
    data = random_graph()
    for name, value in change.items():
        setattr(data, name, value)
    with pytest.raises(InputError, match=message):
        NeighborSampler(data, **{"num_neighbors": [3], **options})


def test_what_is_not_served_is_refused():
    data = random_graph(weight=torch.ones(400))
    with pytest.raises(NotApplicable, match="leave it out"):
        NeighborLoader(data, [3], weight_attr="weight")
    with pytest.raises(InputError, match="Data, HeteroData"):
        NeighborSampler("cora", [3])
    with pytest.raises(InputError, match="seeds must lie in"):
        NeighborSampler(data, [3]).sample_from_nodes(nodes([60]))
    with pytest.raises(InputError, match="give each edge type a list"):
        NeighborSampler(bipartite(), {("user", "likes", "item"): [3]})


def test_edges_sampled_by_time_need_theirs():
    data = random_graph(when=torch.arange(60))
    sampler = NeighborSampler(data, [3], time_attr="when")
    with pytest.raises(InputError, match="edge_label_time"):
        sampler.sample_from_edges(EdgeSamplerInput(None, torch.tensor([1]), torch.tensor([2])))
    loader = LinkNeighborLoader(
        data, [3], data.edge_index[:, :20], edge_label_time=torch.full((20,), 40), time_attr="when", batch_size=5
    )
    for batch in loader:
        assert (batch.n_id[batch.edge_index[0]] <= 40).all()
