"""Evidence on models whose right verdict is known: gold passes, the original and one that was pushed too far do not."""

from __future__ import annotations

import copy
import json
from types import SimpleNamespace

import pytest
import torch

from graphforget.deletion.answers import Answers, Asked
from graphforget.deletion.checks import ROWS, everyone, far_share, ratio, spread, tail
from graphforget.deletion.deployment import Deployment
from graphforget.deletion.samples import Resampler, histograms, subjects_of
from graphforget.deletion.verdict import Thresholds, decide
from graphforget.deletion.verify import NO_GOLD, ONE_GOLD, Verification, train_golds, verify
from graphforget.errors import InputError
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.gnn.data import load_splits
from graphforget.gnn.models import GCN
from graphforget.gnn.task import LinkPrediction, NodeClassification
from graphforget.graph import Graph
from graphforget.train import Recipe
from graphforget.unlearner import Unlearned
from recsys.models.bpr import BPR
from recsys.task import Recommendation
from tests.small import same_random_state

LOOSE = Thresholds(fewest_subjects=10, attack_tpr=1.0, update_auc=0.5, attack_auc=0.2, utility=0.2)


@pytest.fixture(scope="module")
def links():
    """A GCN on a stochastic block model that learned 60 edges by heart, the request for them, and golds."""
    task = LinkPrediction(recipe=Recipe(epochs=60, lr=1e-2))
    splits = load_splits("sbm", task="link", seed=0)
    torch.manual_seed(0)
    model = task.fit(GCN(splits.train.x.shape[1], 16, 16), splits.train, splits.val, seed=0)
    split = ForgetSplit.of(splits.train, ForgetRequest.of("edge", splits.train.pairs()[:, :60]), splits.val)
    return task, splits.test, split, model, train_golds(task, split, model, 5, seed=0)


def test_gold_passes_and_every_number_is_json(links):
    task, test, split, model, golds = links
    found = verify(task, split, test, original=model, unlearned=golds[4], golds=golds[:4], thresholds=LOOSE)
    assert found.verdict.outcome == "pass", found.verdict.reasons
    again = Verification.model_validate(json.loads(json.dumps(found.model_dump(mode="json"), allow_nan=False)))
    assert again == found
    assert {check.name for check in found.verdict.checks} >= {"distance", "tail", "far_share", "belief", "membership"}
    assert found.elements["forget"] == found.subjects == 60


def test_no_gold_fails_beside_as_many_golds_as_a_deployment_trains(links):
    task, test, split, model, golds = links
    count = Deployment(factory="package.module:factory").golds
    for own in (1, 4):  # the first fails beside two
        others = [golds[(own + step) % 5] for step in range(1, count + 1)]
        found = verify(task, split, test, original=model, unlearned=golds[own], golds=others, thresholds=LOOSE)
        assert found.verdict.outcome != "fail", found.verdict.reasons


def test_a_model_that_was_pushed_below_gold_fails(links):
    task, test, split, model, golds = links
    pushed = copy.deepcopy(golds[2].model)
    with torch.no_grad():  # every embedding shrinks, so that every link is doubted
        pushed.conv2.lin.weight.mul_(0.1)
        pushed.conv2.bias.mul_(0.1)
    found = verify(
        task, split, test, original=model, unlearned=Unlearned(pushed, split.retain, {}), golds=golds[:2],
        thresholds=LOOSE,
    )  # fmt: skip
    outcome = {check.name: check.outcome for check in found.verdict.checks}
    assert found.verdict.outcome == "fail"
    assert outcome["belief"] == "fail"
    assert outcome["distance"] != "pass"
    assert "pushed below" in " ".join(found.verdict.reasons)


