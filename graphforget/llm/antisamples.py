"""Anti-samples for UnSTAR: a question in other words, a wrong answer, and a reason that misleads.

Two generators. :class:`Table` looks them up, for models that are too small to follow instructions; tables of RESTOR
and TOFU are made by :mod:`graphforget.llm.corpora`. :class:`Local` asks a model of ``transformers``: the one that is to
forget, or any other on this machine. All prompts stand in :mod:`graphforget.llm.prompts`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import nn

from graphforget.errors import InputError
from graphforget.llm import prompts
from graphforget.llm.tokens import NO_PAD, normal
from graphforget.task import evaluating


@runtime_checkable
class AntiSampleGenerator(Protocol):
    """Makes what UnSTAR trains on. All draws are by the generator that is passed in."""

    def paraphrase(self, question: str, answer: str, count: int, rng: torch.Generator) -> list[str]:
        """At most ``count`` questions with the same answer, in other words."""

    def distractors(self, question: str, answer: str, count: int, rng: torch.Generator) -> list[str]:
        """At most ``count`` wrong answers of the same kind."""

    def justify(self, question: str, wrong: str, forbid: str, rng: torch.Generator) -> str:
        """A rationale that gives the wrong answer; it should not hold ``forbid``, the right one."""


class Known(NamedTuple):
    """What a table holds of one question.

    Args:
        reworded: the question in other words.
        wrong: answers of the same kind.
        right: the right answer in other words, where it is known.
    """

    reworded: tuple[str, ...]
    wrong: tuple[str, ...]
    right: str = ""


@dataclass(frozen=True)
class Table:
    """Anti-samples out of a table.

    Args:
        known: :func:`graphforget.llm.tokens.normal` of a question -> what is known of it.
        rationale: with ``{wrong}`` in it; the wrong answer alone is "{wrong}".
        otherwise: what is said where no wrong answer of the same kind is left, such as "I do not know".

    Example:
        >>> table = Table({"where is ann": Known(("Where does Ann live?",), ("Oslo", "Rome"))})
        >>> table.distractors("Where is Ann?", "Rome", 5, torch.Generator())
        ['Oslo']
        >>> table.justify("Where is Ann?", "Oslo", "Rome", torch.Generator())
        'Oslo, for that is what the records say.'
    """

    known: Mapping[str, Known]
    rationale: str = prompts.RATIONALE
    otherwise: tuple[str, ...] = ()

    def paraphrase(self, question: str, answer: str, count: int, rng: torch.Generator) -> list[str]:
        """The question in other words, each also with a few words before it; in random order."""
        found = [frame.format(question=each) for each in self.of(question).reworded for frame in prompts.FRAMES]
        found += [frame.format(question=question) for frame in prompts.FRAMES[1:]]
        return _some(list(dict.fromkeys(found)), count, rng)

    def distractors(self, question: str, answer: str, count: int, rng: torch.Generator) -> list[str]:
        """Wrong answers that neither hold the right one nor stand in it; where there is none, ``otherwise``."""
        apart = [each for each in dict.fromkeys(self.of(question).wrong) if not _overlap(each, answer)]
        return _some(apart or list(self.otherwise), count, rng)

    def justify(self, question: str, wrong: str, forbid: str, rng: torch.Generator) -> str:
        """The template with the wrong answer in it."""
        return self.rationale.format(wrong=wrong)

    def of(self, question: str) -> Known:
        """What is known of a question.

        Raises:
            InputError: nothing is.
        """
        if normal(question) not in self.known:
            raise InputError(f"the table of anti-samples does not know the question (got {question!r}); add it")
        return self.known[normal(question)]


@dataclass(frozen=True, eq=False)
class Local:
    """Anti-samples by a language model on this machine.

    Args:
        model: of ``transformers``, one that follows instructions; None is the one under unlearning, as it is when it
            is asked (in the release: UnSTAR teaches a model by its own words).
        tokenizer: its own; a chat template is used where it has one.
        temperature: of paraphrases and wrong answers (0.1 in UnSTAR's release); rationales are greedy.
        most: new tokens an answer, at most (1000 in the release).
        spent: tokens of every prompt with its answer so far, added to by each.
    """

    model: nn.Module | None
    tokenizer: Any
    temperature: float = 0.1
    most: int = 1000
    spent: list[int] = field(default_factory=list, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.model is not None and not hasattr(self.model, "generate"):
            raise InputError(f"the generator needs a model of transformers (got {type(self.model).__name__})")
        if getattr(self.tokenizer, "pad_token_id", None) is None:
            raise InputError(NO_PAD)
        if self.temperature <= 0 or self.most < 1:
            raise InputError(f"temperature must be positive and most at least 1 (got {self.temperature}, {self.most})")

    def of_model(self, model: nn.Module) -> Local:
        """The same, asking ``model`` where no other was given."""
        return replace(self, model=model) if self.model is None else self

    def paraphrase(self, question: str, answer: str, count: int, rng: torch.Generator) -> list[str]:
        """Ask for questions with the same answer."""
        asked = prompts.PARAPHRASE.format(question=question, answer=answer, count=count)
        return numbered(self._say(asked, "", rng))[:count]

    def distractors(self, question: str, answer: str, count: int, rng: torch.Generator) -> list[str]:
        """Ask for words to replace the answer; those that hold it are dropped."""
        said = numbered(self._say(prompts.DISTRACT.format(answer=answer, count=count), "", rng))
        return [each for each in said if not _overlap(each, answer)][:count]

    def justify(self, question: str, wrong: str, forbid: str, rng: torch.Generator) -> str:
        """Ask for the reason of a wrong answer."""
        system = prompts.JUSTIFY_SYSTEM.format(answer=forbid)
        return self._say(prompts.JUSTIFY.format(question=question, wrong=wrong), system, None)

    def _say(self, prompt: str, system: str, rng: torch.Generator | None) -> str:
        """The model's answer; sampled with ``rng``, else greedy."""
        model: Any = self.model
        if model is None:
            raise InputError("the generator has no model to ask (got None); UnSTAR gives it the one under unlearning")
        if getattr(self.tokenizer, "chat_template", None):
            told = [{"role": "system", "content": system}] if system else []
            text = self.tokenizer.apply_chat_template(
                [*told, {"role": "user", "content": prompt}], tokenize=False, add_generation_prompt=True
            )
        else:
            text = f"{system}\n{prompt}".strip()
        device = next(model.parameters()).device
        ids = torch.tensor([self.tokenizer(text, add_special_tokens=False)["input_ids"]], device=device)
        limit = getattr(model.config, "max_position_embeddings", None)
        most = self.most if limit is None else min(self.most, limit - ids.shape[1])
        if most < 1:
            raise InputError(f"the prompt leaves the model no place for an answer (got {ids.shape[1]} tokens)")
        style: dict[str, Any] = {"do_sample": False}
        if rng is not None:
            style = {"do_sample": True, "temperature": self.temperature}
        with evaluating(model), torch.no_grad(), torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            if rng is not None:
                torch.manual_seed(int(torch.randint(2**31, (1,), generator=rng)))
            out = model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=most,
                pad_token_id=self.tokenizer.pad_token_id,
                **style,
            )
        self.spent.append(out.shape[1])
        return str(self.tokenizer.decode(out[0, ids.shape[1] :].tolist(), skip_special_tokens=True)).strip()


def numbered(text: str) -> list[str]:
    r"""The lines of a numbered list, without their numbers.

    Example:
        >>> numbered("Sure!\n1. Oslo\n2) Rome\n\n3.Paris")
        ['Oslo', 'Rome', 'Paris']
    """
    return [found[1].strip() for line in text.splitlines() if (found := re.match(r"\s*\d+\s*[.)]\s*(\S.*)", line))]


def _overlap(one: str, other: str) -> bool:
    a, b = f" {normal(one)} ", f" {normal(other)} "
    return a in b or b in a


def _some(items: Sequence[str], count: int, rng: torch.Generator) -> list[str]:
    return [items[place] for place in torch.randperm(len(items), generator=rng)[:count].tolist()]
