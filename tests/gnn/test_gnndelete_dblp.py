"""GNNDelete in its published setting on real data: DBLP."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.io import read_npz
from torch_geometric.utils import k_hop_subgraph

from graphforget import metrics
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.gnn.gnndelete import GNNDelete, region
from graphforget.gnn.models import build
from graphforget.gnn.task import LinkPrediction, NodeClassification
from graphforget.gnn.utu import UtU
from graphforget.graph import Graph
from graphforget.methods.retrain import Retrain
from graphforget.splits import split_edges
from graphforget.train import Recipe

LINK, NODE = LinkPrediction(), NodeClassification()


# --- the published setting on real data: DBLP, 2.5 % of the edges, 2-layer GCN; figures of specs/graph.md 2.6 and 3.7


@pytest.fixture(scope="module", params=["in", "out"])
def dblp(request, data_root):
    """(pool, task, split, test view, original, gold); edges in or out of two one-directional hops of test edges."""
    seed, share = {"in": 42, "out": 21}[request.param], 0.025
    raw = read_npz(str(data_root / "citationfull" / "dblp" / "raw" / "dblp.npz"), to_undirected=True)
    x = raw.x / raw.x.sum(1, keepdim=True).clamp_min(1)
    splits = split_edges(Graph.from_edges(raw.edge_index, x.shape[0], features={"x": x}), seed=seed)
    pairs = splits.train.pairs()
    near = k_hop_subgraph(splits.test.edge_index.flatten().unique(), 2, pairs, num_nodes=x.shape[0])[3]
    pool = (near if request.param == "in" else ~near).nonzero().flatten()
    order = torch.randperm(len(pool), generator=torch.Generator().manual_seed(seed))
    chosen = pool[order[: int(share * pairs.shape[1])]]
    split = ForgetSplit.of(splits.train, ForgetRequest.of("edge", pairs[:, chosen]), splits.val)
    task = LinkPrediction(recipe=Recipe(epochs=150, patience=40, lr=1e-2))
    torch.manual_seed(seed)
    original = task.fit(build("gcn", x.shape[1], 128, 64), splits.train, splits.val, seed=seed)
    gold = Retrain().unlearn(original, task, split, seed=seed + 100).model
    return request.param, task, split, splits.test, original, gold


def figures(case, model) -> dict[str, float]:
    """D_t, D_f (retained against deleted), js of the deleted to gold, mean belief in the retained less gold's."""
    _pool, task, split, test, _original, gold = case
    forget, retain = (task.elements(split.retain, part) for part in (split.forget, split.retain))
    (mf, mr), (gf, gr) = ([task.teacher(m, split.retain)(batch) for batch in (forget, retain)] for m in (model, gold))
    return {
        "d_t": task.evaluate(model, split.retain, test)["auc"],
        "d_f": metrics.auc(mr[:, 1], mf[:, 1]),
        "js_f": float(metrics.js(mf, gf).mean()),
        "delta": float((mr[:, 1].sigmoid() - gr[:, 1].sigmoid()).mean()),
    }


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_dblp_over_forgets_as_in_the_pilot_whatever_the_start(dblp):
    pool, task, split, _test, original, _gold = dblp
    found = {}
    for init in ("ones", "identity"):
        found[init] = figures(dblp, GNNDelete(init=init).unlearn(original, task, split).model)
    for each in found.values():
        assert each["d_t"] == pytest.approx({"in": 0.866, "out": 0.941}[pool], abs=0.03)
        assert each["d_f"] == pytest.approx({"in": 0.697, "out": 0.864}[pool], abs=0.03)
        assert each["delta"] < -0.15
    assert found["ones"]["d_t"] == pytest.approx(found["identity"]["d_t"], abs=0.01)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_dblp_utu_reaches_the_noise_floor(dblp):
    pool, task, split, test, original, _gold = dblp
    result = UtU().unlearn(original, task, split)
    found, before = figures(dblp, result.model), task.evaluate(original, split.data, test)["auc"]
    assert found["d_t"] == pytest.approx(before, abs=2e-3)
    assert found["js_f"] < {"in": 0.002, "out": 0.008}[pool]  # pilot: .0009 and .0044; golds of other seeds move it
    assert abs(found["delta"]) < 0.02


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_dblp_regions_have_the_published_sizes(dblp):
    pool, _task, split, *_ = dblp
    if pool == "out":
        pytest.skip("counts are known for the pool near the test edges")
    for legacy, sizes in ((False, (8570, 12617)), (True, (4022, 4990))):
        hops = region(split, 2, legacy=legacy)
        assert [int(((hops >= 0) & (hops <= depth)).sum()) for depth in (1, 2)] == pytest.approx(sizes, rel=0.04)