def test_a_memory_of_the_forgotten_fails(links):
    task, test, split, model, golds = links

    class Remembers(torch.nn.Module):
        """A gold whose answers give the forgotten edges away."""

        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, x, edge_index):
            out = self.inner(x, edge_index)
            extra = out.new_zeros(len(out), 60)
            for k, (u, v) in enumerate(split.forget.pairs().T.tolist()):
                extra[u, k] = extra[v, k] = 4.0
            return torch.cat([out, extra], 1)

    told = Unlearned(Remembers(golds[2].model), split.retain, {})
    found = verify(task, split, test, original=model, unlearned=told, golds=golds[:2], thresholds=LOOSE)
    outcome = {check.name: check.outcome for check in found.verdict.checks}
    assert (outcome["belief"], outcome["membership"], outcome["distance"]) == ("fail", "fail", "fail")
    assert (outcome["utility"], outcome["retain_leakage"]) == ("pass", "pass")


def test_without_gold_the_stand_in_is_said_and_passes_only_where_that_was_declared(links):
    task, test, split, model, golds = links
    accepted = LOOSE.model_copy(update={"accept_stand_in": True, "attack_auc": 0.5})
    found = verify(task, split, test, original=model, unlearned=golds[0], thresholds=accepted)
    assert (found.verdict.outcome, found.golds) == ("pass", 0), found.verdict.reasons
    assert NO_GOLD in found.verdict.reasons
    held = decide(found.verdict.checks, [NO_GOLD], passes=LOOSE.accept_stand_in)
    assert held.outcome == "inconclusive"


def test_a_model_that_did_not_change_fails_even_without_gold(links):
    task, test, split, model, _ = links
    same = Unlearned(model, split.data, {})
    found = verify(task, split, test, original=model, unlearned=same, thresholds=LOOSE)
    assert [check.name for check in found.verdict.checks if check.outcome == "fail"] == ["change"]


def test_one_gold_has_no_floor(links):
    task, test, split, model, golds = links
    found = verify(task, split, test, original=model, unlearned=golds[1], golds=golds[:1], thresholds=LOOSE)
    outcome = {check.name: check.outcome for check in found.verdict.checks}
    assert found.verdict.outcome == "inconclusive"
    assert ONE_GOLD in found.verdict.reasons
    assert (outcome["distance"], outcome["membership"]) == ("inconclusive", "pass")


def test_the_same_seed_gives_the_same_evidence_and_moves_no_random_state(links):
    task, test, split, model, golds = links
    given = {"original": model, "unlearned": golds[2], "thresholds": LOOSE}
    first = verify(task, split, test, **given)
    with same_random_state():
        assert verify(task, split, test, **given) == first


