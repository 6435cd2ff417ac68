"""Symmetric matrices that are known by their products only: the ends of the spectrum, and two ways to solve.

Who unlearns by a Newton step needs H^-1 v where H is too large to write down. Conjugate gradients need H positive
definite; the series of LiSSA (Agarwal et al., arXiv:1602.03943) needs a scale above half the largest eigenvalue and
takes products of a part of the data as well.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from graphforget.errors import Diverged
from graphforget.train import bar

Product = Callable[[Tensor], Tensor]

TOLERANCE = 1e-6  # the series has converged when a step moves h by less than this share of v
GROWN = 10.0  # ... and diverges when a step moves it by more than so many times v


def extremes(product: Product, start: Tensor, steps: int = 20) -> tuple[float, float]:
    """Estimate (lowest, highest) eigenvalue of a symmetric matrix by Lanczos steps, from inside.

    Args:
        product: multiplies the matrix with a vector [P].
        start: [P] a random vector.
        steps: matrix-vector products to spend.

    Example:
        >>> values = torch.tensor([-1.0, 0.5, 3.0])
        >>> low, high = extremes(lambda h: values * h, torch.ones(3))
        >>> round(low, 4), round(high, 4)
        (-1.0, 3.0)
    """
    basis = [start / start.norm()]
    diagonal: list[float] = []
    beside: list[float] = []
    for _ in range(min(steps, len(start))):
        value = product(basis[-1])
        diagonal.append(float(value @ basis[-1]))
        for _ in range(2):  # orthogonal to all before, twice for rounding
            value = value - torch.stack(basis).t() @ (torch.stack(basis) @ value)
        beside.append(float(value.norm()))
        if not beside[-1] > 1e-6 * max(map(abs, diagonal)):
            break
        basis.append(value / beside[-1])
    matrix = torch.diag(torch.tensor(diagonal, dtype=torch.float64))
    for row, value_beside in enumerate(beside[: len(diagonal) - 1]):
        matrix[row, row + 1] = matrix[row + 1, row] = value_beside
    if not bool(torch.isfinite(matrix).all()):
        raise Diverged("the Hessian of the retained loss holds NaN or infinity; check the model's weights")
    values = torch.linalg.eigvalsh(matrix)
    return float(values[0]), float(values[-1])


def series(
    product: Product,
    v: Tensor,
    *,
    scale: float,
    damp: float = 0.0,
    iterations: int = 1000,
    patience: int | None = None,
    title: str = "",
) -> tuple[Tensor, int, float]:
    """Solve (H + damp scale I) u = v by h_0 = v, h_{t+1} = v + (1 - damp) h_t - H h_t / scale, u = h / scale.

    Args:
        product: multiplies H with a vector [P]; it may draw the part of the data that it uses.
        v: [P].
        scale: at least half the largest eigenvalue of H; above it for products of parts.
        damp: share of ``scale`` added to the diagonal.
        iterations: at most so many products.
        patience: stop when so many steps in a row have not been smaller (in sum of absolute values) than the smallest.
        title: of the method, for the progress bar and the error.

    Returns:
        (u, products used, last step as a share of v).

    Raises:
        Diverged: a step is larger than ten times v, or not finite.

    Example:
        >>> values = torch.tensor([1.0, 4.0])
        >>> u, _, _ = series(lambda h: values * h, torch.tensor([2.0, 2.0]), scale=5.0)
        >>> [round(float(each), 3) for each in u]
        [2.0, 0.5]
    """
    size = max(float(v.norm()), torch.finfo(v.dtype).tiny)
    h, step, used, smallest, waited = v, 0.0, 0, float("inf"), 0
    with bar(title, iterations) as advance:
        for used in range(1, iterations + 1):
            following = v + (1 - damp) * h - product(h) / scale
            step, moved = float((following - h).norm()) / size, float((following - h).abs().sum())
            if not step <= GROWN:
                raise Diverged(
                    f"{title or 'the'} series grows (step {step:.3g} times v after {used} terms) with scale={scale:.3g}"
                    f" and damp={damp:.3g}; raise scale above the largest eigenvalue, or damp"
                )
            h = following
            advance()
            waited = 0 if moved < smallest else waited + 1
            smallest = min(moved, smallest)
            if step < TOLERANCE or (patience is not None and waited >= patience):
                break
    return h / scale, used, step


def conjugate(
    product: Callable[[list[Tensor]], list[Tensor]], target: list[Tensor], iterations: int, tolerance: float
) -> tuple[list[Tensor], float]:
    """Solve product(x) = target for a symmetric positive definite product.

    Returns:
        x, and the residual as a share of the target.

    Raises:
        Diverged: a direction of negative curvature: the damping is too small.

    Example:
        >>> x, residual = conjugate(lambda v: [2 * v[0]], [torch.tensor([4.0])], 10, 1e-6)
        >>> x[0].tolist(), residual
        ([2.0], 0.0)
    """
    x = [torch.zeros_like(t) for t in target]
    r = [t.clone() for t in target]
    p = [t.clone() for t in target]
    norm = start = _dot(r, r)
    for _ in range(iterations):
        if norm <= tolerance**2 * start:
            break
        q = product(p)
        curvature = _dot(p, q)
        if curvature <= 0:
            raise Diverged("the Hessian is not positive definite along the way; raise damping")
        alpha = norm / curvature
        for k, (direction, image) in enumerate(zip(p, q, strict=True)):
            x[k] += alpha * direction
            r[k] -= alpha * image
        new = _dot(r, r)
        for k in range(len(p)):
            p[k] = r[k] + new / norm * p[k]
        norm = new
    return x, (norm / start) ** 0.5 if start > 0 else 0.0


def _dot(a: list[Tensor], b: list[Tensor]) -> float:
    return sum(float((u * v).sum()) for u, v in zip(a, b, strict=True))
