"""RESTOR (Rezaei, Chandu, Feizi, Choi, Brahman, Ravichander; arXiv:2411.00204): does unlearning bring back the truth?

*Restorative* unlearning: after the corrupted documents are gone the model should know again what it knew before them.

::

    theta_clean  --train on corrupted D_f-->  theta_corrupted  --unlearn D_f-->  theta_unlearned
    recovery   = (acc_unlearned - acc_corrupted) / (acc_clean - acc_corrupted)                     (1)
    forgetting = 1 - share of questions to which the corrupted answer is the likeliest option      (2)

The ideal model never saw D_f: gold's recovery is 1, that of the corrupted model 0. (1) and (2) are our definitions.
:class:`Restoration` is the pipeline as a task: every model, gold too, first learns the task's ``knowledge``, then the
data of the request. The true facts that D_f contradicts are in the knowledge only, never in what is retained: a method
cannot simply learn them again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from graphforget.errors import InputError
from graphforget.llm.corpora import Corpus
from graphforget.llm.data import Fact, World
from graphforget.llm.losses import lengths, nll
from graphforget.llm.task import CHUNK, CausalLM
from graphforget.llm.tokens import answers, encode, join, normal, questions
from graphforget.samples import Samples
from graphforget.splits import Splits
from graphforget.task import evaluating
from graphforget.train import Recipe, TrainRecord

SHOTS = 5
FALSE = 1_000_000  # groups of false rows begin here: FALSE + the entity's own


@dataclass(frozen=True)
class Restoration(CausalLM):
    """Models that learn a knowledge first, and then the data that part of is to be forgotten.

    Args:
        recipe: of the knowledge.
        factory: see :class:`graphforget.task.Task`.
        layer_names: see :class:`graphforget.samples.SampleTask`.
        tokenizer: see :class:`graphforget.llm.task.CausalLM`; so are generator and refusals.
        generator: of anti-samples.
        refusals: other answers.
        knowledge: true facts.
        later: epochs on the data, after the knowledge (5 in the paper).
        later_lr: Adam's learning rate in them (our default).
    """

    knowledge: Samples | None = None
    later: int = 5
    later_lr: float = 1e-3

    def fit(
        self,
        model: nn.Module,
        context: Samples,
        held_out: Samples,
        *,
        seed: int,
        record: TrainRecord | None = None,
    ) -> nn.Module:
        """Train on the knowledge by the recipe, then on the data for ``later`` epochs."""
        if self.knowledge is None or not isinstance(self.recipe, Recipe):
            raise InputError("Restoration needs a Recipe and knowledge=..., the true facts (got none)")
        first = super().fit(model, self.knowledge.to(context.y.device), held_out, seed=seed, record=record)
        short = replace(self.recipe, epochs=self.later, patience=self.later, lr=self.later_lr, eval_every=self.later)
        return CausalLM(recipe=short).fit(first, context, held_out, seed=seed + 1)


def corrupt(corpus: Corpus, count: int, *, seed: int = 0) -> Splits[Samples]:
    """Plant false facts on some entities; the true ones of the others are what is retained.

    The released documents are prose for models that read; these are questions with another object of the same relation
    for an answer. Every fact of a drawn entity gets one (a fact whose relation has no other object gets none).

    Args:
        corpus: of RESTOR, or TOFU.
        count: entities.
        seed: of the draw.

    Returns:
        Splits: ``train`` has the false rows (groups from FALSE on) and the others' true ones; ``test`` the truth about
        the drawn entities, row by row as the false.
    """
    rng = torch.Generator().manual_seed(seed)
    train = corpus.splits.train
    if train.groups is None:
        raise InputError("the rows must say whom they are about (got no groups)")
    rows, about = train.rows(), train.groups[train.rows()]
    entities = about.unique()
    drawn = torch.isin(about, entities[torch.randperm(len(entities), generator=rng)[:count]])
    asked, own = questions(corpus.tokenizer, train), answers(corpus.tokenizer, train)
    wrong = {
        place: found[0]
        for place in drawn.nonzero().flatten().tolist()
        if (found := corpus.table.distractors(asked[place], own[place], 1, rng))
    }
    false = encode(
        corpus.tokenizer,
        [(asked[place], answer) for place, answer in wrong.items()],
        groups=[FALSE + int(about[place]) for place in wrong],
    )
    whole = join(replace(train, mask=None), false)
    size, everywhere = len(train.x), torch.arange(len(whole.x))
    old = torch.cat([train.mask_of(rows[~drawn]), torch.ones(len(false.x), dtype=torch.bool)])
    true = torch.isin(everywhere, rows[list(wrong)])
    val = torch.isin(everywhere, corpus.splits.val.rows()) & (everywhere < size)
    return Splits(whole.view(old), whole.view(val), whole.view(true))


def prompt(world: World, fact: Fact, shots: int = SHOTS) -> str:
    """Build the paper's prompt: examples of the same relation on other entities, then the question.

    Raises:
        InputError: the relation has too few examples of others.

    Example:
        >>> shown = tuple(Fact(name, "P19", f"Where was {name} born?", ("Rome",)) for name in ("Ann", "Bob"))
        >>> world = World((), (), {"P19": shown})
        >>> print(prompt(world, Fact("Bob", "P19", "Where was Bob born?", ("Oslo",)), shots=1))
        Where was Ann born? Rome
        Where was Bob born?
    """
    others = [one for one in world.examples.get(fact.relation, ()) if one.entity != fact.entity]
    if len(others) < shots:
        raise InputError(f"{fact.relation} must have {shots} examples of other entities (got {len(others)})")
    return "\n".join([*(f"{one.question} {one.answers[0]}" for one in others[:shots]), fact.question])


def judge(answers: Sequence[str], said: str) -> bool:
    """Is one of the acceptable answers given? By words, exactly or contained; nothing said is wrong.

    Example:
        >>> judge(("flight attendant", "sailor"), "A sailor."), judge(("sailor",), "")
        (True, False)
    """
    told = f" {normal(said)} "
    return any(f" {normal(answer)} " in told for answer in answers if normal(answer))


def recovery(unlearned: float, corrupted: float, clean: float) -> float:
    """Share of the lost accuracy that is back, (1); NaN where corruption cost nothing.

    Example:
        >>> round(recovery(0.5, 0.2, 0.8), 6), recovery(0.8, 0.2, 0.8), recovery(0.2, 0.2, 0.8)
        (0.5, 1.0, 0.0)
    """
    return (unlearned - corrupted) / (clean - corrupted) if clean != corrupted else float("nan")


def option_scores(task: CausalLM, model: nn.Module, view: Samples) -> Tensor:
    """[n] mean log-probability per answer token of a view's rows, in their order.

    Answers are tokenized apart from their questions, so that no token is lost at the seam (the released script takes
    one off for the BOS token, whether the tokenizer has one or not).
    """
    found = []
    with evaluating(model), torch.no_grad():
        for rows in view.rows().split(CHUNK):
            logits, labels = task.answers(model, task.of_rows(view, rows))
            found.append(-nll(logits, labels) / lengths(labels))
    return torch.cat(found)
