"""Each loss on two sequences of five tokens and seven words, in float64, beside plain numpy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from graphforget.errors import UnknownName
from graphforget.llm import losses
from tests import naive_llm as naive

RNG = np.random.default_rng(0)
OWN, REF = (RNG.normal(size=(2, 5, 7)) * 2 for _ in range(2))
LABELS = np.array([[-100, -100, 3, 0, 6], [-100, 5, 5, 2, -100]])


def tensors(*arrays):
    return [torch.from_numpy(each.copy()) for each in arrays]


def logits(grad: bool = True) -> torch.Tensor:
    return torch.from_numpy(OWN.copy()).requires_grad_(grad)


def gradient(loss: torch.Tensor, of: torch.Tensor) -> torch.Tensor:
    return torch.autograd.grad(loss, of)[0]


def ascent(own, labels):
    return -losses.cross_entropy(own, labels)


def test_the_sums_and_means_of_answers():
    own, labels = tensors(OWN, LABELS)
    assert losses.nll(own, labels).numpy() == pytest.approx(naive.summed(OWN, LABELS))
    assert float(losses.cross_entropy(own, labels)) == pytest.approx(naive.mean_nll(OWN, LABELS))
    assert losses.lengths(labels).tolist() == [3, 3]


@pytest.mark.parametrize("reduction", ["sequence", "batch_mean"])
def test_npo(reduction):
    own, ref, labels = tensors(OWN, REF, LABELS)
    s, s_ref, count = losses.nll(own, labels), losses.nll(ref, labels), losses.lengths(labels)
    found = float(losses.npo(s, s_ref, count, beta=0.1, reduction=reduction))
    assert found == pytest.approx(naive.npo(OWN, REF, LABELS, 0.1, reduction), rel=1e-12)
    at_start = losses.npo(s, s, count, beta=0.1, reduction=reduction)
    assert float(at_start) == pytest.approx(2 / 0.1 * math.log(2))


def test_npo_at_the_original_climbs_the_sum():
    own, (labels,) = logits(), tensors(LABELS)
    s = losses.nll(own, labels)
    found = gradient(losses.npo(s, s.detach(), losses.lengths(labels), beta=0.1), own)
    s = losses.nll(own, labels)
    torch.testing.assert_close(found, gradient(-s.mean(), own))


def test_npo_becomes_ascent_as_beta_goes_to_zero():
    own, (ref, labels) = logits(), tensors(REF, LABELS)
    s_ref, count = losses.nll(ref, labels), losses.lengths(labels)
    found = gradient(losses.npo(losses.nll(own, labels), s_ref, count, beta=1e-7), own)
    torch.testing.assert_close(found, gradient(-losses.nll(own, labels).mean(), own), rtol=1e-5, atol=1e-7)


def test_simnpo():
    own, labels = tensors(OWN, LABELS)
    s, count = losses.nll(own, labels), losses.lengths(labels)
    found = float(losses.simnpo(s, count, beta=4.5, delta=0.3))
    assert found == pytest.approx(naive.simnpo(OWN, LABELS, 4.5, 0.3), rel=1e-12)


def test_length_moves_npo_and_not_simnpo():
    own, ref, labels = tensors(OWN, REF, LABELS)
    twice = [each.repeat_interleave(2, dim=1) for each in (own, ref, labels)]
    short = losses.nll(own, labels), losses.nll(ref, labels), losses.lengths(labels)
    long = losses.nll(twice[0], twice[2]), losses.nll(twice[1], twice[2]), losses.lengths(twice[2])
    same = [float(losses.simnpo(each[0], each[2], beta=4.5, delta=0.0)) for each in (short, long)]
    apart = [float(losses.npo(*each, beta=0.1)) for each in (short, long)]
    assert same[0] == pytest.approx(same[1])
    assert apart[0] != pytest.approx(apart[1])


def test_dpo():
    own, ref, labels = tensors(OWN, REF, LABELS)
    s, s_ref = losses.nll(own, labels), losses.nll(ref, labels)
    found = float(losses.dpo(s, s_ref, s.flip(0), s_ref.flip(0), beta=0.1))
    plain = naive.dpo(*(each.numpy() for each in (s, s_ref, s.flip(0), s_ref.flip(0))), 0.1)
    assert found == pytest.approx(plain, rel=1e-12)
    assert float(losses.dpo(s, s_ref, s, s_ref, beta=0.1)) == pytest.approx(2 / 0.1 * math.log(2))


def test_undial_and_the_two_kinds_of_kl():
    own, ref, labels = tensors(OWN, REF, LABELS)
    assert float(losses.undial(own, ref, labels, beta=10)) == pytest.approx(naive.undial(OWN, REF, LABELS, 10))
    assert float(losses.kl(own, ref, labels)) == pytest.approx(naive.kl(REF, OWN, LABELS))
    assert float(losses.kl_forget(own, ref, labels)) == pytest.approx(naive.kl(OWN, REF, LABELS))
    p, q = np.exp(naive.log_softmax(OWN)), np.exp(naive.log_softmax(REF))
    assert float(losses.kl_released(own, ref)) == pytest.approx(-(p * np.log(q + 1e-12)).sum(-1).mean())


def test_weighted_ascent_and_satimp():
    own, (labels,) = logits(), tensors(LABELS)
    still = own.detach()
    assert float(losses.weighted_ascent(still, labels, beta=1)) == pytest.approx(naive.sat_imp(OWN, LABELS, 1, 0))
    assert float(losses.sat_imp(still, labels, beta1=5, beta2=1)) == pytest.approx(naive.sat_imp(OWN, LABELS, 5, 1))
    plain = gradient(ascent(own, labels), own)
    torch.testing.assert_close(gradient(losses.weighted_ascent(own, labels, beta=0), own), plain)
    torch.testing.assert_close(gradient(losses.sat_imp(own, labels, beta1=0, beta2=0), own), plain)


def test_ce_u_lowers_the_gold_token():
    own, (labels,) = logits(), tensors(LABELS)
    loss = losses.ce_u(own, labels)
    assert float(loss.detach()) == pytest.approx(naive.ce_u(OWN, LABELS))
    found = gradient(loss, own)
    for row, place in ((0, 3), (0, 4), (1, 2), (1, 3)):  # the first answer token of each row is left out
        gold = LABELS[row, place]
        p = np.exp(naive.log_softmax(OWN[row, place]))[gold]
        assert float(found[row, place, gold]) == pytest.approx(p / 4)
    assert not found[0, 2].any()


@pytest.mark.parametrize("name", ["nll", "undial", "kl", "kl_forget", "ce_u", "sat_imp", "cross_entropy"])
def test_what_is_no_answer_changes_nothing(name):
    """Other logits on the prompt and on padding, where labels are -100."""
    own, ref, labels = tensors(OWN, REF, LABELS)
    more = {"undial": {"beta": 10}, "sat_imp": {"beta1": 5, "beta2": 1}}.get(name, {})
    args = (ref,) if name in ("undial", "kl", "kl_forget") else ()
    found = getattr(losses, name)(own, *args, labels, **more)
    torch.testing.assert_close(
        getattr(losses, name)(own + 9 * (labels == -100)[:, :, None] * ref, *args, labels, **more), found
    )


def test_an_unknown_reduction_is_named():
    with pytest.raises(UnknownName, match="did you mean 'sequence'"):
        losses.npo(torch.zeros(1), torch.zeros(1), torch.ones(1), beta=0.1, reduction="sequnce")
