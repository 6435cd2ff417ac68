"""Local unlearning: exact embeddings in the core, nothing outside the region touched, no forgotten edge anywhere."""

import copy

import numpy as np
import pytest
import torch
from torch_geometric.nn import GCN as PyGGCN

from graphforget.errors import InputError, NotApplicable, UnknownName
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.gnn.gnndelete import GNNDelete
from graphforget.gnn.models import GCN, MODELS
from graphforget.gnn.task import LinkPrediction, encode
from graphforget.gnn.utu import UtU
from graphforget.graph import Graph
from graphforget.local import unlearn_local
from graphforget.methods.d2dgn import D2DGN
from graphforget.methods.d2dgn_calibrated import CalibratedD2DGN
from graphforget.methods.finetune import FineTune
from graphforget.region import Reach, Region
from graphforget.store import Store
from tests.small import both_ways, equal_states, sbm, state

TASK = LinkPrediction()
GRAPH = sbm(600, inside=0.02, between=0.002)
STORE = Store.of(GRAPH)
PAIRS = GRAPH.pairs()[:, [3, 500, 1000]]
EDGES = ForgetRequest.of("edge", PAIRS)
HELD = torch.randint(600, (2, 60), generator=torch.Generator().manual_seed(4))

NODES = ForgetRequest.of("node", [3, 77])


class Bound(UtU):
    """A method whose result belongs to one graph."""

    drop_in = False


def region(model, reach, store=STORE, held_out=None):
    return Region.of(store, store.forget(EDGES), EDGES, store.resolve(EDGES), TASK.depth(model), reach, held_out, 0)


@pytest.mark.parametrize("name", [*MODELS, "pyg"])
def test_core_embeddings_are_those_of_the_whole_graph(name):
    torch.manual_seed(0)
    model = (PyGGCN(8, 6, 2, 4) if name == "pyg" else MODELS[name](8, 6, 4)).eval()
    found = region(model, Reach(scope="khop"))
    assert len(found.nodes) < 600
    whole = encode(model, GRAPH.unlinked(PAIRS))
    part = encode(model, found.split.retain)
    core = found.split.data.core.numpy()
    assert core.sum() > 6
    assert torch.allclose(part[core], whole[found.nodes[core]], atol=1e-5)
    assert torch.allclose(encode(model, found.split.data)[core], encode(model, GRAPH)[found.nodes[core]], atol=1e-5)


def test_the_forgotten_is_in_no_context_and_the_elements_stay_in_the_core():
    for scope in ("khop", "sampled"):
        found = region(GCN(8, 6, 4), Reach(scope=scope), held_out=HELD)
        split, back = found.split, torch.from_numpy(found.nodes)
        gone = both_ways(PAIRS)
        assert not both_ways(back[split.retain.edge_index]) & gone
        assert both_ways(back[split.forget.edge_index]) == gone
        assert both_ways(back[split.data.edge_index]) <= both_ways(GRAPH.edge_index)
        assert split.retain.core[split.retain.pairs()].all()
        for batch in TASK.batches(split.retain, split.retain, torch.Generator().manual_seed(0)):
            assert split.retain.core[batch.index].all()


def test_an_edge_named_in_both_directions_is_one():
    twice = ForgetRequest.of("edge", torch.cat([PAIRS, PAIRS.flip(0)], dim=1))
    split = Region.of(STORE, STORE.forget(twice), twice, STORE.resolve(twice), 2, Reach(), None, 0).split
    assert split.forget.num_edges == 6
    assert split.data.num_edges == len(both_ways(split.data.edge_index))