def test_subjects_can_be_given_and_must_match(links):
    task, test, split, _, _ = links
    assert Asked.of(task, split, test, torch.arange(60) // 30).subjects.unique().tolist() == [0, 1]
    with pytest.raises(InputError, match=r"must be \[60\]"):
        Asked.of(task, split, test, torch.arange(3))


def test_the_floor_of_equal_golds_is_no_division_by_zero(links):
    task, test, split, model, golds = links
    asked = Asked.of(task, split, test, None)
    same = Answers(asked, Unlearned(model, split.data, {}), golds[0], (golds[0], golds[0])).apart("forget")
    everyone = torch.arange(60)
    assert (ratio(*same)(everyone), tail(*same)(everyone), far_share(*same)(everyone)) == (1, 1, 0)


def test_node_classification_runs_the_same_way():
    task = NodeClassification(recipe=Recipe(epochs=20, lr=1e-2))
    splits = load_splits("sbm", task="node", seed=0)
    torch.manual_seed(0)
    classes = int(splits.train.y.max()) + 1
    model = task.fit(GCN(splits.train.x.shape[1], 16, classes), splits.train, splits.val, seed=0)
    split = ForgetSplit.of(splits.train, ForgetRequest.of("node", splits.train.nodes()[:25]), splits.val)
    golds = train_golds(task, split, model, 3)
    found = verify(task, split, splits.test, original=model, unlearned=golds[2], golds=golds[:2], thresholds=LOOSE)
    assert found.task == "NodeClassification"
    assert found.subjects == 25
    assert {row["metric"] for row in found.rows if row["role"] == "unlearned"} >= {"accuracy", "js_to_gold"}


@pytest.fixture(scope="module")
def shop():
    """A recommender; users 0 and 1 with all they rated, and one item, are to be forgotten."""
    rng = torch.Generator().manual_seed(0)
    pairs = (torch.rand(40, 30, generator=rng) < 0.25).nonzero().T
    order = torch.randperm(pairs.shape[1], generator=rng)
    train, val, test = (pairs[:, rows] for rows in order.tensor_split([200, 240]))
    graph = Graph(train, (40, 30), bipartite=True)
    task = Recommendation(recipe=Recipe(epochs=5, lr=1e-2, batch_size=64))
    held = Graph(val, (40, 30), bipartite=True)
    model = task.fit(BPR(40, 30, dim=8), graph, held, seed=0)
    request = ForgetRequest({"user": torch.tensor([0, 1]), "item": torch.tensor([7])})
    return task, Graph(test, (40, 30), bipartite=True), ForgetSplit.of(graph, request, held), model


def test_recommenders_count_their_users_not_their_ratings(shop):
    task, test, split, model = shop
    golds = train_golds(task, split, model, 2)
    found = verify(task, split, test, original=model, unlearned=golds[1], golds=golds, thresholds=LOOSE)
    batch = task.elements(split.retain, split.forget)
    assert found.subjects == 3  # two users and the item, rated by others
    assert found.elements["forget"] == batch.size
    assert found.verdict.outcome == "inconclusive"
    assert any("too few subjects" in reason for reason in found.verdict.reasons)
    assert {row["metric"] for row in found.rows} >= {"recall@20", "js_to_gold", "overlap@20"}


def test_elements_belong_to_whom_was_removed(shop):
    _, _, split, _ = shop
    users, items = split.forget.edge_index
    found = subjects_of(split, Recommendation().elements(split.retain, split.forget))
    assert len(found[users == 0].unique()) == 1
    assert len(found[users == 1].unique()) == 1
    assert len(found[(items == 7) & (users > 1)].unique()) == 1
    assert len(found.unique()) == 3


def test_resampling_takes_subjects_whole():
    draw = Resampler(torch.tensor([0, 0, 1, 2, 2, 2]), seed=0)
    assert draw.rows(torch.tensor([2, 0, 2])).tolist() == [3, 4, 5, 0, 1, 3, 4, 5]
    value, low, high = draw.interval(lambda rows: float(len(rows)))
    assert value == 6
    assert 3 <= low < 6 < high <= 9
    assert draw.interval(lambda rows: float(len(rows)))[1] == low


def test_pictures_show_no_small_part_and_sum_to_one(links):
    task, test, split, model, golds = links
    asked = Asked.of(task, split, test, None)
    answers = Answers(asked, Unlearned(model, split.data, {}), golds[0], tuple(golds[1:3]))
    found = histograms(answers.shown())
    assert {(each.model, each.part) for each in found} == {
        (model, part) for model in ("before", "after", "gold") for part in ("forget", "retain", "test")
    }
    assert all(sum(each.shares) == pytest.approx(1) for each in found)
    assert len({each.edges for each in found}) == 1
    assert histograms({("after", "forget"): torch.randn(9)}) == ()
    assert len(histograms({("after", "forget"): torch.ones(10)})) == 1


def test_spread_of_one_is_nothing():
    assert spread([3.0]) == 0
    assert spread([1.0, 1.0]) == 0


def test_a_task_without_beliefs_is_refused(links):
    _, test, split, model, golds = links
    with pytest.raises(InputError, match="belief"):
        verify(object(), split, test, original=model, unlearned=golds[0])  # type: ignore[arg-type]


def test_figures_of_large_parts_are_taken_of_evenly_spaced_rows_and_those_of_the_forgotten_of_all():
    answers = SimpleNamespace(new=dict.fromkeys(("forget", "retain", "test"), torch.zeros(2 * ROWS + 1)))
    assert everyone(answers, "forget").tolist() == list(range(2 * ROWS + 1))
    rows = everyone(answers, "retain")
    assert len(rows.unique()) == ROWS
    assert (int(rows[0]), int(rows[-1])) == (0, 2 * ROWS)
