"""The task of noise prediction: its equation, its fixed draws, its context."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("diffusers", reason="needs the extra diffusion")
import diffusers

from graphforget.diffusion.audit import audit, recognised, recogniser
from graphforget.diffusion.models import NULL, ClassUNet
from graphforget.diffusion.task import NoisePrediction
from graphforget.errors import InputError
from graphforget.evidence import compare
from graphforget.methods.retrain import Retrain
from graphforget.samples import Samples
from tests.diffusion.small import SHAPE, TASK, Stub, world


def test_an_element_is_a_row_with_noise_of_its_own():
    _, split = world()
    batch = TASK.elements(split.data, split.data)
    x, t, c = TASK.noised(split.data, batch)
    share = TASK.noise.alphas_cumprod[t].view(-1, 1, 1, 1)
    rows = batch.index[0]
    expected = share.sqrt() * split.data.x[rows] + (1 - share).sqrt() * batch.label.view_as(x)
    assert torch.allclose(x, expected, atol=1e-6)
    assert c.equal(split.data.y[rows])
    assert torch.allclose(TASK.criterion(batch.label + 2, batch), torch.full((batch.size,), 4.0))


def test_fixed_draws_are_the_rows_own_and_training_draws_are_not():
    _, split = world()
    whole, part = TASK.elements(split.data, split.data), TASK.elements(split.retain, split.forget)
    place = {int(row): n for n, row in enumerate(whole.index[0])}
    same = [place[int(row)] for row in part.index[0]]
    assert whole.take(torch.tensor(same)).label.equal(part.label)
    rng = torch.Generator().manual_seed(0)
    one, two = (next(TASK.batches(split.data, split.data, rng)) for _ in range(2))
    assert not one.label.equal(two.label)
    many = torch.cat([b.index[2] for _ in range(20) for b in TASK.batches(split.data, split.data, rng)])
    assert 0.05 < float((many == NULL).float().mean()) < 0.16  # a tenth has no concept


def test_the_retained_context_holds_no_forgotten_row():
    _, split = world()
    rng = torch.Generator().manual_seed(0)
    seen = torch.cat([batch.index[0] for batch in TASK.batches(split.retain, split.retain, rng)])
    assert not torch.isin(seen, split.forget.rows()).any()


def test_evidence_stands_on_golds_and_floor():
    model, split = world("class_unet")
    golds = [Retrain().unlearn(model, TASK, split, seed=100 + k) for k in range(2)]
    report = compare(TASK, split, split.held_out, original=model, golds=golds)
    assert report.value("gold_other_seed", "forget", "rmse_to_gold") > 0
    assert 0 <= report.value("original", "all", "mia_auc") <= 1


def test_a_scheduler_that_predicts_something_else_is_refused():
    with pytest.raises(InputError, match=r"prediction_type 'epsilon' \(got 'v_prediction'\)"):
        NoisePrediction(scheduler=diffusers.DDPMScheduler(10, prediction_type="v_prediction"))


def test_the_small_model_has_the_published_recipe_s_size():
    assert sum(p.numel() for p in ClassUNet(SHAPE, 10).parameters()) == 160_401


def test_an_audit_is_one_call_and_the_same_seed_is_the_same_audit():
    model, split = world()
    other = Retrain().unlearn(model, TASK, split, seed=4).model
    ask = {"psis": (0, 0.5), "images": 10, "attacks": 2, "steps": 4, "seed": 3}
    recognise = recogniser(split.data)
    one, two = (audit(model, other, TASK.noise, 2, SHAPE, recognise, **ask) for _ in range(2))
    assert one == two
    assert set(one.curve) == {0, 0.5}
    assert all(0 <= each.mean <= 1 and each.error >= 0 for each in one.curve.values())
    assert 0 <= one.ccs.low <= 1
    with pytest.raises(InputError, match=r"the concept must lie in \[0, 3\), what the recogniser knows \(got 3\)"):
        audit(Stub(*[0.1] * 5), Stub(*[0.1] * 5), TASK.noise, 3, SHAPE, recognise, **ask)
    with pytest.raises(InputError, match="images must be at least 10"):
        audit(model, other, TASK.noise, 2, SHAPE, recognise, images=9)
    found = recognised(model, TASK.noise, SHAPE, recognise, [0, 1, 2], each=2, steps=4)
    assert set(found) == {0, 1, 2}


def test_a_recogniser_needs_every_label():
    with pytest.raises(InputError, match=r"labels must be 0 \.\. K - 1"):
        recogniser(Samples(torch.zeros(3, 4), torch.tensor([0, 2, 2])))
