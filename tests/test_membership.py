"""Attacks on one figure: hand values, and nothing to find where there is nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from graphforget.attack import lira, threshold_attack, zrf
from graphforget.errors import InputError, UnknownName
from graphforget.membership import FEATURES, attacked, entropy_attack, feature, svc_attack
from graphforget.unlearner import Unlearned
from tests.naive_vision import modified_entropy, softmax
from tests.vision.small import TASK, world


def answers(count: int, seed: int, sharp: float = 2.0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    return sharp * torch.randn(count, 5, generator=rng), torch.randint(5, (count,), generator=rng)


def test_features_by_hand():
    outputs, labels = torch.tensor([[0.0, np.log(3.0)], [4.0, 0.0]]), torch.tensor([1, 1])
    assert feature("correctness", outputs, labels).tolist() == [1, 0]
    assert feature("confidence", outputs, labels)[0] == pytest.approx(0.75)
    assert feature("loss", outputs, labels)[0] == pytest.approx(-np.log(0.75))
    assert feature("entropy", outputs, labels)[0] == pytest.approx(-0.75 * np.log(0.75) - 0.25 * np.log(0.25))
    # -(1 - .75) log .75 - .25 log(1 - .25)
    assert feature("modified_entropy", outputs, labels)[0] == pytest.approx(-0.5 * np.log(0.75))
    with pytest.raises(UnknownName, match="did you mean 'entropy'"):
        feature("entopy", outputs, labels)


def test_modified_entropy_is_one_entry_a_row_and_log_of_the_rest():
    outputs, labels = answers(50, 0)
    p = softmax(outputs.double().numpy())
    expected = [modified_entropy(row, int(y)) for row, y in zip(p, labels, strict=True)]
    assert np.allclose(feature("modified_entropy", outputs, labels).numpy(), expected)
    sure = torch.tensor([[800.0, 0.0, 0.0]])
    assert float(feature("modified_entropy", sure, torch.tensor([0]))) == 0
    assert float(feature("modified_entropy", sure, torch.tensor([1]))) == pytest.approx(1600 - np.log(2))


@pytest.mark.parametrize("name", FEATURES)
def test_between_two_sets_that_no_one_saw_an_attack_finds_nothing(name):
    parts = [feature(name, *answers(1500, seed, sharp)) for seed, sharp in ((1, 3.0), (2, 2.0), (3, 2.0), (4, 2.0))]
    assert svc_attack(*(part[:600] for part in parts)).result.auc == pytest.approx(0.5, abs=0.05)
    assert threshold_attack(parts[2], parts[3]).auc == pytest.approx(0.5, abs=0.05)


def test_lira_finds_nothing_where_nothing_was_trained_and_all_where_the_scores_rose():
    rng = torch.Generator().manual_seed(0)
    own = torch.randn(2000, generator=rng)
    shadows = own + torch.randn(12, 2000, generator=rng)
    inside = torch.arange(2000) < 1000
    target = own + torch.randn(2000, generator=rng)
    assert lira(shadows, target, inside).auc == pytest.approx(0.5, abs=0.05)
    assert lira(shadows, target + 4.0 * inside, inside).auc > 0.95
    with pytest.raises(InputError, match="both True and False"):
        lira(shadows, target, torch.ones(2000, dtype=torch.bool))
    with pytest.raises(InputError, match=r"must be \[2000\]"):
        lira(shadows, target[:5], inside)
    with pytest.raises(InputError, match="variance of 0"):
        lira(shadows[:1], target, inside)


def test_a_random_part_of_the_trained_looks_like_the_rest():
    """Nothing was unlearned: the forgotten are taken for members as often as the retained are."""
    member, _ = answers(1200, 5, 6.0)
    unseen, _ = answers(600, 6, 1.0)
    retained, forgotten = member[:600], member[600:]
    share = entropy_attack(retained, unseen, forgotten)
    assert share == pytest.approx(entropy_attack(retained, unseen, retained), abs=0.05)
    assert share > 0.8 > 0.3 > entropy_attack(retained, unseen, answers(600, 7, 1.0)[0])
    features = [feature("entropy", each, each.argmax(1)) for each in (retained, unseen, forgotten, unseen)]
    assert svc_attack(*features).efficacy < 0.2


def test_a_random_teacher_has_a_zrf_of_one_with_itself():
    outputs, _ = answers(30, 8)
    assert zrf(outputs, outputs) == 1


def test_features_of_two_widths_are_refused():
    with pytest.raises(InputError, match="one width d"):
        svc_attack(torch.rand(5, 2), torch.rand(5, 2), torch.rand(5), torch.rand(5))


def test_a_models_answers_are_attacked_in_one_call():
    """The forgotten of the original are taken for members as the retained are; a random model has the ZRF of one."""
    model, parts, split = world("sample")
    found = attacked(TASK, split, parts.test, Unlearned(model, split.data, {}))
    assert set(found) == {("forget", name) for name in ("mia_svc", "mia_entropy", "zrf")}
    assert found["forget", "mia_svc"] > 0.5
    blank = Unlearned(TASK.fresh(model, 0).eval(), split.data, {})
    assert attacked(TASK, split, parts.test, blank)["forget", "zrf"] == 1.0
    with pytest.raises(InputError, match="two test elements"):
        attacked(TASK, split, parts.test.view(parts.test.mask_of(parts.test.rows()[:1])), blank)
