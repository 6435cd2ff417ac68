"""Slow, obvious oracles for the image methods, in plain numpy and float64, written from the papers' equations.

The network is x -> W2 relu(W1 x + b1) + b2, its loss the mean cross-entropy of a batch.
"""

from __future__ import annotations

import math

import numpy as np

Weights = dict[str, np.ndarray]


def forward(w: Weights, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(hidden, logits)."""
    hidden = np.maximum(x @ w["0.weight"].T + w["0.bias"], 0)
    return hidden, hidden @ w["2.weight"].T + w["2.bias"]


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def gradient(w: Weights, x: np.ndarray, y: np.ndarray, of_outputs: np.ndarray | None = None) -> Weights:
    """Gradient of the mean cross-entropy, or of what has the gradient ``of_outputs`` in the logits."""
    hidden, logits = forward(w, x)
    if of_outputs is None:
        of_outputs = (softmax(logits) - np.eye(logits.shape[1])[y]) / len(x)
    back = (of_outputs @ w["2.weight"]) * (hidden > 0)
    return {
        "0.weight": back.T @ x,
        "0.bias": back.sum(0),
        "2.weight": of_outputs.T @ hidden,
        "2.bias": of_outputs.sum(0),
    }


def batches(x: np.ndarray, y: np.ndarray, size: int) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(x[k : k + size], y[k : k + size]) for k in range(0, len(x), size)]


def criticality(w: Weights, x: np.ndarray, y: np.ndarray, size: int) -> Weights:
    """| theta sum_b g(b) |, up to the number of batches, which changes no ranking."""
    parts = [gradient(w, *part) for part in batches(x, y, size)]
    return {name: np.abs(w[name] * sum(part[name] for part in parts)) for name in w}


def fisher(w: Weights, x: np.ndarray, y: np.ndarray, size: int) -> Weights:
    """Mean of squared mini-batch gradients."""
    parts = [gradient(w, *part) for part in batches(x, y, size)]
    return {name: sum(part[name] ** 2 for part in parts) / len(parts) for name in w}


def dampen(w: Weights, every: Weights, gone: Weights, alpha: float, lam: float) -> Weights:
    """SSD, one weight at a time."""
    new = {name: value.copy() for name, value in w.items()}
    for name, value in new.items():
        for place in np.ndindex(value.shape):
            if gone[name][place] > alpha * every[name][place]:
                value[place] *= min(lam * every[name][place] / gone[name][place], 1)
    return new


def channel(scores: np.ndarray, h: float) -> np.ndarray:
    """Each row's score: the mean of its max(1, int(h rows)) largest; h 0: of all."""
    new = np.empty_like(scores)
    for row, values in enumerate(scores):
        count = max(1, int(h * len(scores))) if h else len(values)
        new[row] = np.sort(values)[::-1][:count].mean()
    return new


def centroid_targets(
    own: np.ndarray, y: np.ndarray, kept: np.ndarray, kept_y: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """([n, d] targets, [n] their labels) of DUCK."""
    centroids = {int(c): kept[kept_y == c].mean(0) for c in np.unique(kept_y)}
    targets, labels = [], []
    for z, label in zip(own, y, strict=True):
        far = {
            c: 1 - z @ centre / (np.linalg.norm(z) * np.linalg.norm(centre))
            for c, centre in centroids.items()
            if c != label
        }
        labels.append(min(far, key=lambda c: far[c]))
        targets.append(centroids[labels[-1]])
    return np.stack(targets), np.array(labels)


def departing(logits: np.ndarray, y: np.ndarray, away: float, flat: float, offset: float) -> float:
    """PGU's loss."""
    p = softmax(logits)
    own = p[np.arange(len(y)), y]
    entropy = -(p * np.log(p)).sum(1)
    return float(away * -np.log(1 - (own - offset)).mean() - flat * entropy.mean())


def projection(gram: np.ndarray, gamma: float) -> np.ndarray:
    """P of the directions whose cumulated singular values stay within gamma."""
    u, s2, _ = np.linalg.svd(gram)
    s = np.sqrt(s2)
    count = sum(1 for k in range(len(s)) if s[: k + 1].sum() / s.sum() <= gamma)
    return u[:, :count] @ u[:, :count].T


def modified_entropy(p: np.ndarray, y: int) -> float:
    """Song and Mittal's: small where the model is sure and right."""
    total = -(1 - p[y]) * math.log(p[y])
    return total - sum(p[c] * math.log(1 - p[c]) for c in range(len(p)) if c != y)


def klom(unlearned: np.ndarray, oracle: np.ndarray, bins: int = 20, floor: float = 1e-5) -> float:
    """KL of two samples of margins over common bins; the largest value counts in the last bin."""
    a, b = np.clip(unlearned, -100, 100), np.clip(oracle, -100, 100)
    low, high = min(a.min(), b.min()), max(a.max(), b.max())
    if low == high:
        return 0.0
    p, q = np.zeros(bins), np.zeros(bins)
    for values, counts in ((a, p), (b, q)):
        for value in values:
            counts[min(int((value - low) / (high - low) * bins), bins - 1)] += 1 / len(values)
    q = np.where(p > 0, np.maximum(q, floor), q)
    q = q / q.sum()
    return float(sum(p[k] * math.log(p[k] / q[k]) for k in range(bins) if p[k] > 0))


def trak(models: list[Weights], kept: np.ndarray, gone: np.ndarray, y: np.ndarray, damping: float) -> np.ndarray:
    """[m, C] what the rows that go add to their own logits, one row, logit and model after the other."""
    classes = forward(models[0], gone)[1].shape[1]

    def phi(w: Weights, x: np.ndarray, c: int) -> np.ndarray:
        each = [gradient(w, row[None], np.zeros(1, int), np.eye(classes)[[c]]) for row in x]
        return np.stack([np.concatenate([part[name].ravel() for name in w]) for part in each])

    found = np.zeros((len(gone), classes))
    for c in range(classes):
        near = np.zeros((len(gone), len(gone)))
        left = np.zeros(len(gone))
        for w in models:
            k, g = phi(w, kept, c), phi(w, gone, c)
            ridge = damping * np.mean([v @ v for v in np.vstack([k, g])])
            near += g @ np.linalg.inv(k.T @ k + ridge * np.eye(k.shape[1])) @ g.T / len(models)
            left += ((y == c) - softmax(forward(w, gone)[1])[:, c]) / len(models)
        found[:, c] = near @ left
    return found
