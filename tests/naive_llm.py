"""Losses of language-model unlearning in plain numpy, written from the table of their equations."""

from __future__ import annotations

import numpy as np

Array = np.ndarray


def log_softmax(logits: Array) -> Array:
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def answer_tokens(labels: Array) -> list[tuple[int, int]]:
    return [
        (row, place) for row in range(len(labels)) for place in range(labels.shape[1]) if labels[row, place] != -100
    ]


def token_nll(logits: Array, labels: Array) -> dict[tuple[int, int], float]:
    logs = log_softmax(logits)
    return {(row, place): -logs[row, place, labels[row, place]] for row, place in answer_tokens(labels)}


def summed(logits: Array, labels: Array) -> Array:
    each = token_nll(logits, labels)
    return np.array([sum(value for (row, _), value in each.items() if row == r) for r in range(len(labels))])


def mean_nll(logits: Array, labels: Array) -> float:
    return float(np.mean(list(token_nll(logits, labels).values())))


def logsigmoid(x: Array) -> Array:
    return -np.log1p(np.exp(-x))


def npo(own: Array, ref: Array, labels: Array, beta: float, reduction: str) -> float:
    if reduction == "sequence":
        return float(-2 / beta * logsigmoid(beta * (summed(own, labels) - summed(ref, labels))).mean())
    return float(-2 / beta * logsigmoid(beta * (mean_nll(own, labels) - mean_nll(ref, labels))))


def simnpo(own: Array, labels: Array, beta: float, delta: float) -> float:
    count = (labels != -100).sum(1)
    return float(-2 / beta * logsigmoid(beta * (summed(own, labels) / count - delta)).mean())


def dpo(forget: Array, forget_ref: Array, other: Array, other_ref: Array, beta: float) -> float:
    return float(-2 / beta * logsigmoid(beta * ((other_ref - other) - (forget_ref - forget))).mean())


def undial(own: Array, ref: Array, labels: Array, beta: float) -> float:
    logs, total = log_softmax(own), []
    for row, place in answer_tokens(labels):
        lowered = ref[row, place].copy()
        lowered[labels[row, place]] -= beta
        total.append(-(np.exp(log_softmax(lowered)) * logs[row, place]).sum())
    return float(np.mean(total))


def ce_u(own: Array, labels: Array) -> float:
    logs, total, seen = log_softmax(own), [], set()
    for row, place in answer_tokens(labels):
        if row not in seen:
            seen.add(row)
            continue
        rest = own[row, place].copy()
        rest[labels[row, place]] = -np.inf
        total.append(-(np.exp(log_softmax(rest)) * logs[row, place]).sum())
    return float(np.mean(total))


def sat_imp(own: Array, labels: Array, beta1: float, beta2: float) -> float:
    loss = np.array(list(token_nll(own, labels).values()))
    p = np.exp(-loss)
    return float(-(p**beta1 * (1 - p) ** beta2 * loss).mean())


def kl(first: Array, second: Array, labels: Array) -> float:
    """Mean over answer tokens of KL(first || second)."""
    a, b = log_softmax(first), log_softmax(second)
    return float(np.mean([(np.exp(a[at]) * (a[at] - b[at])).sum() for at in answer_tokens(labels)]))
