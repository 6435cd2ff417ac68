"""Evidence, cost, relearning, the one-call door and the command line, on small real graphs."""

from __future__ import annotations

import importlib.util
import json
import math
from dataclasses import replace

import pytest
import torch
from torch_geometric.data import Data
from typer.testing import CliRunner

import graphforget
from graphforget import catalog, cli, cost
from graphforget.attack import posterior_attack
from graphforget.cli import app, verdict
from graphforget.errors import InputError
from graphforget.evidence import compare, thinned
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.gnn.data import load, load_splits
from graphforget.gnn.models import GCN
from graphforget.gnn.task import LinkPrediction, NodeClassification
from graphforget.gnn.utu import UtU
from graphforget.graph import Graph
from graphforget.methods.retrain import Retrain
from graphforget.relearn import relearn_epochs
from graphforget.report import Report
from graphforget.train import Recipe
from graphforget.unlearner import Unlearned
from recsys.models.bpr import BPR


@pytest.fixture(scope="module")
def trained():
    """A GCN on a stochastic block model, a request of 40 edges, and two golds."""
    task = LinkPrediction(recipe=Recipe(epochs=40, lr=1e-2))
    splits = load_splits("sbm", task="link", seed=0)
    torch.manual_seed(0)
    model = task.fit(GCN(splits.train.x.shape[1], 16, 16), splits.train, splits.val, seed=0)
    split = ForgetSplit.of(splits.train, ForgetRequest.of("edge", splits.train.pairs()[:, :40]), splits.val)
    golds = [Retrain().unlearn(model, task, split, seed=5 + k) for k in range(2)]
    return task, splits, split, model, golds


def test_gold_is_at_no_distance_from_itself_and_the_floor_is_the_distance_of_two(trained):
    task, splits, split, model, golds = trained
    report = compare(task, split, splits.test, original=model, golds=[golds[0], golds[0]], unlearned={"same": golds[0]})
    assert report.value("unlearned", "forget", "js_to_gold", "same") == 0
    assert report.value("gold_other_seed", "forget", "js_to_gold") == 0
    report = compare(task, split, splits.test, original=model, golds=golds, unlearned={"one": golds[0]})
    floor = report.value("gold_other_seed", "forget", "js_to_gold")
    assert floor > 0
    assert report.value("unlearned", "forget", "js_to_gold", "one") == pytest.approx(floor / 2)


def test_the_original_is_asked_under_the_whole_data_and_utu_under_what_is_left(trained):
    task, splits, split, model, golds = trained
    utu = UtU().unlearn(model, task, split)
    report = compare(task, split, splits.test, original=model, golds=golds, unlearned={"utu": utu})
    assert report.value("original", "all", "mi_ratio") == pytest.approx(1)
    assert report.value("unlearned", "all", "mi_ratio", "utu") != pytest.approx(1, abs=1e-4)
    whole = task.evaluate(model, split.data, split.forget)["belief"]
    assert report.value("original", "forget", "belief") == pytest.approx(whole)


def test_a_no_op_on_nodes_does_not_look_like_utu():
    task = NodeClassification(recipe=Recipe(epochs=30, lr=1e-2))
    splits = load_splits("sbm", task="node", seed=0)
    torch.manual_seed(0)
    model = task.fit(GCN(splits.train.x.shape[1], 16, 16), splits.train, splits.val, seed=0)
    split = ForgetSplit.of(splits.train, ForgetRequest.of("node", splits.train.nodes()[:30]), splits.val)
    golds = [Retrain().unlearn(model, task, split, seed=5 + k) for k in range(2)]
    results = {"no_op": Unlearned(model, split.data, {}), "utu": UtU().unlearn(model, task, split)}
    report = compare(task, split, splits.test, original=model, golds=golds, unlearned=results)
    original = report.value("original", "forget", "js_to_gold")
    assert report.value("unlearned", "forget", "js_to_gold", "no_op") == pytest.approx(original)
    assert report.value("unlearned", "forget", "js_to_gold", "utu") != pytest.approx(original)


