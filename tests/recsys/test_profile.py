from __future__ import annotations

import pytest
import torch

from graphforget.evidence import compare
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.graph import Graph
from graphforget.methods.retrain import Retrain
from graphforget.train import Recipe, seeded
from graphforget.unlearner import Unlearned
from recsys.models.bpr import BPR
from recsys.profile import Profile
from recsys.task import Recommendation
from tests.recsys.small import checkerboard

ITEM = torch.arange(60, dtype=torch.float32)[:, None]  # everybody ranks the highest number first
USER = torch.ones(4, 1)


def world(kind: str = "interaction") -> tuple[ForgetSplit[Graph], Graph]:
    train = Graph(torch.tensor([[0, 0, 1, 1, 2, 3], [0, 59, 58, 2, 3, 4]]), (4, 60), bipartite=True)
    test = Graph(torch.tensor([[0, 1, 2], [58, 59, 10]]), (4, 60), bipartite=True)
    ids = {"interaction": [[0], [59]], "user": [0]}[kind]
    return ForgetSplit.of(train, ForgetRequest.of(kind, ids), test), test


def test_the_forgotten_may_be_shown_again_and_what_is_kept_may_not():
    split, test = world()
    found = Profile.of(USER, ITEM, split, test, None).figures()
    assert found["forget", "recall@5"] == 1.0  # item 59 is the best of user 0, who no longer has it
    assert found["forget", "pair_auc"] == 1.0
    # user 0: 58 comes second; user 1: 59 first, since 58 is its own; user 2: 10 is far down
    assert found["test", "recall@5"] == pytest.approx(2 / 3)
    assert found["test", "ndcg@5"] == pytest.approx((1 / torch.log2(torch.tensor(3.0)).item() + 1) / 3)


def test_a_removed_users_test_rows_count_for_membership_only():
    split, test = world("user")
    profile = Profile.of(USER, ITEM, split, test, None)
    assert profile.parts["test"].ranked.users.tolist() == [1, 2]
    assert profile.held.tolist() == [[0], [58]]
    assert profile.figures()["all", "mia_auc_same_users"] == 0.5  # 59 above and 0 below 58


def test_membership_is_also_asked_at_a_hundredth_of_false_alarms():
    pairs = torch.stack([torch.zeros(400, dtype=torch.int64), torch.arange(400)])
    data = Graph(pairs[:, :200], (2, 400), bipartite=True)
    split = ForgetSplit.of(data, ForgetRequest.of("interaction", pairs[:, :20]), data)
    test = Graph(pairs[:, 200:], (2, 400), bipartite=True)
    known = torch.zeros(400, 1)
    known[:5] = 1.0  # five of the twenty forgotten stand above all that was never seen
    figures = Profile.of(torch.ones(2, 1), known, split, test, None).figures()
    assert figures["all", "mia_tpr_at_1pct_fpr_same_users"] == 0.25
    few, others = world("user")
    assert ("all", "mia_tpr_at_1pct_fpr_same_users") not in Profile.of(USER, ITEM, few, others, None).figures()


def test_a_model_is_at_no_distance_from_itself_and_at_all_of_it_from_its_reverse():
    split, test = world()
    one, other = Profile.of(USER, ITEM, split, test, None), Profile.of(USER, -ITEM, split, test, None)
    same = one.apart(one)
    assert same["test", "overlap@20"] == 1.0
    assert same["test", "js_rows_to_gold"] == pytest.approx(0.0, abs=1e-12)
    far = one.apart(other)
    assert far["test", "overlap@20"] == 0.0
    assert far["test", "js_rows_to_gold"] > 0.6
    assert far["test", "overlap@20_near"] == far["test", "overlap@20_far"] == 0.0


def test_compare_puts_ranking_figures_beside_gold_and_floor():
    data = checkerboard(users=20, items=30)
    keep = torch.rand(data.num_edges, generator=torch.Generator().manual_seed(0))
    train, val, test = (data.with_edges(part) for part in (keep < 0.6, (keep >= 0.6) & (keep < 0.8), keep >= 0.8))
    task = Recommendation(recipe=Recipe(epochs=30, patience=30, lr=2e-2, batch_size=64))
    with seeded(0):
        model = BPR(20, 30, dim=6)
    original = task.fit(model, train, val, seed=0)
    split = ForgetSplit.of(train, ForgetRequest.of("user", [2]), val)
    golds = [Retrain().unlearn(original, task, split, seed=100 + k) for k in range(2)]
    report = compare(
        task, split, test, original=original, golds=golds, unlearned={"same": Unlearned(original, split.retain, {})}
    )
    for role in ("original", "gold", "unlearned"):
        assert 0 <= report.value(role, "test", "recall@20") <= 1
    assert 0 <= report.value("gold_other_seed", "test", "overlap@20") <= 1
    assert report.value("unlearned", "test", "overlap@20") == report.value("original", "test", "overlap@20")
    for role in ("original", "gold", "unlearned"):
        for part in ("forget", "retain", "valid", "test"):
            for metric in ("recall", "ndcg", "precision"):
                for k in (5, 10, 20, 50):
                    assert 0 <= report.value(role, part, f"{metric}@{k}") <= 1
        for group in ("active", "inactive", "head", "tail"):
            assert 0 <= report.value(role, "test", f"recall@20_{group}") <= 1


def test_valid_is_the_held_out_part_without_the_removed_and_masks_what_is_kept():
    split, test = world("user")
    profile = Profile.of(USER, ITEM, split, test, None)
    assert profile.parts["valid"].ranked.users.tolist() == [1, 2]
    assert profile.figures()["valid", "recall@5"] == profile.figures()["test", "recall@5"]  # the same pairs here
