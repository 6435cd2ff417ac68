"""Attacks that read one figure of each answer: correctness, confidence, entropy, modified entropy, loss.

A support vector machine, or a logistic regression on the entropy, learns from the model's own answers to retained
against unseen elements what members look like, and is asked about the forgotten (Unlearn-Sparse and SalUn;
bad teaching, SSD and JiT). *Efficacy* is the share of the forgotten that it takes for non-members. An ideal of 1 is
folklore: gold's own value is what to compare with. Any task whose answers are logits [B, C] can be attacked.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC
from torch import Tensor

from graphforget import metrics
from graphforget.attack import AttackResult, threshold_attack
from graphforget.errors import InputError, unknown

FEATURES = ("correctness", "confidence", "entropy", "modified_entropy", "loss")


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
        >>> feature("modified_entropy", torch.tensor([[0.0, 0.0]]), torch.tensor([1])) / metrics.LN2
        tensor([1.], dtype=torch.float64)
    """
    if name not in FEATURES:
        raise unknown("feature", name, FEATURES)
    log_p = metrics.check_rows(outputs, "outputs").log_softmax(1)
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


def _table(values: Tensor, name: str) -> Tensor:
    return metrics.check_rows(values[:, None] if values.dim() == 1 else values, name, columns=1).cpu()
