"""Slow obvious oracles of influence on logistic regression, in plain numpy and float64, from the equations."""

from __future__ import annotations

import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def gradient(x, y, theta):
    """sum_i grad log(1 + exp(-s_i x_i theta)), s = 2 y - 1."""
    total = np.zeros_like(theta)
    for row, label in zip(x, y, strict=True):
        total += (sigmoid(row @ theta) - label) * row
    return total


def hessian(x, theta):
    """sum_i p_i (1 - p_i) x_i x_i^T."""
    total = np.zeros((len(theta), len(theta)))
    for row in x:
        p = sigmoid(row @ theta)
        total += p * (1 - p) * np.outer(row, row)
    return total


def fit(x, y, l2, steps=100):
    """Newton's method on mean loss + l2 / 2 ||theta||^2."""
    theta = np.zeros(x.shape[1])
    for _ in range(steps):
        g = gradient(x, y, theta) / len(x) + l2 * theta
        theta = theta - np.linalg.solve(hessian(x, theta) / len(x) + l2 * np.eye(len(theta)), g)
    return theta


def ij(x, y, theta, gone, l2, curved=None):
    """theta + 1/(n - m) H^-1 sum_U grad (l_i + l2/2 ||theta||^2); H of ``curved`` rows, of all by default."""
    rows = x if curved is None else x[curved]
    h = hessian(rows, theta) / len(rows) + l2 * np.eye(len(theta))
    g = gradient(x[gone], y[gone], theta) + len(gone) * l2 * theta
    return theta + np.linalg.solve(h, g) / (len(x) - len(gone))


def online(x, y, theta, gone, l2):
    """One row after the other with the stored inverse."""
    inverse = np.linalg.inv(hessian(x, theta) / len(x) + l2 * np.eye(len(theta)))
    for t, row in enumerate(gone):
        g = gradient(x[[row]], y[[row]], theta) + l2 * theta
        theta = theta + inverse @ g / (len(x) - t - 1)
    return theta


def prox_objective(t, v, h, l1):
    return 0.5 * (t - v) @ h @ (t - v) + l1 * np.abs(t).sum()
