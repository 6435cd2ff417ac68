"""Slow, obvious oracles of the methods: plain numpy in float64, written from the papers' equations.

The network is a two-layer graph network z = A relu(A x W1) W2 with A = I + adjacency; the score of an edge is the dot
product of its ends. Gradients are central differences, the optimiser is Adam as its paper prints it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Weights = list[Array]
Pairs = Sequence[tuple[int, int]]


def layers(weights: Weights, x: Array, edges: Pairs) -> tuple[Array, Array]:
    """The outputs of both layers on an undirected graph."""
    a = np.eye(len(x))
    for u, v in edges:
        a[u, v] = a[v, u] = 1
    first = a @ x @ weights[0]
    return first, a @ np.maximum(first, 0) @ weights[1]


def scores(weights: Weights, x: Array, edges: Pairs, asked: Pairs) -> Array:
    """<z_u, z_v> of each asked pair, propagated on ``edges``."""
    z = layers(weights, x, edges)[1]
    return np.array([z[u] @ z[v] for u, v in asked])


def sigmoid(s: Array) -> Array:
    """1 / (1 + exp(-s))."""
    return 1 / (1 + np.exp(-s))


def bernoulli_kl(teacher: Array, student: Array, temperature: float) -> Array:
    """T^2 KL( Bern(sigma(t / T)) || Bern(sigma(s / T)) ), term by term."""
    p, q = sigmoid(teacher / temperature), sigmoid(student / temperature)
    return temperature**2 * (p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q)))


def categorical_kl(teacher: Array, student: Array, temperature: float) -> Array:
    """T^2 KL(softmax(t / T) || softmax(s / T)) of each row."""
    p, q = (np.exp(z / temperature) / np.exp(z / temperature).sum(1, keepdims=True) for z in (teacher, student))
    return temperature**2 * (p * np.log(p / q)).sum(1)


def cross_entropy(s: Array, label: Array) -> Array:
    """-log of the probability that the score gives to the label (1 edge, 0 none)."""
    return -np.log(np.where(label == 1, sigmoid(s), 1 - sigmoid(s)))


def d2dgn(
    student: Weights,
    preserver: Weights,
    destroyer: Weights,
    x: Array,
    retain: Pairs,
    forget: Pairs,
    negatives: Pairs,
    *,
    alpha: float,
    temperature: float,
    distilled: str,
    weighting: str,
) -> float:
    """Spec 2.4: alpha Loss_r + (1 - alpha) Loss_f, soft and / or feat; everything propagates on the retained edges."""
    total = 0.0
    if distilled in ("soft", "both"):
        asked = [*retain, *negatives]
        keep = bernoulli_kl(scores(preserver, x, retain, asked), scores(student, x, retain, asked), temperature)
        drop = bernoulli_kl(scores(destroyer, x, retain, forget), scores(student, x, retain, forget), temperature)
        if weighting == "mean":
            total += alpha * keep.mean() + (1 - alpha) * drop.mean()
        else:
            total += (keep.sum() + drop.sum()) / (len(keep) + len(drop))
    if distilled in ("feat", "both"):
        ends = sorted({v for edge in forget for v in edge})
        rest = [v for v in range(len(x)) if v not in ends]
        for s, p, d in zip(*(layers(w, x, retain) for w in (student, preserver, destroyer)), strict=True):
            total += alpha * ((s - p)[rest] ** 2).sum(1).mean() + (1 - alpha) * ((s - d)[ends] ** 2).sum(1).mean()
    return float(total)


def gradient(loss: Callable[[Weights], float], weights: Weights, step: float = 1e-5) -> Weights:
    """Central differences, one number at a time."""
    found = [np.zeros_like(w) for w in weights]
    for k, w in enumerate(weights):
        for place in np.ndindex(*w.shape):
            values = []
            for sign in (1, -1):
                moved = [v.copy() for v in weights]
                moved[k][place] += sign * step
                values.append(loss(moved))
            found[k][place] = (values[0] - values[1]) / (2 * step)
    return found


def adam(loss: Callable[[Weights], float], weights: Weights, *, steps: int, lr: float) -> Weights:
    """Adam (arXiv:1412.6980, algorithm 1) with its default constants."""
    weights = [w.copy() for w in weights]
    m, v = ([np.zeros_like(w) for w in weights] for _ in range(2))
    for t in range(1, steps + 1):
        for k, g in enumerate(gradient(loss, weights)):
            m[k] = 0.9 * m[k] + 0.1 * g
            v[k] = 0.999 * v[k] + 0.001 * g**2
            weights[k] = weights[k] - lr * (m[k] / (1 - 0.9**t)) / (np.sqrt(v[k] / (1 - 0.999**t)) + 1e-8)
    return weights
