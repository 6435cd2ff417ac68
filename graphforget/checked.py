"""Vectors of scores and rows of outputs, read in float64 without gradient; what is none is refused by name."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from graphforget.errors import InputError


def scores(values: Sequence[float] | Tensor, name: str) -> Tensor:
    """Return values [N] in float64 without gradient; raise if empty, not a vector or NaN."""
    found = torch.as_tensor(values, dtype=torch.float64).detach()
    if found.dim() != 1 or not len(found):
        raise InputError(f"{name} must be a vector [N], N >= 1 (got shape {list(found.shape)}); flatten or fill it")
    if bool(found.isnan().any()):
        bad = int(found.isnan().sum())
        raise InputError(f"{name} must be free of NaN (got {bad} in {len(found)} values); drop or mend them")
    return found


def rows(values: Tensor, name: str, columns: int = 2) -> Tensor:
    """Return values [B, C >= columns] in float64 without gradient; raise if empty, of another shape or not finite."""
    found = torch.as_tensor(values, dtype=torch.float64).detach()
    if found.dim() != 2 or not len(found) or found.shape[1] < columns:
        hint = "; a link score s is the row [0, s]" if columns == 2 else ""
        raise InputError(f"{name} must be [B >= 1, C >= {columns}] (got shape {list(found.shape)}); reshape it{hint}")
    if not bool(found.isfinite().all()):
        bad = int((~found.isfinite()).any(1).sum())
        raise InputError(f"{name} must be finite (got NaN or infinity in {bad} of {len(found)} rows); did it diverge?")
    return found


def same_shape(value: Tensor, like: Tensor, name: str, other: str) -> Tensor:
    """Return a value on the device of another one; raise if their shapes differ."""
    if value.shape != like.shape:
        shapes = f"{list(value.shape)} and {list(like.shape)}"
        raise InputError(f"{name} must have the shape of {other} (got {shapes}); ask both about the same elements")
    return value.to(like.device)
