"""Rows of other packages in and out: pairs of arrays, PyTorch data sets."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Subset, TensorDataset

from graphforget.errors import InputError
from graphforget.samples import Samples

KINDS = "Samples, a pair (x, y) of arrays or tensors, or a torch.utils.data.Dataset of (x, y)"


def is_rows(data: Any) -> bool:
    """Are these independent rows, no graph?

    Example:
        >>> is_rows((torch.zeros(2, 3), torch.zeros(2))), is_rows(torch.zeros(2, 3))
        (True, False)
    """
    return isinstance(data, Samples | Dataset) or (isinstance(data, tuple) and len(data) == 2)


def to_samples(data: Any) -> Samples:
    """Read rows: ``Samples``, a pair ``(x, y)``, or a map-style data set of ``(x, y)``.

    Integer targets are labels; targets of real numbers are those of a regression and become [N, D].

    Raises:
        InputError: another kind, rows without targets, or as in :class:`graphforget.samples.Samples`.

    Example:
        >>> to_samples((np.zeros((3, 2), dtype=np.float32), np.array([0.5, 1.0, 2.0]))).y.shape
        torch.Size([3, 1])
    """
    if isinstance(data, Samples):
        return data
    if isinstance(data, TensorDataset) and len(data.tensors) == 2:
        data = data.tensors
    elif isinstance(data, Dataset):
        data = _collected(data)
    if not is_rows(data):
        raise InputError(f"rows must be {KINDS} (got {type(data).__name__})")
    x, y = (torch.as_tensor(np.asarray(part) if not isinstance(part, Tensor) else part) for part in data)
    if y.is_floating_point():
        return Samples(x, (y if y.dim() > 1 else y[:, None]).float())
    return Samples(x, y.long())


def _collected(data: Dataset[Any]) -> tuple[Tensor, Tensor]:
    if not hasattr(data, "__len__"):
        raise InputError(f"a data set must be map-style, with a length (got {type(data).__name__}); wrap it in a list")
    rows = [data[row] for row in range(len(data))]
    if not rows or not isinstance(rows[0], tuple | list) or len(rows[0]) != 2:
        raise InputError(f"a data set must yield (x, y) (got {type(rows[0]).__name__ if rows else 'no row'})")
    return torch.stack([torch.as_tensor(x) for x, _ in rows]), torch.stack([torch.as_tensor(y) for _, y in rows])


def like(original: Any, data: Samples, context: Samples) -> Any:
    """Give the retained rows back in the kind that was given: Samples, a pair, or a Subset of the data set.

    Args:
        original: what :func:`to_samples` was given.
        data: what it made of it.
        context: the retained rows. Where values of theirs are masked, a data set comes back as a TensorDataset.

    Example:
        >>> pair = torch.arange(6.0).view(3, 2), torch.tensor([0, 1, 0])
        >>> data = to_samples(pair)
        >>> _, retained = data.partition({"sample": torch.tensor([1])})
        >>> like(pair, data, retained)[1].tolist()
        [0, 0]
    """
    if isinstance(original, Samples):
        return context
    rows = context.rows()
    if isinstance(original, Dataset):
        masked = context.x is not data.x
        return TensorDataset(context.x[rows], context.y[rows]) if masked else Subset(original, rows.tolist())
    x, y = original
    kept = context.x[rows.to(context.x.device)]
    return (kept if isinstance(x, Tensor) else kept.numpy()), y[rows if isinstance(y, Tensor) else rows.numpy()]