def test_the_posterior_attack_is_the_classifiers_and_nothing_where_too_few_are_unseen(trained):
    task, splits, split, model, golds = trained
    report = compare(task, split, splits.test, original=model, golds=golds)
    whole = Unlearned(model, split.data, {})
    after = {
        name: task.teacher(model, whole.context)(task.elements(whole.context, view)).double()
        for name, view in {"forget": split.forget, "retain": split.untouched, "test": splits.test}.items()
    }
    rows = {name: torch.cat([x.log_softmax(1).sort(1).values, x[:, 1:] - x[:, :1]], 1) for name, x in after.items()}
    rows = {name: x[thinned(len(x))] for name, x in rows.items()}
    told = posterior_attack(rows["retain"], rows["test"][::2], rows["forget"], rows["test"][1::2])
    assert report.value("original", "all", "mia_posterior_auc") == pytest.approx(told.auc)
    pair = splits.test.pairs()[:, :1]
    few = replace(splits.test, edge_index=torch.cat([pair, pair.flip(0)], 1))
    report = compare(task, split, few, original=model, golds=golds)
    assert math.isnan(report.value("original", "all", "mia_posterior_auc"))


def test_a_method_stands_beside_the_range_of_the_golds(trained):
    task, splits, split, original, golds = trained[:5]
    report = compare(task, split, splits.test, original=original, golds=golds, unlearned={"one": golds[0]})
    for part in ("forget", "test"):
        each = [
            compare(task, split, splits.test, original=original, golds=[gold, gold]).value("gold", part, "auc")
            for gold in golds
        ]
        assert report.value("gold", part, "auc_low") == pytest.approx(min(each))
        assert report.value("gold", part, "auc_high") == pytest.approx(max(each))
        assert report.value("unlearned", part, "auc_in_gold_range") == 1
    no_op = Unlearned(original, splits.train, {})
    report = compare(task, split, splits.test, original=original, golds=golds, unlearned={"no-op": no_op})
    value, low, high = (
        report.value(role, "forget", name)
        for role, name in (("unlearned", "auc"), ("gold", "auc_low"), ("gold", "auc_high"))
    )
    assert report.value("unlearned", "forget", "auc_in_gold_range") == float(low <= value <= high)


def test_one_gold_is_refused(trained):
    task, splits, split, model, golds = trained
    with pytest.raises(InputError, match="noise floor"):
        compare(task, split, splits.test, original=model, golds=golds[:1])


def test_a_model_that_still_knows_relearns_at_once_and_a_fresh_one_does_not(trained):
    task, _, split, model, _ = trained
    knows = Unlearned(model, split.data, {})
    assert relearn_epochs(task, split, model, knows) == 0
    fresh = Unlearned(task.fresh(model, 9), split.retain, {})
    assert relearn_epochs(task, split, model, fresh, limit=15) > 0


def test_cost_counts_sparse_products_by_their_entries():
    sparse = torch.eye(10).to_sparse_csr()
    with cost.measure(count_flops=True) as spent:
        sparse @ torch.ones(10, 3)
    assert spent.flops == 2 * 10 * 3
    assert spent.seconds > 0
    with cost.measure() as spent:
        kept = torch.ones(40_000_000)
        kept += 1
    assert spent.peak_mib > 100
    assert spent.flops != spent.flops


def test_cost_counts_gradients_of_a_model_that_returns_its_parameters():
    """Torch's own counter refuses autograd.grad on a leaf that a module gave out, as every influence step asks for."""
    graph = Graph(torch.tensor([[0, 1, 1], [0, 2, 1]]), (2, 3), bipartite=True)
    model = BPR(2, 3, dim=8)
    for gradients in (lambda loss: torch.autograd.grad(loss, list(model.parameters())), torch.Tensor.backward):
        with cost.measure(count_flops=True) as spent:
            users, items = model(graph)
            gradients((users @ items.T).sum())
        assert spent.flops == 3 * (2 * 2 * 8 * 3)  # the product, and one for each of its factors


def test_the_report_reads_what_it_wrote_and_names_a_bad_line(tmp_path):
    report = Report({"seed": 1})
    report.add("unlearned", "utu", {("test", "auc"): 0.5, ("all", "mi_ratio"): float("nan")})
    path = tmp_path / "rows.jsonl"
    path.write_text(report.lines())
    again = Report.read(path)
    assert again.value("unlearned", "test", "auc", "utu") == 0.5
    assert again.rows[1]["value"] != again.rows[1]["value"]
    path.write_text("not json\n" + report.lines())
    with pytest.raises(InputError, match="line 1"):
        Report.read(path)
    with pytest.raises(InputError, match="role"):
        report.add("oracle", "", {})


