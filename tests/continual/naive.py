"""Slow and obvious: the online learners as numpy loops, written from the equations; a contrastive loss in two loops."""

from __future__ import annotations

import numpy as np


def softmax(v):
    e = np.exp(v - v.max())
    return e / e.sum()


def online(weight, bias, labels, x, y, rule, a, k):
    """(weight, bias, labels, predictions) after a stream."""
    m, old, labels, said = weight.shape[0], weight.shape[1], list(labels), []
    w0, b0 = weight.copy(), bias.copy()
    g_w, g_b, u = np.zeros_like(weight), np.zeros_like(bias), np.zeros(old)
    for i, (f, label) in enumerate(zip(x, y, strict=True)):
        new = label not in labels
        if new:
            labels.append(label)
            weight, w0, g_w = (np.hstack([each, np.zeros((m, 1))]) for each in (weight, w0, g_w))
            bias, b0, g_b, u = (np.append(each, 0.0) for each in (bias, b0, g_b, u))
        said.append(None if new else labels[int((f @ weight + bias).argmax())])
        t = np.array([float(each == label) for each in labels])
        if rule == "cwr":
            p = softmax(f @ w0 + b0)
            w0, b0 = w0 - a * np.outer(f, p - t), b0 - a * (p - t)
            u = u + t
            if i % k == 0 and i != 0:
                for c in range(len(labels)):
                    if u[c]:
                        weight[:, c] = (weight[:, c] * u[c] + w0[:, c]) / (u[c] + 1)
                        bias[c] = (bias[c] * u[c] + b0[c]) / (u[c] + 1)
                w0, b0, u = weight.copy(), bias.copy(), np.zeros(len(labels))
            continue
        p = softmax(f @ weight + bias)
        e = p - t
        if rule.startswith("v2"):
            e[:old] = 0
        if rule.startswith("lwf"):
            z = softmax(f @ w0 + b0)
            share = 100 / (100 + i) if rule == "lwf" else (1 if i < k else k / i)
            e = (1 - share) * (p - t) + share * (p - z)
        if rule in ("tinyol_batch", "v2_batch"):
            g_w, g_b = g_w + np.outer(f, e), g_b + e
            if i % k == 0 and i != 0:
                weight, bias = weight - a / k * g_w, bias - a / k * g_b
                g_w, g_b = np.zeros_like(g_w), np.zeros_like(g_b)
            continue
        weight, bias = weight - a * np.outer(f, e), bias - a * e
        if rule == "lwf_batch" and i % k == 0 and i != 0:
            w0, b0 = weight.copy(), bias.copy()
    return weight, bias, labels, said


def contrast(anchors, others, same, temperature):
    """Supervised contrastive loss; NaN in ``same`` is left out."""
    norm = lambda v: v / np.linalg.norm(v)  # noqa: E731
    each = []
    for i, a in enumerate(anchors):
        logits = {j: norm(a) @ norm(o) / temperature for j, o in enumerate(others) if not np.isnan(same[i, j])}
        total = np.log(sum(np.exp(value) for value in logits.values()))
        positive = [total - logits[j] for j in logits if same[i, j] == 1]
        if positive:
            each.append(np.mean(positive))
    return np.mean(each)
