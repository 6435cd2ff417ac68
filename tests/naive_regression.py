"""Slow obvious oracles of Blindspot and Gaussian-Amnesiac, in plain numpy and float64, from the equations."""

from __future__ import annotations

import numpy as np


def attention(activation):
    """Q(A) = normalize(flatten(mean_c A^2)); over T for [B, T, F]; of [B, F] without a mean."""
    rows = []
    for row in activation:
        square = row**2
        if row.ndim == 3:  # channels first
            square = np.mean([square[c] for c in range(len(row))], axis=0)
        if row.ndim == 2:  # steps first
            square = np.mean([square[t] for t in range(len(row))], axis=0)
        flat = square.reshape(-1)
        rows.append(flat / np.sqrt((flat**2).sum()))
    return np.stack(rows)


def apart(student, blind):
    """sum_k mean_rows || Q(A_k^S) - Q(A_k^B) ||^2."""
    total = 0.0
    for name in student:
        gap = attention(student[name]) - attention(blind[name])
        total += np.mean([(row**2).sum() for row in gap])
    return total


def step(outputs_forget, outputs_retain, targets, blind, layers, blind_layers, beta):
    """L = a L_f + (1 - a) L_r with absolute errors."""
    share = len(outputs_forget) / (len(outputs_forget) + len(outputs_retain))
    forget = np.abs(outputs_forget - blind).mean() + beta * apart(layers, blind_layers)
    return share * forget + (1 - share) * np.abs(outputs_retain - targets).mean()
