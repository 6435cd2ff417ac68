"""A model asked for TOFU's and MUSE's figures: losses of right and wrong answers, what it writes, every token's odds.

The arrays go into :mod:`graphforget.llm.metrics`. Wrong answers and other words for the right one are those of the
task's table (:class:`graphforget.llm.antisamples.Table`).
"""

from __future__ import annotations

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from graphforget.errors import InputError
from graphforget.llm import metrics
from graphforget.llm.losses import IGNORE
from graphforget.llm.restor import option_scores
from graphforget.llm.task import CHUNK, CausalLM
from graphforget.llm.tokens import answers, encode, questions
from graphforget.samples import Samples
from graphforget.task import evaluating


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
    found = []
    with evaluating(model), torch.no_grad():
        for rows in view.rows().split(CHUNK):
            logits, labels = task.answers(model, task.of_rows(view, rows))
            found += [_odds(*row) for row in zip(logits, labels, strict=True)]
    return found


def _odds(logits: Tensor, labels: Tensor) -> tuple[metrics.Array, list[bool]]:
    """The same of one row: logits [T, V] and labels [T], IGNORE outside the answer."""
    own = labels != IGNORE
    logits, labels = logits[own], labels[own]
    chosen = logits.log_softmax(1).gather(1, labels[:, None])[:, 0]
    return chosen.double().cpu().numpy(), (logits.argmax(1) == labels).tolist()


def min_k_auc(task: CausalLM, model: nn.Module, forget: Samples, others: Samples, share: float = 0.4) -> float:
    """Tell forgotten answers from ones that nobody was ever trained on by Min-K%; 0.5 is what an outsider sees.

    Args:
        task: see :func:`eval_set`; no generator is needed.
        model: under attack.
        forget: the forgotten rows.
        others: rows of the same kind, seen by neither the original nor gold.
        share: of the tokens, see :func:`graphforget.llm.metrics.min_k`.
    """
    parts = [[metrics.min_k(odds, share) for odds, _ in token_odds(task, model, view)] for view in (forget, others)]
    member = np.repeat([1, 0], [len(parts[0]), len(parts[1])])
    return float(roc_auc_score(member, -np.concatenate(parts)))
