"""Losses of unlearning on plain tensors: ``(logits [R, T, V], labels [R, T])``, already shifted by one.

Labels of the prompt and of padding are -100 (IGNORE) and change nothing. Equations are those of open-unlearning's code
(commit d3d7cf9); where it averages over prompt and padding as well (UNDIAL, KL), ours masks them.

==========  =======================================================
symbol      here
==========  =======================================================
s(x)        :func:`nll`: summed negative log-likelihood of an answer
CE          :func:`cross_entropy`: mean over the batch's answer tokens
T           :func:`lengths`: answer tokens of a sequence
==========  =======================================================
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from graphforget.errors import unknown

IGNORE = -100
REDUCTIONS = ("sequence", "batch_mean")


def token_nll(logits: Tensor, labels: Tensor) -> Tensor:
    """[R, T] negative log-likelihood of each token, 0 where the label is IGNORE."""
    return F.cross_entropy(logits.transpose(1, 2), labels, ignore_index=IGNORE, reduction="none")


def nll(logits: Tensor, labels: Tensor) -> Tensor:
    """[R] summed negative log-likelihood of each answer, s(x).

    Example:
        >>> round(float(nll(torch.zeros(1, 2, 4), torch.tensor([[1, 2]]))), 4)  # 2 ln 4
        2.7726
    """
    return token_nll(logits, labels).sum(1)


def lengths(labels: Tensor) -> Tensor:
    """[R] number of answer tokens, T."""
    return (labels != IGNORE).sum(1)


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean negative log-likelihood over the batch's answer tokens, CE."""
    return token_nll(logits, labels).sum() / lengths(labels).sum()


def npo(own: Tensor, reference: Tensor, count: Tensor, *, beta: float, reduction: str = "sequence") -> Tensor:
    """NPO: -(2/beta) mean_x logsigmoid( beta (s - s_ref) ).

    Args:
        own: [R] s(x) of the model.
        reference: [R] s(x) of the original.
        count: [R] answer tokens.
        beta: sharpness; towards 0 it becomes gradient ascent on s.
        reduction: ``sequence`` (the equation, original NPO) or ``batch_mean`` (RESTOR, MUSE: one logsigmoid of the
            batch's mean token losses).

    Example:
        >>> s = torch.tensor([3.0, 5.0])
        >>> round(float(npo(s, s, torch.tensor([2, 2]), beta=0.1)), 4)  # (2 / beta) ln 2
        13.8629
    """
    if reduction not in REDUCTIONS:
        raise unknown("reduction", reduction, REDUCTIONS)
    apart = own - reference if reduction == "sequence" else (own.sum() - reference.sum()) / count.sum()
    return -2 / beta * F.logsigmoid(beta * apart).mean()


def simnpo(own: Tensor, count: Tensor, *, beta: float, delta: float) -> Tensor:
    """SimNPO: -(2/beta) mean_x logsigmoid( beta (s / T - delta) )."""
    return -2 / beta * F.logsigmoid(beta * (own / count - delta)).mean()


def dpo(forget: Tensor, forget_ref: Tensor, other: Tensor, other_ref: Tensor, *, beta: float) -> Tensor:
    """DPO for another answer: -(2/beta) mean_x logsigmoid( beta [ (s_ref - s)(other) - (s_ref - s)(forget) ] )."""
    gain = (other_ref - other) - (forget_ref - forget)
    return -2 / beta * F.logsigmoid(beta * gain).mean()


def undial(logits: Tensor, reference: Tensor, labels: Tensor, *, beta: float) -> Tensor:
    """UNDIAL: cross-entropy with softmax( logits_ref - beta onehot(y) ), mean over answer tokens."""
    own, ref, label = (each[labels != IGNORE] for each in (logits, reference, labels))
    target = (ref - beta * F.one_hot(label, ref.shape[1])).softmax(1)
    return -(target * own.log_softmax(1)).sum(1).mean()


def ce_u(logits: Tensor, labels: Tensor, *, skip: int = 1) -> Tensor:
    """CE-U: cross-entropy with the model's own distribution without the gold token, from token ``skip`` on."""
    place = (labels != IGNORE).cumsum(1)
    chosen = (labels != IGNORE) & (place > skip)
    own, label = logits[chosen], labels[chosen]
    target = own.detach().scatter(1, label[:, None], -torch.inf).softmax(1)
    return -(target * own.log_softmax(1)).sum(1).mean()


def weighted_ascent(logits: Tensor, labels: Tensor, *, beta: float) -> Tensor:
    """WGA: -mean_t p_t^beta nll_t, the weight without gradient."""
    return sat_imp(logits, labels, beta1=beta, beta2=0.0)


def sat_imp(logits: Tensor, labels: Tensor, *, beta1: float, beta2: float) -> Tensor:
    """SatImp: -mean_t p_t^beta1 (1 - p_t)^beta2 nll_t, the weights without gradient."""
    loss = token_nll(logits, labels)[labels != IGNORE]
    p = (-loss).exp().detach()
    return -(p**beta1 * (1 - p) ** beta2 * loss).mean()


def kl(logits: Tensor, reference: Tensor, labels: Tensor) -> Tensor:
    """Mean over answer tokens of KL( reference || own ): what keeps the retained near the original."""
    own, ref = (each[labels != IGNORE].log_softmax(1) for each in (logits, reference))
    return (ref.exp() * (ref - own)).sum(1).mean()


def kl_forget(logits: Tensor, reference: Tensor, labels: Tensor) -> Tensor:
    """Mean over answer tokens of KL( own || reference ), RESTOR's KL_FT as its paper writes it."""
    own, ref = (each[labels != IGNORE].log_softmax(1) for each in (logits, reference))
    return (own.exp() * (own - ref)).sum(1).mean()


def kl_released(logits: Tensor, reference: Tensor) -> Tensor:
    """RESTOR's KL_FT as its code computes it: the cross-entropy -sum own log(reference + 1e-12), on every position."""
    return -(logits.softmax(-1) * (reference.softmax(-1) + 1e-12).log()).sum(-1).mean()
