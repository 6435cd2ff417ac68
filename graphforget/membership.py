"""Attacks that read one figure of each answer: correctness, confidence, entropy, modified entropy, loss.

A support vector machine, or a logistic regression on the entropy, learns from the model's own answers to retained
against unseen elements what members look like, and is asked about the forgotten (Unlearn-Sparse and SalUn;
bad teaching, SSD and JiT). *Efficacy* is the share of the forgotten that it takes for non-members. An ideal of 1 is
folklore: gold's own value is what to compare with. Any task whose answers are logits [B, C] can be attacked.
:func:`attacked` runs them on a model's result, in rows beside those of :func:`graphforget.evidence.compare`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC
from torch import Tensor

from graphforget import checked
from graphforget.attack import AttackResult, threshold_attack, zrf
from graphforget.errors import InputError, unknown
from graphforget.forget import ForgetSplit
from graphforget.task import Task
from graphforget.unlearner import Unlearned

FEATURES = ("correctness", "confidence", "entropy", "modified_entropy", "loss")
MOST = 2000  # elements a side that an attack learns from: as many as the papers take


class Efficacy(NamedTuple):
    """Share of the forgotten that pass for non-members, and how well the attack tells them from unseen elements."""

    efficacy: float
    result: AttackResult


def feature(name: str, outputs: Tensor, labels: Tensor) -> Tensor:
    """Return one figure [B] of each answer.

    Args:
        name: ``correctness`` (1 or 0), ``confidence`` (p of the label), ``entropy``, ``modified_entropy`` (Song and
            Mittal, arXiv:2003.10595: -(1 - p_y) log p_y - sum_{c != y} p_c log(1 - p_c)) or ``loss``.
        outputs: logits [B, C].
        labels: [B].

    Raises:
        InputError: unknown name, or outputs that are empty or not finite.

    Example:
        >>> feature("modified_entropy", torch.tensor([[0.0, 0.0]]), torch.tensor([1]))  # log 2
        tensor([0.6931], dtype=torch.float64)
    """
    if name not in FEATURES:
        raise unknown("feature", name, FEATURES)
    log_p = checked.rows(outputs, "outputs").log_softmax(1)
    column = labels.to(log_p.device)[:, None]
    own = log_p.gather(1, column)[:, 0]
    if name == "correctness":
        return (log_p.argmax(1) == column[:, 0]).double()
    if name == "confidence":
        return own.exp()
    if name == "loss":
        return -own
    if name == "entropy":
        return -(log_p.exp() * log_p).sum(1)
    # log(1 - p_c) as the log-sum-exp of the other classes: exact where p_c is next to 1
    classes = log_p.shape[1]
    others = log_p[:, None, :].expand(-1, classes, -1).masked_fill(torch.eye(classes, dtype=torch.bool), -torch.inf)
    log_rest = others.logsumexp(2)
    terms = (log_p.exp() * log_rest).scatter(1, column, 0.0).sum(1)
    return -log_rest.gather(1, column)[:, 0].exp() * own - terms


def svc_attack(retain: Tensor, unseen: Tensor, forget: Tensor, other: Tensor, seed: int = 0) -> Efficacy:
    """Teach a support vector machine what members look like and ask it about the forgotten.

    SVC with C = 3, an rbf kernel and ``gamma="auto"``, as Unlearn-Sparse has it.

    Args:
        retain: [n] or [n, d] features of retained elements: members.
        unseen: of elements that the model never saw: non-members.
        forget: of the forgotten.
        other: of further unseen elements, beside which the forgotten are ranked.
        seed: of the bootstrap.

    Raises:
        InputError: empty, not finite, or another d.

    Example:
        >>> high, low = torch.linspace(0.9, 1.0, 20), torch.linspace(0.0, 0.1, 20)
        >>> svc_attack(high, low, low, low).efficacy
        1.0
    """
    known = [_table(each, name) for each, name in ((retain, "retain"), (unseen, "unseen"))]
    asked = [_table(each, name) for each, name in ((forget, "forget"), (other, "other"))]
    if len({each.shape[1] for each in (*known, *asked)}) > 1:
        raise InputError("the features must have one width d; take the same features everywhere")
    label = torch.cat([torch.ones(len(known[0])), torch.zeros(len(known[1]))])
    model = SVC(C=3, gamma="auto", kernel="rbf").fit(torch.cat(known).numpy(), label.numpy())
    score = [torch.as_tensor(model.decision_function(each.numpy())) for each in asked]
    efficacy = 1.0 - float(model.predict(asked[0].numpy()).mean())
    return Efficacy(efficacy, threshold_attack(score[0], score[1], seed))


def entropy_attack(retain: Tensor, unseen: Tensor, forget: Tensor) -> float:
    """Return the mean membership that a balanced logistic regression on the entropy sees in the forgotten.

    Args:
        retain: logits [n, C] of retained elements.
        unseen: of elements that the model never saw.
        forget: of the forgotten.

    Source:
        The figure of bad teaching (arXiv:2205.08096), SSD and JiT: the mean prediction, 0 or 1.

    Example:
        >>> sure, unsure = torch.tensor([[9.0, 0.0]] * 9), torch.zeros(9, 2)
        >>> entropy_attack(sure, unsure, unsure)
        0.0
    """
    parts = [feature("entropy", each, each.argmax(1))[:, None].cpu() for each in (retain, unseen, forget)]
    label = torch.cat([torch.ones(len(parts[0])), torch.zeros(len(parts[1]))])
    model = LogisticRegression(class_weight="balanced", max_iter=1000)
    model.fit(torch.cat(parts[:2]).numpy(), label.numpy())
    return float(model.predict(parts[2].numpy()).mean())


def attacked(
    task: Task[Any], split: ForgetSplit[Any], test: Any, result: Unlearned, *, seed: int = 0
) -> dict[tuple[str, str], float]:
    """Return the figures that papers report of a model's answers: {(part, metric): value}, beside gold's own.

    ``mia_svc`` is the share of the forgotten that a support vector machine on the confidence takes for members (1 less
    the efficacy), ``mia_entropy`` that of a logistic regression on the entropy, ``zrf`` the likeness to a random model.

    Args:
        task: one whose answers are logits [B, C].
        split: the request.
        test: data that no model was trained or chosen on: one half teaches, the other is ranked beside the forgotten.
        result: the original, a gold or an unlearned model, with what it may see.
        seed: of the random model.

    Raises:
        InputError: the answers are no logits, or fewer than two test elements.
    """
    views = {"forget": split.forget, "retain": split.untouched, "test": test}
    batches = {part: task.elements(result.context, view) for part, view in views.items()}
    ask = task.teacher(result.model, result.context)
    given = {part: ask(batch) for part, batch in batches.items()}
    if len(given["test"]) < 2:
        raise InputError(f"the attacks need two test elements or more (got {len(given['test'])})")
    sure = {part: feature("confidence", given[part], batches[part].label) for part in views}
    half = min(len(sure["test"]) // 2, MOST)
    rows = torch.linspace(0, len(sure["retain"]) - 1, min(half, len(sure["retain"]))).round().long()
    unseen, other = sure["test"][::2][:half], sure["test"][1::2][:half]
    random = task.teacher(task.fresh(result.model, seed).eval(), result.context)(batches["forget"])
    return {
        ("forget", "mia_svc"): 1.0 - svc_attack(sure["retain"][rows], unseen, sure["forget"], other).efficacy,
        ("forget", "mia_entropy"): entropy_attack(given["retain"][rows], given["test"][::2][:half], given["forget"]),
        ("forget", "zrf"): zrf(given["forget"], random),
    }


def _table(values: Tensor, name: str) -> Tensor:
    return checked.rows(values[:, None] if values.dim() == 1 else values, name, columns=1).cpu()
