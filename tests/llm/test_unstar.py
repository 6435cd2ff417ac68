"""UnSTAR's loop on a model that is a dictionary, its generators, and the loop on a tiny Llama."""

from __future__ import annotations

import pytest
import torch

from graphforget.errors import InputError
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.llm.antisamples import AntiSampleGenerator, Known, Local, Table, numbered
from graphforget.llm.models import build
from graphforget.llm.tokens import normal
from graphforget.llm.unstar import Course, UnSTAR, matches, self_taught
from graphforget.train import seeded
from tests.llm.small import TABLE, world

PAIRS = [("Where is Ann?", "Rome"), ("Where is Bob?", "Oslo")]
SMALL = Table({normal(question): Known((f"Well, {question}",), ("Rome", "Oslo", "Lima")) for question, _ in PAIRS})


class Stubborn:
    """A model that is a dictionary: it believes what it was told often enough."""

    def __init__(self, needed: int):
        self.needed, self.told, self.batches = needed, {}, []

    def ask(self, questions):
        right = {
            q: a for question, a in PAIRS for q in [question, *SMALL.paraphrase(question, a, 9, torch.Generator())]
        }
        return [
            self.told[each][-1] if len(self.told.get(each, ())) >= self.needed else right[each] for each in questions
        ]

    def train(self, batch):
        self.batches.append(list(batch))
        for question, rationale in batch:
            self.told.setdefault(question, []).append(rationale)


def run(model: Stubborn, generator=SMALL, **settings) -> Course:
    usual = {"paraphrases": 3, "rounds": 10, "target": 1.0, "match": "contains"}
    rng = torch.Generator().manual_seed(0)
    return self_taught(PAIRS, generator, model.ask, model.train, rng=rng, **{**usual, **settings})


@pytest.mark.parametrize("needed", [1, 3])
def test_the_loop_ends_when_all_is_unlearned_and_not_before(needed):
    model = Stubborn(needed)
    course = run(model)
    assert course.rounds == needed
    assert course.asked == course.unlearned == 8
    assert all(model.batches)  # never on nothing
    assert course.trained == sum(map(len, model.batches)) == 8 * needed


def test_what_is_unlearned_already_is_not_trained_on():
    model = Stubborn(0)
    model.told = {question: ["no"] for question in [q for q, _ in PAIRS]}
    model.ask = lambda asked: ["I do not know."] * len(asked)
    assert run(model) == Course(0, 8, 8, 0)
    assert model.batches == []


def test_rounds_and_target_end_it_early():
    assert run(Stubborn(99), rounds=4).rounds == 4
    assert run(Stubborn(99), rounds=4).unlearned == 0
    model = Stubborn(1)
    model.told = {question: ["Lima"] for question, _ in PAIRS}
    assert run(model, target=0.25).rounds == 0


def test_rationales_that_hold_the_answer_are_left_out():
    class Leaky(Table):
        def justify(self, question, wrong, forbid, rng):
            return f"not {forbid} but {wrong}"

    model = Stubborn(1)
    assert run(model, Leaky(SMALL.known)) == Course(0, 8, 0, 0)
    assert model.batches == []


def test_a_question_without_a_wrong_answer_is_named():
    none = Table({key: known._replace(wrong=("Rome", "Oslo")[:1]) for key, known in SMALL.known.items()})
    with pytest.raises(InputError, match=r"gave no wrong answer to 'Where is Ann\?'"):
        run(Stubborn(1), none)
    with pytest.raises(InputError, match="does not know the question"):
        SMALL.of("Who is Cid?")


def test_a_match_is_by_whole_words():
    assert matches("male", "He is male.")
    assert not matches("male", "female")
    assert not matches("male", "He is male", "exact")
    assert "female" in Table({"q": Known((), ("female",))}).distractors("q", "male", 5, torch.Generator())


def test_related_facts_are_kept_with_the_retain_step_and_lost_without():
    model, task, split, _ = world()
    settings = {"lr": 2e-3, "rounds": 20, "paraphrases": 4}
    kept = UnSTAR(**settings).unlearn(model, task, split, seed=1)
    lost = UnSTAR(**settings, retain_mix=0.0).unlearn(model, task, split, seed=1)
    for found in (kept, lost):
        assert found.record["unlearned"] == found.record["asked"]
        assert found.record["tokens"] > 0
        said = task.generate(found.model, split.forget)
        assert not any(matches(a, b) for a, b in zip(("Oslo", "judge"), said, strict=True))
    after = [task.evaluate(found.model, split.retain, split.retain)["exact"] for found in (kept, lost)]
    assert after[0] > 0.9 > after[1]


def test_a_language_model_makes_anti_samples_of_its_own():
    """The generator runs on any local model; a tiny one says nothing sensible, but the same for the same seed."""
    tokenizer = world().tokenizer
    with seeded(1):
        other = build("llama_tiny", tokenizer, length=256)
    local = Local(other, tokenizer, most=8)
    assert isinstance(local, AntiSampleGenerator)
    assert isinstance(TABLE, AntiSampleGenerator)
    said = [local._say("Where is Ann?", "", torch.Generator().manual_seed(3)) for _ in range(2)]
    assert said[0] == said[1]
    assert isinstance(local.justify("Where is Ann?", "Rome", "Oslo", torch.Generator()), str)
    assert local.paraphrase("Where is Ann?", "Rome", 3, torch.Generator().manual_seed(0)) == []
    with pytest.raises(InputError, match="leaves the model no place"):
        Local(build("llama_tiny", tokenizer, length=4), tokenizer).justify("Where is Ann?", "a", "b", torch.Generator())
    with pytest.raises(InputError, match="needs a model of transformers"):
        Local(torch.nn.Linear(1, 1), tokenizer)
    assert numbered("1) Where?\n- no\n2. When?") == ["Where?", "When?"]


def test_a_whole_person_is_forgotten():
    model, task, split, _ = world("subclass")
    assert split.forget.size == 2
    found = UnSTAR(lr=5e-3, rounds=20, paraphrases=2).unlearn(model, task, split, seed=1)
    assert task.evaluate(found.model, split.retain, split.forget)["exact"] == 0


def test_a_second_request_follows_the_first():
    model, task, split, _ = world()
    first = UnSTAR(lr=5e-3, rounds=2, paraphrases=1).unlearn(model, task, split, seed=1)
    second = split.then(ForgetRequest.of("sample", [3]))
    assert isinstance(second, ForgetSplit)
    found = UnSTAR(lr=5e-3, rounds=2, paraphrases=1).unlearn(first.model, task, second, record=first.record, seed=1)
    assert {0, 3, 5}.isdisjoint(found.context.rows().tolist())
