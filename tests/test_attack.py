"""attack.py on data with known answers: planted leaks are found, nothing is found where there is nothing."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.metrics import roc_auc_score, roc_curve

from graphforget import attack, intervals, metrics
from graphforget.errors import InputError


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def links(scores):
    return torch.stack([torch.zeros_like(scores), scores], 1)


# threshold


def test_threshold_attack_equals_sklearn():
    member, other = normal(600) + 1, normal(500, seed=1)
    found = attack.threshold_attack(member, other, seed=0)
    truth, scores = np.r_[np.ones(600), np.zeros(500)], torch.cat([member, other]).numpy()
    assert found.auc == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)
    assert (found.members, found.non_members) == (600, 500)
    fpr, tpr, _ = roc_curve(truth, scores, drop_intermediate=False)
    assert found.tpr_at_1pct_fpr == pytest.approx(tpr[fpr <= 0.01].max())


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    truth, covered = stats.norm.cdf(1 / math.sqrt(2)), 0
    for seed in range(40):
        found = attack.threshold_attack(normal(150, seed=2 * seed) + 1, normal(100, seed=2 * seed + 1), seed)
        covered += found.low <= truth <= found.high
    assert 34 <= covered <= 40  # 38 expected, standard deviation 1.4


def test_threshold_interval_is_the_plain_bootstrap_of_the_auc():
    member, other = (normal(40) * 2).round(), (normal(30, seed=1) * 2).round()  # many ties
    found = attack.threshold_attack(member, other, seed=7)
    assert (found.auc, found.low, found.high) == pytest.approx(
        tuple(intervals.bootstrap_interval(metrics.auc, member, other, seed=7))
    )


@pytest.mark.parametrize("count", [100, 101, 199, 200, 350])
def test_tpr_takes_the_largest_share_at_one_percent_with_ties(count):
    member, other = (normal(80) * 3 + 6).round(), (normal(count, seed=count) * 3).round()
    truth, scores = np.r_[np.ones(80), np.zeros(count)], torch.cat([member, other]).numpy()
    fpr, tpr, _ = roc_curve(truth, scores, drop_intermediate=False)
    assert attack.threshold_attack(member, other).tpr_at_1pct_fpr == pytest.approx(tpr[fpr <= 0.01].max())


def test_tpr_is_nan_below_a_hundred_non_members():
    assert math.isnan(attack.threshold_attack(normal(500), normal(99)).tpr_at_1pct_fpr)
    assert not math.isnan(attack.threshold_attack(normal(5), normal(100)).tpr_at_1pct_fpr)


def test_all_equal_scores_tell_nothing():
    found = attack.threshold_attack(torch.zeros(10), torch.zeros(200))
    assert (found.auc, found.low, found.high, found.tpr_at_1pct_fpr) == (0.5, 0.5, 0.5, 0.0)


# posterior


def test_posterior_attack_carries_from_the_shadow_to_the_target():
    lift = torch.tensor([1.5, 0.0, 0.0])
    found = attack.posterior_attack(
        normal(300, 3) + lift, normal(300, 3, seed=1), normal(200, 3, seed=2) + lift, normal(200, 3, seed=3)
    )
    assert found.auc == pytest.approx(stats.norm.cdf(1.5 / math.sqrt(2)), abs=0.05)


def test_posterior_attack_finds_nothing_where_the_target_leaks_nothing():
    shadow = normal(1000, 3) + 1, normal(1000, 3, seed=1)
    found = attack.posterior_attack(*shadow, normal(1000, 3, seed=2), normal(1000, 3, seed=3))
    assert found.auc == pytest.approx(0.5, abs=0.05)
    assert found.low < 0.5 < found.high


def test_posterior_attack_ignores_the_scale_of_a_feature():
    rows = [normal(100, 2, seed=k) + (1 - k % 2) for k in range(4)]
    scale = torch.tensor([1e6, 1e-6])
    found, scaled = attack.posterior_attack(*rows), attack.posterior_attack(*(each * scale for each in rows))
    assert found.auc == pytest.approx(scaled.auc, abs=1e-3)


def test_hidden_layers_see_what_a_line_cannot():
    def far_and_near(seed):  # members are sure of either class
        sign = normal(300, 1, seed=seed).sign()
        return sign * 3 + 0.3 * normal(300, 1, seed=seed + 1), 0.3 * normal(300, 1, seed=seed + 2)

    rows = (*far_and_near(10), *far_and_near(20))
    assert abs(attack.posterior_attack(*rows).auc - 0.5) < 0.2
    assert attack.posterior_attack(*rows, hidden=(16,)).auc > 0.95


def test_posterior_attack_wants_one_width():
    with pytest.raises(InputError, match=r"one width d .*'target_in': 3"):
        attack.posterior_attack(normal(5, 2), normal(5, 2), normal(5, 3), normal(5, 2))
    with pytest.raises(InputError, match="shadow_out must be finite"):
        attack.posterior_attack(normal(5, 2), normal(5, 2) / 0, normal(5, 2), normal(5, 2))


# update leakage


@pytest.mark.parametrize("drop", [1.0, -1.0])
def test_update_leakage_finds_a_one_sided_move_of_ordinary_size(drop):
    # Every element moves by 1; the never-touched in either direction, the forgotten in one: the size tells nothing.
    before_forget, before_other = 0.1 * normal(200), 0.1 * normal(600, seed=1)
    moved = normal(600, seed=2).sign()
    found = attack.update_leakage(
        links(before_forget), links(before_forget - drop), links(before_other), links(before_other + moved)
    )
    assert found.auc == pytest.approx(0.75, abs=0.08)
    assert (found.members, found.non_members) == (200, 600)


def test_update_leakage_finds_a_large_move_of_either_sign_in_many_classes():
    before_forget, before_other = normal(100, 5), normal(400, 5, seed=1)
    found = attack.update_leakage(
        before_forget,
        before_forget + 3 * normal(100, 5, seed=2),
        before_other,
        before_other + 0.2 * normal(400, 5, seed=3),
    )
    assert found.auc > 0.9


@pytest.mark.parametrize("classes", [2, 4])
def test_update_leakage_is_a_coin_toss_where_all_move_alike(classes):
    before, other = normal(1000, classes), normal(1000, classes, seed=1)
    after = before + 0.3 * normal(1000, classes, seed=2)
    found = attack.update_leakage(before, after, other, other + 0.3 * normal(1000, classes, seed=3))
    assert found.auc == pytest.approx(0.5, abs=0.05)


def test_update_leakage_follows_the_class_that_the_original_favoured():
    # Belief in an element's own class moves by about .1, the rest is shared out, so the distance is the same both ways:
    # the never-touched move up or down at random, the forgotten only down. No fixed class tells.
    def logits(own_belief):
        own = torch.nn.functional.one_hot(torch.arange(len(own_belief)) % 4, 4).double()
        return torch.where(own > 0, own_belief[:, None], (1 - own_belief[:, None]) / 3).log()

    def size(seed):
        return 0.1 + 0.01 * normal(400, seed=seed)

    before = logits(torch.full((400,), 0.5, dtype=torch.float64))
    down, either = logits(0.5 - size(0)), logits(0.5 + size(1) * normal(400, seed=2).sign())
    assert attack.update_leakage(before, down, before, either).auc == pytest.approx(0.75, abs=0.05)


def test_update_leakage_judges_no_element_by_a_fit_that_knew_it():
    # Ten a side and nothing to find: a fit that had seen its answers would tell them apart.
    drawn = [[normal(10, 2, seed=4 * k + part) for part in range(4)] for k in range(30)]
    found = [attack.update_leakage(*rows, seed=0).auc for rows in drawn]
    assert 0.3 < sum(found) / len(found) < 0.55
    assert len({attack.update_leakage(*drawn[0], seed=seed).auc for seed in range(4)}) > 1  # the seed draws the folds


def test_update_leakage_of_an_untouched_model_is_exactly_even():
    before, other = normal(20, 2), normal(40, 2, seed=1)
    assert attack.update_leakage(before, before, other, other).auc == pytest.approx(0.5, abs=0.12)


def test_update_leakage_of_a_handful_is_nan_not_a_guess():
    found = attack.update_leakage(normal(9, 2), normal(9, 2, seed=1), normal(50, 2), normal(50, 2, seed=1))
    assert math.isnan(found.auc)
    assert math.isnan(found.low)
    assert (found.members, found.non_members) == (9, 50)


def test_update_leakage_refuses_what_does_not_match():
    with pytest.raises(InputError, match="same elements"):
        attack.update_leakage(normal(20, 2), normal(21, 2), normal(20, 2), normal(20, 2))
    with pytest.raises(InputError, match="one C"):
        attack.update_leakage(normal(20, 2), normal(20, 2), normal(20, 3), normal(20, 3))


# U-LiRA


def shadows(count, elements, gap, seed=0):
    """Scores of `count` shadows: N(element's own mean, 1), lifted by gap where the shadow forgot the element."""
    own = 3 * normal(elements, seed=seed)
    forgot = normal(count + 1, elements, seed=seed + 1).argsort(0) < (count + 1) // 2
    scores = own + normal(count + 1, elements, seed=seed + 2) + gap * forgot
    return scores[:-1], forgot[:-1], scores[-1], forgot[-1]


@pytest.mark.parametrize(("count", "pooled"), [(16, True), (200, False)])
def test_u_lira_is_the_gaussian_ratio(count, pooled):
    scores, forgot, target, target_forgot = shadows(count, 30, 1.0)
    found = attack.u_lira(scores, forgot, target, target_forgot).log_ratio
    residual = {side: [] for side in (True, False)}
    fits = []
    for b in range(30):
        for side in (True, False):
            own = scores[forgot[:, b] == side, b].numpy()
            fits.append((own.mean(), own.std(ddof=1)))
            residual[side].append((((own - own.mean()) ** 2).sum(), len(own) - 1))
    pool = {side: math.sqrt(np.sum(residual[side], 0)[0] / np.sum(residual[side], 0)[1]) for side in residual}
    for b in range(30):
        (mean_in, std_in), (mean_out, std_out) = fits[2 * b], fits[2 * b + 1]
        if pooled:
            std_in, std_out = pool[True], pool[False]
        wanted = stats.norm.logpdf(float(target[b]), mean_in, std_in) - stats.norm.logpdf(
            float(target[b]), mean_out, std_out
        )
        assert float(found[b]) == pytest.approx(wanted, abs=1e-9)


def test_u_lira_finds_what_a_threshold_cannot():
    arguments = shadows(64, 2000, 2.0)
    found = attack.u_lira(*arguments).result
    # Known means, variance 1: the ratio orders by t - own mean, AUC = Phi(2 / sqrt 2).
    assert found.auc == pytest.approx(stats.norm.cdf(2 / math.sqrt(2)), abs=0.03)
    target, forgot = arguments[2:]
    plain = attack.threshold_attack(target[forgot], target[~forgot])
    assert found.auc > plain.auc + 0.15
    assert found.tpr_at_1pct_fpr > 2 * plain.tpr_at_1pct_fpr
    assert found.members + found.non_members == 2000


@pytest.mark.parametrize("count", [6, 128])
def test_u_lira_is_a_coin_toss_when_forgetting_is_perfect(count):
    found = attack.u_lira(*shadows(count, 2000, 0.0)).result
    assert found.auc == pytest.approx(0.5, abs=0.05)


def test_pooling_is_better_with_few_shadows():
    arguments = shadows(7, 2000, 2.0)
    pooled, own = (attack.u_lira(*arguments, own_variance_from=least).result.auc for least in (32, 2))
    assert pooled > own


def test_u_lira_refuses_what_it_cannot_fit():
    scores, forgot, target, target_forgot = shadows(16, 10, 1.0)
    none_saw = forgot.clone()
    none_saw[:, 3] = True
    bad = {
        "every element needs a shadow": (scores, none_saw, target, target_forgot),
        "shadow_forgot must be bool": (scores, forgot.long(), target, target_forgot),
        "target_forgot must be bool": (scores, forgot, target, target_forgot[:5]),
        "target_forgot must hold both": (scores, forgot, target, torch.ones(10, dtype=torch.bool)),
        "target_scores must be": (scores, forgot, target[:5], target_forgot[:5]),
        "must vary": (torch.ones_like(scores), forgot, target, target_forgot),
        "shadow_scores must be finite": (scores / 0, forgot, target, target_forgot),
    }
    for message, arguments in bad.items():
        with pytest.raises(InputError, match=message):
            attack.u_lira(*arguments)
    two = torch.tensor([[True] * 10, [False] * 10])
    with pytest.raises(InputError, match="one shadow each"):
        attack.u_lira(scores[:2], two, target, target_forgot)


# ZRF, and what holds for all


def test_zrf_is_one_for_the_random_model_itself_and_least_for_its_opposite():
    outputs = normal(10, 3)
    assert attack.zrf(outputs, outputs) == 1
    sure = torch.tensor([[0.0, 1e4]])
    assert attack.zrf(sure, -sure) == pytest.approx(1 - math.log(2))


ATTACKS = {
    "threshold": lambda seed: attack.threshold_attack(normal(50) + 0.3, normal(50, seed=1), seed),
    "posterior": lambda seed: attack.posterior_attack(*(normal(50, 2, seed=k) for k in range(4)), seed),
    "network": lambda seed: attack.posterior_attack(*(normal(50, 2, seed=k) for k in range(4)), seed, hidden=(4,)),
    "update": lambda seed: attack.update_leakage(*(normal(50, 3, seed=k) for k in range(4)), seed),
    "u_lira": lambda seed: attack.u_lira(*shadows(8, 50, 1.0), seed).result,
}


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_depends_on_its_seed_alone_and_leaves_global_randomness_untouched(name):
    torch.manual_seed(3)
    before, numpy_before = torch.get_rng_state(), np.random.get_state()  # noqa: NPY002 - it is what we check
    first = ATTACKS[name](1)
    assert torch.equal(torch.get_rng_state(), before)
    after = np.random.get_state()  # noqa: NPY002
    assert np.array_equal(after[1], numpy_before[1])
    assert after[2] == numpy_before[2]
    torch.manual_seed(4)
    assert ATTACKS[name](1) == first
    assert ATTACKS[name](2) != first
    assert first.low <= first.auc <= first.high


def test_threshold_attack_refuses_bad_scores():
    for bad in (torch.empty(0), torch.tensor([math.nan]), torch.ones(2, 2)):
        with pytest.raises(InputError, match="member_scores must be"):
            attack.threshold_attack(bad, torch.ones(3))
        with pytest.raises(InputError, match="non_member_scores must be"):
            attack.threshold_attack(torch.ones(3), bad)
