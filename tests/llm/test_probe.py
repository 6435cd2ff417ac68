"""TOFU's and MUSE's figures asked of a trained model: against its own logits, and what training leaves in them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from graphforget.errors import InputError
from graphforget.llm import metrics
from graphforget.llm.antisamples import Known, Table
from graphforget.llm.probe import eval_set, min_k_auc, option_losses, token_odds
from graphforget.llm.tokens import answers, encode, normal, questions
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
    assert min_k_auc(world.task, world.model, world.split.forget, world.split.held_out) > 0.9
    same = world.split.forget
    assert min_k_auc(world.task, world.model, same, same) == 0.5


def test_a_question_without_wrong_answers_is_named(world):
    view = world.split.forget
    first = questions(world.task.tokenizer, view)[0]
    task = replace(world.task, generator=table(world.task, view, ()))
    with pytest.raises(InputError, match=f"got 0 for '{first[:5]}"):
        option_losses(task, world.model, view)
