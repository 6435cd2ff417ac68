"""Local unlearning of interactions: exact rows in the core, and only the rows of the region change."""

import copy

import numpy as np
import pytest
import torch

from graphforget.errors import NotApplicable
from graphforget.forget import ForgetRequest
from graphforget.graph import Graph
from graphforget.local import unlearn_local
from graphforget.region import Reach, Region
from graphforget.store import Store
from recsys.mmrecun import MMRecUN
from recsys.models.lightgcn import LightGCN
from recsys.row_reset import RowReset
from recsys.task import Recommendation
from tests.small import both_ways, equal_states, state

TASK = Recommendation(cut=5)


def clusters(users=240, items=160, seed=0):
    """Users like items of their own cluster of 20 users and 16 items, a few others at random."""
    rng = np.random.default_rng(seed)
    u = rng.integers(0, users, 1800)
    i = np.where(rng.random(1800) < 0.99, (u % 10) * 16 + rng.integers(0, 16, 1800), rng.integers(0, items, 1800))
    code = np.unique(u * items + i)
    return Graph(torch.from_numpy(np.stack([code // items, code % items])), (users, items), bipartite=True)


GRAPH = clusters()
STORE = Store.of(GRAPH)
PAIRS = GRAPH.edge_index[:, [5, 6]]


def test_core_rows_are_those_of_the_whole_graph():
    torch.manual_seed(0)
    model = LightGCN(*GRAPH.size, dim=8)
    request = ForgetRequest.of("interaction", PAIRS)
    reach = Reach(scope="khop", near=1, replay=1)
    found = Region.of(STORE, STORE.forget(request), request, STORE.resolve(request), TASK.depth(model), reach, None, 0)
    users = found.split.data.size[0]
    part = LightGCN(*found.split.data.size, dim=8)
    ids = torch.from_numpy(found.nodes)
    part.user_embedding.data = model.user_embedding.data[ids[:users]]
    part.item_embedding.data = model.item_embedding.data[ids[users:] - GRAPH.size[0]]
    whole, local = torch.cat(model(GRAPH.unlinked(PAIRS))), torch.cat(part(found.split.retain))
    core = found.split.data.core
    assert 0 < int(core.sum()) < len(found.nodes) < GRAPH.num_nodes
    assert torch.allclose(local[core], whole[ids[core]], atol=1e-6)
    gone = set(map(tuple, PAIRS.T.tolist()))
    edges = found.split.retain.edge_index
    back = torch.stack([ids[:users][edges[0]], ids[users:][edges[1]] - GRAPH.size[0]])
    assert not set(map(tuple, back.T.tolist())) & gone


def test_mmrecun_changes_only_the_rows_of_the_region():
    torch.manual_seed(0)
    model = LightGCN(*GRAPH.size, dim=8)
    before = state(model)
    reach = Reach(scope="sampled", near=1, replay=1, fan_outs=(3, 2))
    held_out = GRAPH.edge_index[:, ::40]
    method = MMRecUN(epochs=2, stop=False)
    patch = unlearn_local(method, model, TASK, STORE, PAIRS, held_out=held_out, reach=reach)
    assert equal_states(before, state(model))
    assert set(patch.rows) == {"user_embedding", "item_embedding"}
    patch.onto(model)
    for name, (ids, values) in patch.rows.items():
        rest = np.setdiff1d(np.arange(len(before[name])), ids.numpy())
        assert len(rest)
        now = getattr(model, name).detach()
        assert torch.equal(now[rest], before[name][rest])
        assert torch.equal(now[ids], values)
        assert not torch.equal(values, before[name][ids])
    assert both_ways(patch.context.graph().edge_index) == both_ways(GRAPH.unlinked(PAIRS).edge_index)


def test_a_graph_of_all_items_is_refused():
    model = copy.deepcopy(LightGCN(*GRAPH.size, dim=8))
    model.item_layers = 1
    with pytest.raises(NotApplicable, match="all items"):
        unlearn_local(MMRecUN(), model, TASK, STORE, PAIRS)


@pytest.mark.parametrize("kind", ["user", "item"])
def test_whole_users_and_items_are_drawn_anew_at_the_scale_of_the_whole_table(kind):
    torch.manual_seed(0)
    model = LightGCN(*GRAPH.size, dim=64)
    with torch.no_grad():
        for table in model.parameters():
            table.mul_(10)
    ids, reach = torch.arange(20, 24), Reach(scope="sampled", near=1, replay=1, fan_outs=(2, 1))
    request = ForgetRequest.of(kind, ids)
    patch = unlearn_local(RowReset(epochs=1, lr=1e-5), model, TASK, STORE, request, reach=reach)
    rows, values = patch.rows[f"{kind}_embedding"]
    drawn = values[torch.isin(rows, ids)]
    fresh = LightGCN(*GRAPH.size, dim=64)
    want = getattr(fresh, f"{kind}_embedding").std()
    assert len(rows) < GRAPH.size[kind == "item"]
    assert torch.allclose(drawn.std(), want, rtol=0.15)
    retained = patch.context.graph()
    assert not torch.isin(retained.edge_index[int(kind == "item")], ids).any()
    assert len(patch.context.removed) == 4
