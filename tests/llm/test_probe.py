"""TOFU's and MUSE's figures asked of a trained model: against its own logits, and what training leaves in them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from graphforget.errors import InputError, UnknownName
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.llm import metrics
from graphforget.llm.antisamples import Known, Table
from graphforget.llm.models import build
from graphforget.llm.npo import NPO
from graphforget.llm.probe import (
    ATTACKS,
    eval_set,
    membership_auc,
    option_losses,
    standard_odds,
    token_odds,
    verbatim,
)
from graphforget.llm.task import CausalLM
from graphforget.llm.tokens import answers, documents, encode, normal, questions, train_tokenizer
from graphforget.train import seeded
from tests.llm import small


@pytest.fixture(scope="module")
def world():
    return small.world()


def table(task, view, wrong):
    return Table({normal(question): Known((), wrong) for question in questions(task.tokenizer, view)})


def test_option_losses_are_those_of_the_answers_alone(world):
    view = world.split.forget
    task = replace(world.task, generator=table(world.task, view, ("Oslo", "pilot")))
    right, wrong = option_losses(task, world.model, view)
    for place, (question, answer) in enumerate(
        zip(questions(task.tokenizer, view), answers(task.tokenizer, view), strict=True)
    ):
        for said, loss in ((answer, right[place]), ("Oslo", wrong[place, 0]), ("pilot", wrong[place, 1])):
            one = encode(task.tokenizer, [(question, said)])
            assert loss == pytest.approx(task.evaluate(world.model, one, one)["nll"], abs=1e-5)


def test_what_was_learned_scores_high_and_a_fresh_model_does_not(world):
    view = world.split.untouched
    task = replace(world.task, generator=table(world.task, view, ("judge", "Lima")))
    knows, blank = (eval_set(task, model, view) for model in (world.model, task.fresh(world.model, 3)))
    assert knows.rouge.mean() > 0.9 > blank.rouge.mean()
    assert metrics.probability(knows.gold).mean() > 0.8 > metrics.probability(blank.gold).mean()
    assert knows.perturbed.shape == (len(view.rows()), 2)


def test_odds_are_log_softmax_at_the_answers(world):
    view = world.split.forget
    batch = world.task.elements(view, view)
    logits = world.task.outputs(world.model, view, batch).detach().double().log_softmax(1)
    expected = logits[torch.arange(len(batch.label)), batch.label].numpy()
    found = token_odds(world.task, world.model, view)
    np.testing.assert_allclose(np.concatenate([odds for odds, _ in found]), expected, atol=1e-5)
    assert [each for _, right in found for each in right] == (logits.argmax(1) == batch.label).tolist()


def test_min_k_tells_members_from_strangers(world):
    assert membership_auc(world.task, world.model, world.split.forget, world.split.held_out) > 0.9
    same = world.split.forget
    assert membership_auc(world.task, world.model, same, same) == 0.5


def test_every_attack_is_its_formula_and_tells_members(world):
    task, model, view = world.task, world.model, world.split.forget
    logits = task.outputs(model, view, task.elements(view, view)).detach().double().log_softmax(1)
    found = [odds for odds, _ in token_odds(task, model, view)]
    mean = (logits.exp() * logits).sum(1)
    deviation = ((logits.exp() * logits**2).sum(1) - mean**2).clamp(min=1e-6).sqrt()
    plus = (np.concatenate(found) - mean.numpy()) / deviation.numpy()
    np.testing.assert_allclose(np.concatenate(standard_odds(task, model, view)), plus, atol=1e-4)
    fresh = task.fresh(model, 3)
    for attack in ATTACKS:
        told = {"attack": attack, "reference": fresh}
        assert membership_auc(task, model, view, world.split.held_out, **told) > 0.9
        assert membership_auc(task, model, view, view, **told) == 0.5
    first, second = (view.view(view.mask_of(row[None])) for row in view.rows())
    one, other = (task.evaluate(model, part, part)["nll"] for part in (first, second))
    assert membership_auc(task, model, first, second, attack="loss") == float(one < other)


def test_attacks_say_what_they_need(world):
    task, model, view = world.task, world.model, world.split.forget
    with pytest.raises(UnknownName, match="did you mean 'min_k'"):
        membership_auc(task, model, view, view, attack="mink")
    with pytest.raises(InputError, match="needs reference"):
        membership_auc(task, model, view, view, attack="ratio")
    with pytest.raises(InputError, match="tokenizer"):
        membership_auc(CausalLM(), model, view, view, attack="zlib")


def test_documents_are_remembered_word_for_word_until_they_are_unlearned():
    """MUSE's VerbMem on running text: a document goes, the others stay."""
    texts = [
        "Ann paints houses in Oslo and sells them to nobody at all .",
        "Bob cooks fish in Rome for judges who never pay him .",
        "Cid flies planes over Lima while it rains on every town .",
        "Dora reads long novels to cats that sleep in the sun .",
    ]
    tokenizer = train_tokenizer(texts)
    task = CausalLM(recipe=replace(small.RECIPE, epochs=100), tokenizer=tokenizer)
    rows, asked = (documents(tokenizer, texts, length=16, prompt=prompt) for prompt in (0, 3))
    with seeded(0):
        model = build("llama_tiny", tokenizer, length=32)
    model = task.fit(model, rows, rows, seed=0)
    assert verbatim(task, model, asked).tolist() == [1, 1, 1, 1]
    nothing = rows.view(torch.zeros(len(rows.x), dtype=torch.bool))
    split = ForgetSplit.of(rows, ForgetRequest.of("subclass", [1]), nothing)
    found = NPO(lr=2e-3, epochs=10, alpha=3.0).unlearn(model, task, split, seed=0)
    after = verbatim(task, found.model, asked)
    assert after[1] < 0.5
    assert after[[0, 2, 3]].tolist() == [1, 1, 1]


def test_a_question_without_wrong_answers_is_named(world):
    view = world.split.forget
    first = questions(world.task.tokenizer, view)[0]
    task = replace(world.task, generator=table(world.task, view, ()))
    with pytest.raises(InputError, match=f"got 0 for '{first[:5]}"):
        option_losses(task, world.model, view)