def test_a_sampled_sum_is_right_on_average():
    model = GCN(8, 6, 4).eval()
    hub = Graph.from_edges(torch.stack([torch.zeros(300, dtype=torch.int64), torch.arange(1, 301)]), 301)
    x = torch.randn(301, 8, generator=torch.Generator().manual_seed(0)) + 1
    hub = Graph(hub.edge_index, hub.size, undirected=True, features={"x": x})
    store, pair = Store.of(hub), torch.tensor([[0], [7]])
    request = ForgetRequest.of("edge", pair)
    want = model.conv1(x, hub.unlinked(pair).edge_index)[0]
    total = torch.zeros_like(want)
    for seed in range(200):
        part = Region.of(
            store,
            store.forget(request),
            request,
            store.resolve(request),
            1,
            Reach(scope="sampled", fan_outs=(20,)),
            None,
            seed,
        )
        encode(model, part.split.retain)
        at = int(np.searchsorted(part.nodes, 0))
        total += model.conv1(part.split.retain.x, part.split.retain.edge_index)[at] / 200
    assert torch.allclose(total, want, rtol=0.1, atol=0.02)


@pytest.mark.parametrize("method", [CalibratedD2DGN(epochs=2, refresh=2), D2DGN(epochs=2), FineTune(epochs=2)])
def test_methods_run_as_they_are(method):
    torch.manual_seed(0)
    model = GCN(8, 6, 4)
    before, random = state(model), torch.random.get_rng_state()
    patch = unlearn_local(method, model, TASK, STORE, PAIRS, held_out=HELD, seed=1)
    assert equal_states(before, state(model))
    assert torch.equal(random, torch.random.get_rng_state())
    again = unlearn_local(method, model, TASK, STORE, PAIRS, held_out=HELD, seed=1)
    assert all(torch.equal(patch.weights[name], again.weights[name]) for name in before)
    changed = patch.onto(copy.deepcopy(model))
    assert not equal_states(before, state(changed))
    assert patch.context.num_edges == GRAPH.num_edges - 6
    assert patch.record["scope"] in ("khop", "sampled")
    assert patch.record["core"] <= patch.record["region"]


def test_only_touched_rows_of_a_table_change(tmp_path):
    torch.manual_seed(0)
    featureless = Store.of(Graph(GRAPH.edge_index, GRAPH.size, undirected=True))
    model = GCN(None, 6, 4, num_nodes=600)
    table = np.lib.format.open_memmap(tmp_path / "table.npy", "w+", np.float32, (600, 6))
    table[:] = model.embedding.weight.detach().numpy()
    model.embedding.weight.data = torch.from_numpy(table)
    before = table.copy()
    patch = unlearn_local(FineTune(epochs=2), model, TASK, featureless, PAIRS, seed=1)
    ids, values = patch.rows["embedding.weight"]
    assert set(patch.rows) == {"embedding.weight"}
    assert len(ids) == len(values) < 600
    assert np.array_equal(table, before)
    patch.onto(model)
    rest = np.setdiff1d(np.arange(600), ids.numpy())
    assert np.array_equal(table[rest], before[rest])
    assert not np.array_equal(table[ids], before[ids])
    assert np.array_equal(np.load(tmp_path / "table.npy"), table)


def test_a_nodes_request_is_that_of_the_whole_graph():
    model = GCN(8, 6, 4)
    found = Region.of(
        STORE, STORE.forget(NODES), NODES, STORE.resolve(NODES), TASK.depth(model), Reach(scope="khop"), None, 0
    )
    back = torch.from_numpy(found.nodes)
    whole = ForgetSplit.of(GRAPH, NODES, GRAPH.with_edges(torch.zeros(GRAPH.num_edges, dtype=torch.bool)))
    assert both_ways(back[found.split.gone.edge_index]) == both_ways(whole.gone.edge_index)
    assert back[found.split.retain.removed].tolist() == NODES.parts["node"].tolist()
    assert not found.split.retain.x[found.split.retain.removed].any()
    core = found.split.data.core & ~found.split.retain.removed
    assert torch.allclose(encode(model, found.split.retain)[core], encode(model, whole.retain)[back[core]], atol=1e-5)


