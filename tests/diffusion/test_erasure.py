"""Each method's loss on stubs with known predictions, and every method on small trained models."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

pytest.importorskip("diffusers", reason="needs the extra diffusion")

from graphforget import catalog
from graphforget.diffusion.ablating import AblatingConcepts
from graphforget.diffusion.attention import attended, cross_attentions
from graphforget.diffusion.erasure import GROUPS, train_only
from graphforget.diffusion.esd import ESD, esd_target
from graphforget.diffusion.forget_me_not import ForgetMeNot, attention_norm
from graphforget.diffusion.models import build
from graphforget.diffusion.sdd import SDD, follow, sdd_loss
from graphforget.diffusion.task import NoisePrediction, scaled
from graphforget.errors import InputError, MissingExtra, NotApplicable
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.methods.gradient_ascent import GradientAscent
from graphforget.samples import Samples
from graphforget.vision.task import ImageClassification
from tests.diffusion.small import SHAPE, TASK, Stub, world
from tests.small import equal_states, same_random_state, state, storages

SHORT = {"epochs": 3, "batch_size": 8}
METHODS = {
    "esd": ESD(**SHORT),
    "esd sampled": ESD(source="sampled", pool=4, keep=0.0, group="esd-x", **SHORT),
    "ablating_concepts": AblatingConcepts(**SHORT),
    "ablating anchor": AblatingConcepts(anchor=1, target="noise", **SHORT),
    "ablating sampled": AblatingConcepts(anchor=1, source="sampled", pool=4, **SHORT),
    "forget_me_not": ForgetMeNot(**SHORT),
    "sdd": SDD(pool=4, **SHORT),
    "sdd data": SDD(source="data", group="xattn", **SHORT),
    "gradient_ascent": GradientAscent(epochs=2, keep=0.9),
    "d2dgn": catalog.method("d2dgn")(epochs=2),
    "finetune": catalog.method("finetune")(epochs=2),
    "retrain": catalog.method("retrain")(),
}
X = torch.randn(4, 1, 2, 2, generator=torch.Generator().manual_seed(0))
T, C = torch.tensor([0, 3, 5, 9]), torch.tensor([0, 0, 0, 0])


@pytest.mark.parametrize("name", METHODS)
def test_the_input_is_untouched_and_something_changed(name):
    model, split = world()
    before, x = state(model), split.data.x.clone()
    with same_random_state():
        found = METHODS[name].unlearn(model, TASK, split, seed=5)
    again = METHODS[name].unlearn(model, TASK, split, seed=5)
    assert equal_states(state(model), before)
    assert split.data.x.equal(x)
    assert equal_states(state(found.model), state(again.model))
    assert not equal_states(state(found.model), before)
    assert not storages(found.model) & storages(model)
    assert all(p.requires_grad and p.grad is None for p in found.model.parameters())
    assert found.context is split.retain


@pytest.mark.parametrize("name", METHODS)
def test_parts_outside_reads_are_never_touched(name):
    model, split = world()
    method, odd = METHODS[name], split.data.view(torch.arange(len(split.data.x)) < 3)
    others = {part: odd for part in ("data", "held_out") if part not in method.reads}
    one, other = (method.unlearn(model, TASK, each, seed=5) for each in (split, replace(split, **others)))
    assert equal_states(state(one.model), state(other.model))


def test_the_target_of_esd_equals_numpy():
    original, x = Stub(0.5, 0.9, 0.2, bias=0.1), X.numpy()
    for eta in (0.0, 1.0, 2.0):
        target = esd_target(original, X, T, C, eta).numpy()
        np.testing.assert_allclose(target, (0.5 - eta * (0.5 - 0.2)) * x + 0.1, atol=1e-6)
    student = Stub(0.7, 0.9, 0.2, bias=0.1)
    loss = (student(X, T, C) - esd_target(original, X, T, C, 2.0)).square().mean()
    loss.backward()
    gap = 0.7 - (0.5 - 2 * 0.3)
    assert float(loss.detach()) == pytest.approx(float((gap * x).__pow__(2).mean()), rel=1e-5)
    assert float(student.scale.grad[0]) == pytest.approx(float((2 * gap * x**2).mean()), rel=1e-5)
    assert not student.scale.grad[1:].any()


def test_esd_without_guidance_asks_nothing_of_the_original_itself():
    original = Stub(0.5, 0.2)
    assert torch.equal(original(X, T, C), esd_target(original, X, T, C, 0.0))


@pytest.mark.parametrize("group", [*GROUPS, "xattn", "noxattn", "full"])
def test_only_the_chosen_group_is_trained(group):
    model = build("attention_unet", SHAPE, 3)
    chosen = {id(p) for p in train_only(model, group)}
    for name, parameter in model.named_parameters():
        cross = "attn2" in name
        own = {
            "esd-x": cross, "xattn": cross, "esd-u": not cross, "noxattn": not cross, "esd-all": True, "full": True,
            "esd-x-strict": "attn2.to_k" in name or "attn2.to_v" in name, "selfattn": "attn1" in name,
        }[group] and name.startswith("unet.")  # fmt: skip
        assert parameter.requires_grad == own == (id(parameter) in chosen)


def test_a_run_moves_the_chosen_group_alone():
    model, split = world()
    found = ESD(group="esd-x-strict", **SHORT).unlearn(model, TASK, split, seed=1)
    before, after = state(model), state(found.model)
    moved = {name for name in before if not before[name].equal(after[name])}
    assert moved
    assert all("attn2.to_k" in name or "attn2.to_v" in name for name in moved)


def test_a_model_without_cross_attention_says_so():
    model, split = world("class_unet")
    with pytest.raises(NotApplicable, match="no parameter of the group 'esd-x'; use esd-all"):
        ESD(group="esd-x").unlearn(model, TASK, split)
    with pytest.raises(NotApplicable, match="needs cross-attention"):
        ForgetMeNot().unlearn(model, TASK, split)
    assert ESD(**SHORT).unlearn(model, TASK, split).model is not model


def test_sdd_learns_through_the_concept_alone():
    student = Stub(0.5, 0.9, 0.2)
    loss = sdd_loss(student, X, T, C)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(float((0.3 * X).square().mean()), rel=1e-5)
    assert student.scale.grad[0] != 0
    assert not student.scale.grad[1:].any()  # the empty prediction is a constant


def test_the_teacher_of_sdd_is_the_closed_form_average():
    teacher, student = Stub(1.0), Stub(0.0)
    for _ in range(5):
        follow(teacher, student, 0.9)
    assert float(teacher.scale.detach()) == pytest.approx(0.9**5, rel=1e-6)


def test_sdd_returns_the_average_and_not_the_student():
    model, split = world()
    near = SDD(decay=0.999, source="data", **SHORT).unlearn(model, TASK, split, seed=1)
    far = SDD(decay=0.0, source="data", **SHORT).unlearn(model, TASK, split, seed=1)
    before = state(model)

    def moved(found):
        return sum(float((value - before[name]).abs().sum()) for name, value in state(found.model).items())

    assert 0 < moved(near) < 0.05 * moved(far)


def test_forget_me_not_is_the_norm_of_the_hooked_attention():
    model, _ = world()
    x, t, c = torch.randn(3, *SHAPE), torch.tensor([1, 5, 9]), torch.tensor([2, 2, 2])
    ((_, block),) = cross_attentions(model).items()
    heard = {}
    handle = block.register_forward_pre_hook(
        lambda _m, args, kwargs: heard.update(x=args[0], words=kwargs["encoder_hidden_states"]), with_kwargs=True
    )
    (seen,) = attended(model, lambda: model(x, t, c))
    handle.remove()
    q, k = (
        block.head_to_batch_dim(layer(value))
        for layer, value in ((block.to_q, heard["x"]), (block.to_k, heard["words"]))
    )
    scores = block.get_attention_scores(q, k).view(seen.shape)
    assert torch.allclose(seen, scores, atol=1e-6)
    assert torch.allclose(seen.sum(-1), torch.ones(()))
    assert float(attention_norm(model, x, t, c).detach()) == pytest.approx(
        float(scores[..., 1].norm().detach()), rel=1e-5
    )


def test_forget_me_not_is_zero_without_attention_to_the_word():
    model, _ = world()
    model = build("attention_unet", SHAPE, 3)
    (block,) = cross_attentions(model).values()
    with torch.no_grad():
        block.to_k.weight.copy_(torch.eye(*block.to_k.weight.shape))
        block.to_q.weight.zero_()
        model.words.weight.zero_()
    half = attention_norm(model, torch.randn(2, *SHAPE), torch.tensor([1, 2]), torch.tensor([0, 1]))
    heads, pixels = block.heads, 16
    assert float(half.detach()) == pytest.approx(0.5 * (2 * heads * pixels) ** 0.5, rel=1e-5)  # two words, alike
    model.token_mask = lambda c: torch.zeros(len(c), 2, dtype=torch.bool)
    assert float(attention_norm(model, torch.randn(2, *SHAPE), torch.tensor([1, 2]), torch.tensor([0, 1]))) == 0.0


def test_ablating_is_satisfied_where_the_concept_already_is_its_anchor():
    """Same scale for concept 0 and the empty condition: the loss is 0 and nothing moves."""
    rows = Samples(X.repeat(3, 1, 1, 1), torch.tensor([0, 1, 2] * 4))
    split = ForgetSplit.of(rows, ForgetRequest.of("class", [0]), rows)
    model = Stub(0.4, 0.8, 0.6, 0.4)
    found = AblatingConcepts(epochs=3, keep=0.0).unlearn(model, TASK, split)
    assert equal_states(state(found.model), state(model))


def test_what_cannot_be_served_says_why():
    model, split = world()
    rows = ForgetSplit.of(split.data, ForgetRequest.of("sample", split.data.rows()[:3]), split.held_out)
    with pytest.raises(NotApplicable, match=r"requests of kind 'class' \(got \['sample'\]\)"):
        ESD().unlearn(model, TASK, rows)
    with pytest.raises(InputError, match=r"the anchor must not be a forgotten concept \(got 2\)"):
        AblatingConcepts(anchor=2).unlearn(model, TASK, split)
    with pytest.raises(InputError, match="no row has the class 9"):
        ForgetSplit.of(split.data, ForgetRequest.of("class", [9]), split.held_out)
    with pytest.raises(InputError, match="needs a task that is NoisePrediction"):
        SDD().unlearn(model, ImageClassification(), split)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ESD(group="esd-y"), "unknown parameter group .* did you mean"),
        (lambda: ESD(source="disk"), "unknown source"),
        (lambda: ESD(eta=-1.0), "must not be negative"),
        (lambda: ESD(batch_size=0), "batch_size must be at least 1"),
        (lambda: SDD(decay=1.0), r"decay must lie in \[0, 1\)"),
        (lambda: AblatingConcepts(target="image"), "unknown target"),
        (lambda: AblatingConcepts(target="noise", source="sampled"), "needs images with known noise"),
        (lambda: NoisePrediction(scheduler=object()), "a noise scheduler with"),
        (lambda: NoisePrediction(drop=1.0), r"drop must lie in \[0, 1\)"),
        (lambda: scaled(Samples(torch.tensor([[2.0]]), torch.tensor([0]))), r"pixels must lie in \[0, 1\]"),
        (lambda: build("unet", SHAPE, 3), "unknown model"),
    ],
)
def test_settings_are_checked(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_diffusers_missing_names_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "diffusers", None)
    with pytest.raises(MissingExtra, match=r"graphforget\[diffusion\]"):
        build("class_unet", SHAPE, 3)
