"""Partial diffusion: who makes which step, with which noise, on which scheduler."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("diffusers", reason="needs the extra diffusion")
import diffusers

from graphforget.diffusion.concealment import PSIS, partial_diffusion, recovery
from graphforget.diffusion.models import ancestral, build
from graphforget.diffusion.sampling import handover, sample
from graphforget.errors import InputError
from graphforget.train import seeded
from tests.diffusion.small import SHAPE, Plain, Stub
from tests.small import same_random_state

CONCEPTS = torch.tensor([0, 1, 0])
SCHEDULERS = {
    "plain": Plain(),
    "ancestral": ancestral(10),
    "ddim": diffusers.DDIMScheduler(10),
    "euler": diffusers.EulerDiscreteScheduler(10),
    "multistep": diffusers.DPMSolverMultistepScheduler(10),  # remembers its last outputs
}


def two() -> list[torch.nn.Module]:
    models = []
    for seed in (1, 2):
        with seeded(seed):
            models.append(build("class_unet", SHAPE, 2).eval())
    return models


@pytest.mark.parametrize("name", SCHEDULERS)
def test_the_ends_are_the_two_models_bit_for_bit(name):
    original, unlearned = two()
    ask = {"guidance": 2.0, "steps": 6, "seed": 5}
    with same_random_state():
        found = recovery(original, unlearned, SCHEDULERS[name], CONCEPTS, SHAPE, psis=(0, 0.5, 1), **ask)
    assert found[0].equal(sample(unlearned, SCHEDULERS[name], CONCEPTS, SHAPE, **ask))
    assert found[1].equal(sample(original, SCHEDULERS[name], CONCEPTS, SHAPE, **ask))
    assert not found[0].equal(found[1])
    single = partial_diffusion(original, unlearned, SCHEDULERS[name], CONCEPTS, SHAPE, psi=0.5, **ask)
    assert found[0.5].equal(single)  # the shared first part changes nothing


@pytest.mark.parametrize("name", SCHEDULERS)
def test_the_same_model_in_both_halves_does_not_depend_on_psi(name):
    model, _ = two()
    found = recovery(model, model, SCHEDULERS[name], CONCEPTS, SHAPE, psis=(0, 0.3, 0.7, 1), steps=6, seed=1)
    assert all(value.equal(found[0]) for value in found.values())


@pytest.mark.parametrize(("psi", "calls"), [(0.001, 0), (0.05, 5), (0.29, 29), (0.55, 55), (1, 100)])
def test_the_original_makes_floor_of_t_psi_steps(psi, calls):
    original, unlearned = Stub(0.1, 0.2, 0.3), Stub(0.1, 0.2, 0.3)
    partial_diffusion(original, unlearned, Plain(), CONCEPTS, SHAPE, psi=psi, guidance=1.0, steps=100)
    assert (original.calls, unlearned.calls) == (calls, 100 - calls)
    assert handover(100, psi) == calls


def test_guidance_is_that_of_the_equation():
    own, x = Stub(0.5, 0.2), torch.ones(1, *SHAPE)
    found = sample(own, Plain(), torch.tensor([0]), SHAPE, guidance=3.0, steps=1, seed=0)
    start = sample(Stub(0.0, 0.0), Plain(), torch.tensor([0]), SHAPE, steps=1, seed=0)
    assert torch.allclose(found, start * (1 - 0.1 * (0.2 + 3 * (0.5 - 0.2))) * x)


def test_the_papers_grid_is_kept_as_it_is():
    assert PSIS == (0.001, 0.01, 0.05, 0.15, 0.25, 0.35, 0.45, 0.55)
    assert [handover(100, psi) for psi in PSIS] == [0, 1, 5, 15, 25, 35, 45, 55]


@pytest.mark.parametrize("psi", [-0.1, 1.1, float("nan")])
def test_psi_outside_its_range_is_refused(psi):
    model = Stub(0.1, 0.2)
    with pytest.raises(InputError, match=r"must lie in \[0, 1\]"):
        partial_diffusion(model, model, Plain(), CONCEPTS[:1], SHAPE, psi=psi, steps=4)
    assert model.calls == 0


def test_what_is_no_scheduler_is_refused():
    model = Stub(0.1, 0.2)
    with pytest.raises(InputError, match=r"scheduler with set_timesteps, step, timesteps .* \(got NoneType\)"):
        partial_diffusion(model, model, None, CONCEPTS[:1], SHAPE, psi=0.5)
    with pytest.raises(InputError, match="at least one psi"):
        recovery(model, model, Plain(), CONCEPTS[:1], SHAPE, psis=())
    with pytest.raises(InputError, match="concepts must be labels"):
        recovery(model, model, Plain(), torch.ones(2), SHAPE)