def test_the_one_call_door_gives_back_what_it_got():
    graph = load("karate")
    data = Data(x=torch.eye(34), edge_index=graph.edge_index, num_nodes=34)
    model = GCN(34, 8, 8)
    held = graph.pairs()[:, -10:]
    data.edge_index = graph.unlinked(held).edge_index
    pairs = graph.pairs()[:, :4]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    result = graphforget.unlearn(model, data, edges=pairs, held_out=held, method="d2dgn_calibrated")
    assert isinstance(result.data, Data)
    assert result.data.num_edges == data.num_edges - 8
    assert all(value.equal(before[name]) for name, value in model.state_dict().items())
    with pytest.raises(InputError, match="did you mean 'd2dgn'"):
        graphforget.unlearn(model, data, edges=pairs, method="d2dg")
    with pytest.raises(InputError, match="held-out"):
        graphforget.unlearn(model, data, edges=pairs)


def test_held_out_nodes_are_not_trained_on():
    graph = load("karate")
    data = Data(x=torch.eye(34), edge_index=graph.edge_index, y=graph.y)
    held = torch.tensor([5, 6, 7, 20, 21])
    result = graphforget.unlearn(GCN(34, 8, 4), data, nodes=[0, 1], task="node", method="finetune", held_out=held)
    assert not result.split.data.node_mask[held].any()
    assert not result.split.retain.node_mask[[0, 1]].any()


def test_every_catalog_entry_imports_and_is_named():
    for name in catalog.METHODS:
        assert catalog.method(name)().__class__.__name__.lower().replace("calibrated", "")
    for name in graphforget._NAMES:
        assert getattr(graphforget, name) is not None
    with pytest.raises(AttributeError, match="no attribute"):
        graphforget.nothing  # noqa: B018


def demo_rows(half: str) -> Report:
    result = CliRunner().invoke(app, ["demo", "--half", half, "--json"])
    assert result.exit_code == 0
    return Report({}, [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")])


@pytest.mark.slow
def test_the_demo_prints_rows_and_ours_is_no_further_from_gold_than_the_published():
    report = demo_rows("graph")
    ours = report.value("unlearned", "forget", "js_to_gold", "d2dgn_calibrated")
    assert ours < report.value("unlearned", "forget", "js_to_gold", "d2dgn")
    assert "noise floor" in verdict(report)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("recbole") is None, reason="needs the RecBole wheel, which holds ml-100k")
def test_the_demo_forgets_a_user_and_ours_is_nearer_to_gold_than_the_original_and_reverse_bpr():
    report = demo_rows("recommender")
    ours = report.value("unlearned", "forget", "js_to_gold", "mmrecun_calibrated")
    assert ours < report.value("original", "forget", "js_to_gold") / 10
    assert ours < report.value("unlearned", "forget", "js_to_gold", "mmrecun")
    assert "on the forgotten ratings" in verdict(report, "ratings")


def test_the_demo_without_recbole_names_the_remedy_and_shows_its_first_half(monkeypatch, tmp_path):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "recbole" else real(name))
    monkeypatch.delenv("GRAPHFORGET_DATA", raising=False)
    monkeypatch.setenv("GRAPHFORGET_CACHE", str(tmp_path))
    monkeypatch.setattr(cli, "_graph", lambda *_: None)  # the first half is tested above
    result = CliRunner().invoke(app, ["demo"])
    assert result.exit_code == 0
    assert "the recommender half is left out" in result.output
    result = CliRunner().invoke(app, ["demo", "--half", "recommender"])
    assert result.exit_code == 2
    assert "--no-deps recbole" in " ".join(result.output.split())


def test_the_command_names_its_version_and_refuses_bad_ratios():
    assert CliRunner().invoke(app, ["version"]).stdout.strip() == graphforget.__version__
    assert CliRunner().invoke(app, ["demo", "--ratio", "90"]).exit_code == 2
    assert CliRunner().invoke(app, ["demo", "--half", "third"]).exit_code == 2
