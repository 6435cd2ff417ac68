"""A model asked for TOFU's and MUSE's figures: losses of right and wrong answers, what it writes, every token's odds.

The arrays go into :mod:`graphforget.llm.metrics`. Wrong answers and other words for the right one are those of the
task's table (:class:`graphforget.llm.antisamples.Table`).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from graphforget.errors import InputError, unknown
from graphforget.llm import metrics
from graphforget.llm.losses import IGNORE
from graphforget.llm.restor import option_scores
from graphforget.llm.task import CHUNK, CausalLM
from graphforget.llm.tokens import answers, encode, questions
from graphforget.samples import Samples
from graphforget.task import evaluating

ATTACKS = ("loss", "zlib", "min_k", "min_k_pp", "ratio")


def eval_set(task: CausalLM, model: nn.Module, view: Samples, *, most: int = 32) -> metrics.EvalSet:
    """Score the questions of a view as TOFU does.

    Args:
        task: with the tokenizer, and a generator that knows wrong answers to every question, as many for each.
        model: that writes.
        view: questions with their right answers.
        most: new tokens of an answer that is written, at most.

    Raises:
        InputError: a question without wrong answers, or with more or fewer of them than the first.
    """
    gold, said = answers(task.tokenizer, view), task.generate(model, view, most=most)
    right, wrong = option_losses(task, model, view)
    return metrics.EvalSet(
        gold=-option_scores(task, model, view).double().cpu().numpy(),
        paraphrased=right,
        perturbed=wrong,
        rouge=np.array([metrics.rouge_l_recall(*pair) for pair in zip(gold, said, strict=True)]),
    )


def option_losses(task: CausalLM, model: nn.Module, view: Samples) -> tuple[metrics.Array, metrics.Array]:
    """([n] losses of the right answers in other words, [n, k] of wrong ones), means over their tokens.

    Where no other words are known the right answer stands as it is.

    Raises:
        InputError: as :func:`eval_set`.
    """
    asked, own = questions(task.tokenizer, view), answers(task.tokenizer, view)
    told = [task.generator.of(question) for question in asked]
    counts = [len(known.wrong) for known in told]
    for question, count in zip(asked, counts, strict=True):
        if not count or count != counts[0]:
            raise InputError(f"every question needs {counts[0] or 1} wrong answers (got {count} for {question!r})")
    options = [
        (question, answer)
        for question, mine, known in zip(asked, own, told, strict=True)
        for answer in (known.right or mine, *known.wrong)
    ]
    rows = encode(task.tokenizer, options).to(view.y.device)
    losses = -option_scores(task, model, rows).double().cpu().numpy().reshape(len(asked), -1)
    return losses[:, 0], losses[:, 1:]


def token_odds(task: CausalLM, model: nn.Module, view: Samples) -> list[tuple[metrics.Array, list[bool]]]:
    """Of every row the log-probabilities of its answer's tokens, and whether each is the model's first choice."""
    return [(_own(every, said), (every.argmax(1) == said).tolist()) for every, said in _spoken(task, model, view)]


def standard_odds(task: CausalLM, model: nn.Module, view: Samples) -> list[metrics.Array]:
    """The log-probabilities less the mean, over the deviation, of those of a word that the model draws there itself."""
    found = []
    for every, said in _spoken(task, model, view):
        every = every.double()
        mean = (every.exp() * every).sum(1)
        variance = (every.exp() * every.square()).sum(1) - mean.square()
        apart = _own(every, said) - mean.cpu().numpy()
        found.append(apart / variance.clamp(min=1e-6).sqrt().cpu().numpy())
    return found


def _spoken(task: CausalLM, model: nn.Module, view: Samples) -> Iterator[tuple[Tensor, Tensor]]:
    """Of every row the log-probabilities [T, V] where its answer stands, and the answer's tokens [T]."""
    with evaluating(model), torch.no_grad():
        for rows in view.rows().split(CHUNK):
            for logits, labels in zip(*task.answers(model, task.of_rows(view, rows)), strict=True):
                yield logits[labels != IGNORE].log_softmax(1), labels[labels != IGNORE]


def _own(every: Tensor, said: Tensor) -> metrics.Array:
    return every.gather(1, said[:, None])[:, 0].double().cpu().numpy()


def verbatim(task: CausalLM, model: nn.Module, view: Samples, *, most: int = 128) -> metrics.Array:
    """[n] ROUGE-L F1 of what the model writes after each row's prompt beside how the row goes on: MUSE's VerbMem.

    Args:
        task: with the tokenizer.
        model: that writes.
        view: rows of :func:`graphforget.llm.tokens.documents` with a prompt, or questions with their answers.
        most: new tokens, at most.
    """
    gold, said = answers(task.tokenizer, view), task.generate(model, view, most=most)
    return np.array([metrics.rouge_l(*pair) for pair in zip(gold, said, strict=True)])


def membership_auc(
    task: CausalLM,
    model: nn.Module,
    forget: Samples,
    others: Samples,
    *,
    attack: str = "min_k",
    share: float = 0.4,
    reference: nn.Module | None = None,
) -> float:
    """Tell forgotten answers from ones that nobody was ever trained on; 0.5 is what an outsider sees.

    ============  ==================================================================================================
    attack        a row counts as a member where this is small
    ============  ==================================================================================================
    ``loss``      mean NLL of its tokens
    ``zlib``      the same over the length of its text when compressed (the tokenizer is needed)
    ``min_k``     minus the mean of its lowest token log-probabilities (:func:`graphforget.llm.metrics.min_k`)
    ``min_k_pp``  the same of each token's log-probability minus its mean, over its deviation, of the model's own words
    ``ratio``     loss minus that of a ``reference`` model
    ============  ==================================================================================================

    Args:
        task: see :func:`eval_set`; no generator is needed.
        model: under attack.
        forget: the forgotten rows.
        others: rows of the same kind, seen by neither the original nor gold.
        attack: see above.
        share: of the tokens, for Min-K% and Min-K%++.
        reference: of ``ratio``, a model that saw neither.

    Raises:
        UnknownName: no such attack.
        InputError: ``ratio`` without a reference, or ``zlib`` without a tokenizer.

    Source:
        The attacks of open-unlearning (commit d3d7cf9), which MUSE (arXiv:2407.06460) and TOFU are judged by there;
        Min-K%++ is arXiv:2404.02936.
    """
    if attack not in ATTACKS:
        raise unknown("attack", attack, ATTACKS)
    if attack == "ratio" and reference is None:
        raise InputError("the attack ratio needs reference=..., a model that saw neither part (got None)")
    if attack == "zlib" and task.tokenizer is None:
        raise InputError("the attack zlib needs CausalLM(tokenizer=...) (got none)")

    def score(view: Samples) -> metrics.Array:
        if attack == "min_k_pp":
            return np.array([metrics.min_k(odds, share) for odds in standard_odds(task, model, view)])
        told = [odds for odds, _ in token_odds(task, model, view)]
        if attack == "min_k":
            return np.array([metrics.min_k(odds, share) for odds in told])
        loss: metrics.Array = np.array([-odds.mean() for odds in told])
        if attack == "zlib":
            loss = loss / [len(zlib.compress(text.encode())) for text in answers(task.tokenizer, view)]
        if attack == "ratio" and reference is not None:
            loss = loss + [odds.mean() for odds, _ in token_odds(task, reference, view)]
        return loss

    parts = [score(view) for view in (forget, others)]
    member = np.repeat([1, 0], [len(parts[0]), len(parts[1])])
    return float(roc_auc_score(member, -np.concatenate(parts)))