def test_a_store_without_nodes_is_the_retained_graph():
    retained, whole = STORE.forget(NODES), GRAPH.partition(NODES.parts)[1]
    copied = retained.graph()
    assert torch.equal(copied.edge_index, whole.edge_index)
    assert torch.equal(copied.x, whole.x)
    assert torch.equal(copied.removed, whole.removed)
    assert torch.equal(Store.of(whole).graph().removed, whole.removed)
    patch = unlearn_local(FineTune(epochs=1), GCN(8, 6, 4), TASK, STORE, NODES)
    assert patch.context.removed.tolist() == NODES.parts["node"].tolist()


def test_deletion_operators_are_those_of_the_whole_graph():
    """With whole neighbourhoods the part has the same nodes behind each operator, and the same start of training."""
    torch.manual_seed(0)
    model = GCN(8, 6, 4)
    method = GNNDelete(epochs=3, gain=0.0, negatives="once")
    whole = method.unlearn(model, TASK, ForgetSplit.of(GRAPH, EDGES, GRAPH), seed=1).model
    before = state(model)
    patch = unlearn_local(method, model, TASK, STORE, PAIRS, reach=Reach(scope="khop"), seed=1)
    assert equal_states(before, state(model))
    local = patch.onto(copy.deepcopy(model))
    for mine, theirs in zip(local.gnndelete[0], whole.gnndelete[0], strict=True):
        assert torch.equal(mine.mask, theirs.mask)
        assert not torch.equal(mine.weight, torch.full_like(mine.weight, 1e-3))
    assert torch.isfinite(encode(local, GRAPH.unlinked(PAIRS))).all()
    again = unlearn_local(method, local, TASK, patch.context, GRAPH.pairs()[:, [7]], seed=1)
    assert len(again.onto(copy.deepcopy(local)).gnndelete) == 2


def test_unlinking_changes_no_weight():
    model = GCN(8, 6, 4)
    patch = unlearn_local(UtU(), model, TASK, STORE, PAIRS)
    assert not patch.weights
    assert not patch.rows
    assert both_ways(patch.context.graph().edge_index) == both_ways(GRAPH.unlinked(PAIRS).edge_index)


def test_auto_samples_where_the_whole_region_is_too_large():
    model = GCN(8, 6, 4)
    whole = region(model, Reach(limit=10**6))
    few = region(model, Reach(limit=50))
    assert (whole.scope, few.scope) == ("khop", "sampled")
    assert len(few.nodes) < len(whole.nodes)


def test_a_refresh_on_a_region_is_warned_of(caplog):
    method = CalibratedD2DGN(epochs=1, refresh=1)
    unlearn_local(method, GCN(8, 6, 4), TASK, STORE, PAIRS, held_out=HELD)
    assert "take refresh=0" in caplog.text


def test_what_is_refused():
    model = GCN(8, 6, 4)
    with pytest.raises(NotApplicable, match="bound to its nodes"):
        unlearn_local(Bound(), model, TASK, STORE, PAIRS)
    with pytest.raises(UnknownName, match="request kind"):
        unlearn_local(UtU(), model, TASK, STORE, ForgetRequest.of("feature", [3]))
    with pytest.raises(InputError, match=r"node ids must lie in \[0, 600\)"):
        unlearn_local(UtU(), model, TASK, STORE, ForgetRequest.of("node", [600]))
    with pytest.raises(InputError, match="forgotten by an earlier request"):
        unlearn_local(UtU(), model, TASK, STORE.forget(NODES), NODES)
    with pytest.raises(InputError, match="covers everything"):
        unlearn_local(UtU(), model, TASK, STORE, ForgetRequest.of("node", list(range(600))))
    with pytest.raises(InputError, match="do not exist"):
        unlearn_local(UtU(), model, TASK, STORE, torch.tensor([[0], [0]]))
    with pytest.raises(UnknownName, match="did you mean 'khop'"):
        Reach(scope="k_hop")
    with pytest.raises(InputError, match="fan_outs"):
        Reach(fan_outs=(0,))
    with pytest.raises(InputError, match="replay"):
        Reach(replay=0)
