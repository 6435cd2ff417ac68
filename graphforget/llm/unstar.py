"""UnSTAR, self-taught anti-sample reasoning (Sinha, Mandal, Kankanhalli; arXiv:2410.17050, TMLR 2025).

One association goes, related ones stay: the model is fine-tuned on its own rationalisations of *wrong* answers until it
no longer gives the right one. STaR turned round.

::

    W <- pairs (q*_i, wrong_i): q and paraphrases of it, each beside a wrong answer                    (1)
    repeat, at most ``rounds`` times:
        ask the model every q* of W, greedily                                                          (2)
        B <- { (q*, rationale of wrong) : the right answer was given, the rationale does not hold it } (3)
        fine-tune on B, and on ``retain_mix`` |B| retained rows with their own answers                 (4)
    until a share ``target`` of W is no longer answered rightly

The released code (MachineUnlearn/UnStar, no licence: none of it is used) has no retain step, though the paper's
Algorithm 1 has: ``retain_mix=0`` is "as released". Other differences, ours: every question is asked again in every
round (there a question is dropped once it is unlearned, and new paraphrases come in); ``match`` is exact or by
containment (there any word's synonym or near spelling counts, which tells nothing on short answers); training is Adam
on all weights that are free, those of the model or of an adapter (there LoRA, 4 |B| iterations).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from graphforget.errors import InputError, NotApplicable, unknown
from graphforget.llm.antisamples import AntiSampleGenerator, Local
from graphforget.llm.descent import tokens, turns
from graphforget.llm.losses import cross_entropy
from graphforget.llm.task import CausalLM
from graphforget.llm.tokens import Pair, answers, encode, normal, questions
from graphforget.train import descend
from graphforget.unlearner import Job, Unlearned, Unlearner

MATCHES = ("exact", "contains")


class Course(NamedTuple):
    """How a run of the loop went.

    Args:
        rounds: of training.
        asked: questions in W.
        unlearned: of them, answered otherwise at the end.
        trained: anti-samples that were trained on, over all rounds.
    """

    rounds: int
    asked: int
    unlearned: int
    trained: int


@dataclass(frozen=True)
class UnSTAR(Unlearner):
    """Fine-tune on misleading rationales of wrong answers until the right one is not given any more.

    Args:
        paraphrases: of every forgotten question (20 in the release).
        rounds: at most so many (our default).
        target: share of the questions that must be unlearned (our default).
        retain_mix: retained rows per anti-sample; 0 as released.
        match: ``contains`` or ``exact``: when is an answer the right one?
        epochs: passes over the anti-samples of a round (4 in the release).
        lr: Adam's learning rate (our default).
        batch_size: anti-samples a step.
        most: new tokens of an answer, at most.
    """

    paraphrases: int = 20
    rounds: int = 10
    target: float = 1.0
    retain_mix: float = 1.0
    match: str = "contains"
    epochs: int = 4
    lr: float = 1e-4
    batch_size: int = 16
    most: int = 32

    paper: ClassVar[str] = "arXiv:2410.17050"
    needs: ClassVar[tuple[type, ...]] = (CausalLM,)
    reads: ClassVar[frozenset[str]] = frozenset({"forget", "retain"})

    def __post_init__(self) -> None:
        if self.match not in MATCHES:
            raise unknown("match", self.match, MATCHES)
        if not 0 < self.target <= 1 or self.retain_mix < 0:
            raise InputError(
                f"target must lie in (0, 1], retain_mix must not be negative (got {self.target}, {self.retain_mix})"
            )
        for name in ("rounds", "batch_size", "most"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1 (got {getattr(self, name)})")
        if self.paraphrases < 0:
            raise InputError(f"paraphrases must not be negative (got {self.paraphrases})")

    def _unlearn(self, job: Job) -> Unlearned:
        task: Any = job.task
        if task.tokenizer is None or not isinstance(task.generator, AntiSampleGenerator):
            raise InputError("UnSTAR needs CausalLM(tokenizer=..., generator=...); see graphforget.llm.antisamples")
        split, spent = job.split, 0
        told = task.generator
        generator = told.of_model(job.model) if isinstance(told, Local) else told
        told_before = sum(generator.spent) if isinstance(generator, Local) else 0
        pairs = list(zip(questions(task.tokenizer, split.forget), answers(task.tokenizer, split.forget), strict=True))
        kept = turns(split.retain, job.rng)

        def ask(asked: Sequence[str]) -> list[str]:
            nonlocal spent
            rows = encode(task.tokenizer, [(question, "-") for question in asked])
            said: list[str] = task.generate(job.model, rows.to(split.retain.y.device), most=self.most)
            spent += int((rows.x[:, 1] - (rows.y != -100).long()).sum())
            spent += sum(len(task.tokenizer(each, add_special_tokens=False)["input_ids"]) for each in said if each)
            return said

        def train(samples: Sequence[Pair]) -> None:
            nonlocal spent
            wrong = encode(task.tokenizer, samples).to(split.retain.y.device)

            def steps(epoch: int) -> Iterator[Tensor]:
                nonlocal spent
                for part in torch.randperm(len(samples), generator=job.rng).split(self.batch_size):
                    loss = cross_entropy(*task.answers(job.model, task.of_rows(wrong, part)))
                    spent += tokens(wrong, part)
                    if (count := round(self.retain_mix * len(part))) > 0:
                        rows = torch.stack([next(kept) for _ in range(count)])
                        loss = loss + cross_entropy(*task.answers(job.model, task.of_rows(split.retain, rows)))
                        spent += tokens(split.retain, rows)
                    yield loss

            descend(job.model, steps, epochs=self.epochs, lr=self.lr, carries=True, title="unstar")

        course = self_taught(
            pairs,
            generator,
            ask,
            train,
            paraphrases=self.paraphrases,
            rounds=self.rounds,
            target=self.target,
            match=self.match,
            rng=job.rng,
        )
        if isinstance(generator, Local):
            spent += sum(generator.spent) - told_before
        job.notes.update(course._asdict(), tokens=spent, epochs=course.rounds * self.epochs)
        return Unlearned(job.model, split.retain, {})


def self_taught(
    pairs: Sequence[Pair],
    generator: AntiSampleGenerator,
    ask: Callable[[Sequence[str]], list[str]],
    train: Callable[[Sequence[Pair]], None],
    *,
    paraphrases: int,
    rounds: int,
    target: float,
    match: str,
    rng: torch.Generator,
) -> Course:
    """Run the loop (1) to (4); it trains on nothing where nothing is left to train on.

    Args:
        pairs: forgotten questions with their right answers.
        generator: of anti-samples.
        ask: gives the model's answers to questions.
        train: fine-tunes the model on (question, rationale).
        paraphrases: of each question.
        rounds: of training, at most.
        target: share of the questions that must be unlearned.
        match: ``exact`` or ``contains``.
        rng: of the draws.

    Raises:
        NotApplicable: the generator knows no wrong answer for a question.
    """
    waiting: list[tuple[str, str, str]] = []  # (1)
    for question, answer in pairs:
        asked = [question, *generator.paraphrase(question, answer, paraphrases, rng)]
        wrong = generator.distractors(question, answer, len(asked), rng)
        if not wrong:
            raise NotApplicable(f"the generator gave no wrong answer to {question!r}; widen its table, or use npo")
        asked = list(dict.fromkeys(each for each in asked if not matches(answer, each)))
        waiting += [(each, wrong[place % len(wrong)], answer) for place, each in enumerate(asked)]
    trained, known = 0, waiting
    for done in range(rounds + 1):
        said = ask([question for question, _, _ in waiting])  # (2)
        known = [row for row, told in zip(waiting, said, strict=True) if matches(row[2], told, match)]
        if done == rounds or len(waiting) - len(known) >= target * len(waiting):
            break
        batch = []
        for question, wrong_answer, answer in known:  # (3)
            rationale = generator.justify(question, wrong_answer, answer, rng)
            if not matches(answer, rationale, "contains"):
                batch.append((question, rationale))
        if not batch:
            break
        train(batch)  # (4)
        trained += len(batch)
    return Course(done, len(waiting), len(waiting) - len(known), trained)


def matches(answer: str, said: str, how: str = "contains") -> bool:
    """Is the right answer given?

    Example:
        >>> matches("New York", "It was in new york."), matches("New York", "It was in new york.", "exact")
        (True, False)
    """
    own, told = normal(answer), normal(said)
    return own == told if how == "exact" else f" {own} " in f" {told} "
