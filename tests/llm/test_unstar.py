"""UnSTAR's loop on a model that is a dictionary, its generators, and the loop on a tiny Llama."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

import pytest
import torch

from graphforget.errors import InputError
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.llm import prompts
from graphforget.llm.antisamples import AntiSampleGenerator, Known, Local, Table, numbered
from graphforget.llm.models import build
from graphforget.llm.task import CausalLM
from graphforget.llm.tokens import encode, normal, train_tokenizer
from graphforget.llm.unstar import Course, UnSTAR, matches, self_taught
from graphforget.samples import Samples
from graphforget.train import Recipe, seeded
from tests.llm.small import TABLE, world
from tests.small import equal_states, state

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


def test_where_no_wrong_answer_is_left_the_table_refuses():
    """A false answer where two are possible: the other one is the truth, which nobody may be told."""
    two = Table({"q": Known((), ("female",))}, otherwise=("I do not know",))
    assert two.distractors("q", "female", 5, torch.Generator()) == ["I do not know"]
    assert two.distractors("q", "male", 5, torch.Generator()) == ["female"]
    assert two.justify("q", "I do not know", "female", torch.Generator()).startswith("I do not know, for")


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


ASKED, RIGHT = "Where was Ann born ?", "Oslo"  # as the small world's tokenizer writes it
OTHERS = ("In which town was Ann born ?", "Tell me: Where was Ann born ?")
WRONG = ("Rome", "Lima", "Paris")


class Instructor(NamedTuple):
    """A model that follows a few orders."""

    model: torch.nn.Module
    tokenizer: Any
    rows: Samples
    task: CausalLM


@cache
def instructor() -> Instructor:
    """A Llama that was taught to follow UnSTAR's prompts about one fact, and four facts."""

    def listed(items):
        return "\n".join(f"{place}. {item}" for place, item in enumerate(items, 1))

    system = prompts.JUSTIFY_SYSTEM.format(answer=RIGHT)
    orders = [
        (prompts.PARAPHRASE.format(question=ASKED, answer=RIGHT, count=2), listed(OTHERS)),
        (prompts.DISTRACT.format(answer=RIGHT, count=3), listed(WRONG)),
        *((f"{system}\n{prompts.JUSTIFY.format(question=asked, wrong=wrong)}", prompts.RATIONALE.format(wrong=wrong))
          for asked in (ASKED, *OTHERS) for wrong in WRONG),
    ]  # fmt: skip
    facts = [
        (ASKED, RIGHT),
        *((f"Where was {name} born ?", town) for name, town in zip(("Bob", "Cid"), WRONG[:2], strict=True)),
    ]
    pairs = [*facts, *((asked, RIGHT) for asked in OTHERS), *orders]
    tokenizer = train_tokenizer([text for pair in pairs for text in pair], "bpe", vocab_size=600)
    tokenizer.bos_token = None  # prompts of a generator have none
    rows = encode(tokenizer, pairs)
    with seeded(0):
        model = build("llama_tiny", tokenizer, length=256)
    task = CausalLM(recipe=Recipe(epochs=150, patience=20, lr=5e-3, batch_size=8, eval_every=10), tokenizer=tokenizer)
    return Instructor(task.fit(model, rows, rows, seed=0), tokenizer, rows, task)


def test_anti_samples_of_another_local_model():
    """Paraphrases, wrong answers and rationales are all written by a second model, and the fact goes."""
    model, task, whole, _ = world()
    split = ForgetSplit.of(whole.data, ForgetRequest.of("sample", [0]), whole.held_out)
    teacher = instructor()
    local = Local(teacher.model, teacher.tokenizer, most=48)
    assert local.paraphrase(ASKED, RIGHT, 2, torch.Generator().manual_seed(0)) == list(OTHERS)
    assert local.distractors(ASKED, RIGHT, 3, torch.Generator().manual_seed(0)) == list(WRONG)
    assert local.justify(ASKED, "Lima", RIGHT, torch.Generator()) == prompts.RATIONALE.format(wrong="Lima")
    before, asked = state(teacher.model), sum(local.spent)
    found = UnSTAR(lr=2e-3, rounds=20, paraphrases=2).unlearn(model, replace(task, generator=local), split, seed=1)
    assert equal_states(state(teacher.model), before)
    assert found.record["asked"] == found.record["unlearned"] == 3
    assert found.record["tokens"] > sum(local.spent) - asked > 100  # what the other model read and wrote counts too
    assert task.evaluate(model, split.data, split.forget)["exact"] == 1
    assert task.evaluate(found.model, split.retain, split.forget)["exact"] == 0
    assert task.evaluate(found.model, split.retain, split.retain)["exact"] > 0.9


def test_a_model_is_taught_by_its_own_words():
    """Without another model the one under unlearning is asked, as it is by then."""
    model, tokenizer, rows, task = instructor()
    nothing = rows.view(torch.zeros(len(rows.x), dtype=torch.bool))
    method = UnSTAR(lr=2e-3, rounds=20, paraphrases=0)
    own = Local(None, tokenizer, most=48)
    with pytest.raises(InputError, match="no model to ask"):
        own.justify(ASKED, "Lima", RIGHT, torch.Generator())
    split = ForgetSplit.of(rows, ForgetRequest.of("sample", [0]), nothing)
    found = method.unlearn(model, replace(task, generator=own), split, seed=1)
    assert found.record["rounds"] > 0
    assert found.record["unlearned"] == found.record["asked"] == 1
    assert task.evaluate(model, rows, split.forget)["exact"] == 1
    assert task.evaluate(found.model, split.retain, split.forget)["exact"] == 0
    said = task.generate(found.model, split.forget, most=48)
    assert said[0].split(",")[0] in WRONG
    asked = []

    class Watched(Local):
        def of_model(self, model):
            asked.append(model)
            return super().of_model(model)

    again = method.unlearn(model, replace(task, generator=Watched(None, tokenizer, most=48)), split, seed=1)
    assert asked == [again.model]
    assert asked[0] is not model


def test_a_generator_needs_a_pad_token():
    bare = train_tokenizer(["Ann"])
    bare.pad_token = None
    with pytest.raises(InputError, match="the tokenizer needs a pad token"):
        Local(None, bare)


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
