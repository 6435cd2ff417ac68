"""RESTOR: prompts, judge, recovery, and the whole pipeline on a tiny model."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import pytest
import torch

from graphforget.errors import InputError
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.llm.corpora import Corpus
from graphforget.llm.data import load_facts
from graphforget.llm.models import build
from graphforget.llm.restor import FALSE, Restoration, corrupt, judge, option_scores, prompt, recovery
from graphforget.llm.simnpo import SimNPO
from graphforget.llm.task import CausalLM
from graphforget.llm.tokens import answers, questions
from graphforget.methods.retrain import Retrain
from graphforget.splits import Splits
from graphforget.train import seeded
from tests.llm.small import RECIPE, TABLE, world


def test_recovery_is_one_of_gold_and_zero_of_nothing():
    assert recovery(0.9, 0.1, 0.9) == 1
    assert recovery(0.1, 0.1, 0.9) == 0
    assert math.isnan(recovery(0.5, 0.5, 0.5))


def test_prompt_and_judge_on_the_real_facts(data_root):
    if not (data_root / "restor").is_dir():
        pytest.skip("needs restor in GRAPHFORGET_DATA")
    facts = load_facts(data_root)
    for fact in facts.select(evaluated=True):
        lines = prompt(facts, fact).split("\n")
        assert len(lines) == 6
        assert lines[-1] == fact.question
        shown = {one.question for one in facts.examples[fact.relation] if one.entity == fact.entity}
        assert not shown & {line[: len(each)] for line in lines[:-1] for each in shown}
        assert all(judge(fact.answers, answer) for answer in fact.answers)
        assert not judge(fact.answers, "")


def test_corrupted_facts_are_unlearned_and_the_truth_comes_back():
    _, _, split, tokenizer = world()
    corpus = Corpus(Splits(split.data, split.held_out, split.held_out), tokenizer, TABLE, ())
    parts = corrupt(corpus, 3, seed=1)
    groups = parts.train.groups[parts.train.rows()]
    false = parts.train.rows()[groups >= FALSE]
    assert len(false) == parts.test.size == 6
    assert {int(each) - FALSE for each in groups[groups >= FALSE]}.isdisjoint(groups[groups < FALSE].tolist())
    asked = ForgetSplit.of(parts.train, ForgetRequest.of("sample", false), parts.val)
    assert questions(tokenizer, asked.forget) == questions(tokenizer, parts.test)
    assert not any(
        a == b for a, b in zip(answers(tokenizer, asked.forget), answers(tokenizer, parts.test), strict=True)
    )
    runs = Restoration(recipe=RECIPE, tokenizer=tokenizer, knowledge=split.data, later=20, later_lr=3e-3)
    with seeded(3):
        model = build("llama_tiny", tokenizer, length=64)
    corrupted = runs.fit(model, parts.train, parts.val, seed=3)
    gold = Retrain().unlearn(corrupted, runs, asked, seed=7).model

    def right(one: torch.nn.Module, view) -> float:
        return runs.evaluate(one, view, view)["exact"]

    assert right(gold, parts.test) >= 0.6 > 0.2 >= right(corrupted, parts.test)
    assert right(corrupted, asked.forget) >= 0.8
    found = SimNPO(lr=2e-3, epochs=10).unlearn(corrupted, runs, asked, seed=1).model
    assert right(found, asked.forget) < right(corrupted, asked.forget)
    assert recovery(right(found, parts.test), right(corrupted, parts.test), right(gold, parts.test)) > 0
    scores = option_scores(runs, gold, parts.test), option_scores(runs, gold, asked.forget)
    assert (scores[0] > scores[1]).double().mean() > 0.6
    assert (scores[0] <= 0).all()


def test_restoration_says_what_it_needs():
    model, _, split, _ = world()
    with pytest.raises(InputError, match="needs a Recipe and knowledge"):
        Restoration().fit(model, split.data, split.held_out, seed=0)


def test_gold_of_a_fine_tuned_model_starts_from_the_base_that_the_factory_gives():
    _, _, split, tokenizer = world()
    corpus = Corpus(Splits(split.data, split.held_out, split.held_out), tokenizer, TABLE, ())
    parts = corrupt(corpus, 3, seed=1)
    groups = parts.train.groups[parts.train.rows()]
    asked = ForgetSplit.of(
        parts.train, ForgetRequest.of("sample", parts.train.rows()[groups >= FALSE].tolist()), parts.val
    )
    with seeded(3):
        blank = build("llama_tiny", tokenizer, length=64)
    base = CausalLM(recipe=RECIPE, tokenizer=tokenizer).fit(blank, split.data, split.held_out, seed=3)
    short = replace(RECIPE, epochs=20, patience=20, eval_every=20)
    tuned = CausalLM(recipe=short, tokenizer=tokenizer).fit(copy.deepcopy(base), parts.train, parts.val, seed=4)
    found = {}
    for name, factory in (("nothing", None), ("base", lambda: copy.deepcopy(base))):
        runs = CausalLM(recipe=short, tokenizer=tokenizer, factory=factory)
        gold = Retrain().unlearn(tuned, runs, asked, seed=7).model
        found[name] = runs.evaluate(gold, parts.test, parts.test)["exact"]
    assert found["base"] >= 0.5 > 0.2 >= found["nothing"]
