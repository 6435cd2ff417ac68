"""Sparse-dense products as CSR with a cheap backward, for every domain."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Sparse(NamedTuple):
    """A CSR matrix beside its transpose; the backward of a product multiplies with the transpose."""

    matrix: Tensor
    transpose: Tensor


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, dense: Tensor, matrix: Tensor, transpose: Tensor) -> Tensor:
        ctx.matrix, ctx.transpose = matrix, transpose
        return matrix @ dense.contiguous()  # a transposed view costs ten times as much

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        # a product again, so that second derivatives (influence functions) exist
        return _Product.apply(grads[0].contiguous(), ctx.transpose, ctx.matrix), None, None  # type: ignore[no-untyped-call]


def product(sparse: Sparse, dense: Tensor) -> Tensor:
    """[n, d] sparse @ dense, differentiable in the dense factor."""
    result: Tensor = _Product.apply(dense, sparse.matrix, sparse.transpose)  # type: ignore[no-untyped-call]
    return result


@contextmanager
def quiet() -> Iterator[None]:
    """Silence torch's notice that CSR is in beta: a user can do nothing about it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse (CSR tensor support|invariant checks)")
        yield


def to_csr(rows: Tensor, cols: Tensor, value: Tensor, size: tuple[int, int]) -> Tensor:
    """CSR matrix of a size from coordinates; values of equal coordinates add up."""
    coo = torch.sparse_coo_tensor(torch.stack([rows, cols]), value, size, check_invariants=False)
    with quiet():
        return coo.coalesce().to_sparse_csr()


def of_coo(rows: Tensor, cols: Tensor, value: Tensor, size: tuple[int, int]) -> Sparse:
    """A matrix and its transpose from coordinates.

    Args:
        rows: [E] int64.
        cols: [E] int64.
        value: [E].
        size: (n, m).

    Example:
        >>> one = of_coo(torch.tensor([0]), torch.tensor([1]), torch.tensor([2.0]), (2, 3))
        >>> product(one, torch.eye(3)).tolist()
        [[0.0, 2.0, 0.0], [0.0, 0.0, 0.0]]
    """
    return Sparse(to_csr(rows, cols, value, size), to_csr(cols, rows, value, (size[1], size[0])))
