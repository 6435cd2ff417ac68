r"""Least disagree metric and its seeding (LDM-S, arXiv:2401.09787; code ipcng00/LDM-S@f42a8a5).

How little must the hypothesis change until its prediction for x flips. Symbols: rho(h, g) = P[h(X) != g(X)].

    L(g, x) = inf over h with h(x) != g(x) of rho(h, g)                                                     (1)

Estimated by moving the last layer alone, (W', b') ~ N((W, b), sigma^2 I) for sigma in 10^-5, 10^-4.9, ..., 1: each draw
has rho on a sample, and is the least so far for every pool element that it flips. A sigma is drawn from until
``patience`` draws in a row improve no element.

    gamma_x = exp(-max(L_x - L_q, 0) / L_q), L_q the q-th in order (the smallest above 0, where it is 0)    (2)
    gamma beyond the first q is scaled to the sum q and clipped at 1                                        (3)
    P[x next] ~ (gamma_x D(x))^2, D(x) the least cosine distance to what is chosen                          (4)

(4) is the released code's; the paper's is said to leave D unsquared. The first is the argmin of L. Where all L are 0
gamma is 1, and where every weight is 0 (all that is left repeats what is chosen) the smallest L are taken: both ours.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from graphforget.active.seen import Seen
from graphforget.errors import InputError

SIGMAS = tuple(10 ** (-5 + step / 10) for step in range(51))
PATIENCE = 10
SAME = 1e-5  # cosine distances under this are 0


class Disagreement(NamedTuple):
    """What :func:`least_disagree` estimates.

    Args:
        ldm: [n] multiples of 1/M; 1 where nothing flipped the element.
        flipped: [n] bool, which elements some draw has flipped.
        draws: made.
    """

    ldm: Tensor
    flipped: Tensor
    draws: int


def least_disagree(pool: Seen, sample: Seen, *, patience: int = PATIENCE, seed: int = 0) -> Disagreement:
    """Estimate (1) for every element of a pool.

    Args:
        pool: elements to choose from.
        sample: M elements that disagreement is measured on, seen by the same layer.
        patience: draws in a row without an improvement that end a sigma.
        seed: of the draws.

    Raises:
        InputError: another layer, or a patience below 1.

    Example:
        >>> x = torch.tensor([[1.0, 0.1], [1.0, 2.0]], dtype=torch.float64)
        >>> layer = torch.tensor([[0.0, 1.0], [0.0, -1.0]], dtype=torch.float64)
        >>> many = torch.randn(500, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        >>> pool = Seen(x, layer, None, torch.arange(2))
        >>> found = least_disagree(pool, Seen(many, layer, None, torch.arange(500)))
        >>> bool(found.ldm[0] < found.ldm[1])  # nearer to the boundary
        True
    """
    if patience < 1:
        raise InputError(f"patience must be at least 1 (got {patience})")
    if not torch.equal(pool.weight, sample.weight):
        raise InputError("pool and sample must be seen by the same last layer; look at both with one model")
    rng = torch.Generator(device="cpu").manual_seed(seed)
    weight, bias = pool.weight, pool.bias
    said, said_sample = pool.logits.argmax(1), sample.logits.argmax(1)
    count = sample.size
    least = torch.full((pool.size,), count, dtype=torch.int64)  # in elements of the sample
    flipped, draws = torch.zeros(pool.size, dtype=torch.bool), 0
    for sigma in SIGMAS:
        idle = 0
        while idle < patience:
            moved = weight + sigma * torch.randn(weight.shape, generator=rng, dtype=weight.dtype)
            shift = None if bias is None else bias + sigma * torch.randn(bias.shape, generator=rng, dtype=bias.dtype)
            rho = int((F.linear(sample.features, moved, shift).argmax(1) != said_sample).sum())
            flips = F.linear(pool.features, moved, shift).argmax(1) != said
            better = flips & (least > rho)
            least[better] = rho
            flipped |= flips
            idle = 0 if bool(better.any()) else idle + 1
            draws += 1
    return Disagreement(least.double() / count, flipped, draws)


def gammas(ldm: Tensor, count: int) -> Tensor:
    """[n] weights (2) and (3) in the order of the elements.

    Args:
        ldm: [n].
        count: q.

    Example:
        >>> [round(value, 3) for value in gammas(torch.tensor([0.1, 0.2, 0.2, 0.9]), 2).tolist()]
        [1.0, 1.0, 1.0, 0.059]
    """
    order = ldm.argsort(stable=True)
    ranked = ldm[order]
    positive = ranked[ranked > 0]
    if not len(positive) or count >= len(ldm):
        return torch.ones_like(ldm)
    level = ranked[count] if ranked[count] > 0 else positive[0]
    gamma = (-(ranked - level).clamp(min=0) / level).exp()
    tail = gamma[count:].sum()
    gamma[count:] *= count / tail
    found = torch.empty_like(gamma)
    found[order] = gamma.clamp(max=1)
    return found


def seeded_choice(ldm: Tensor, features: Tensor, count: int, *, seed: int = 0) -> Tensor:
    """Choose by (4): [count] places in the order they were drawn.

    Args:
        ldm: [n].
        features: [n, d].
        count: q, at most n.
        seed: of the draws.

    Raises:
        InputError: fewer elements than are asked for.
    """
    if not 1 <= count <= len(ldm):
        raise InputError(f"count must lie in [1, {len(ldm)}], the pool (got {count})")
    rng = torch.Generator().manual_seed(seed)
    gamma, unit = gammas(ldm, count), F.normalize(features, dim=1)
    chosen = [int(ldm.argmin())]
    distance = torch.full_like(ldm, torch.inf)
    while len(chosen) < count:
        apart = 1 - unit @ unit[chosen[-1]]
        distance = torch.minimum(distance, torch.where(apart < SAME, 0.0, apart))
        weight = (gamma * distance) ** 2
        weight[chosen] = 0
        if not bool(weight.sum() > 0):
            left = ldm.clone()
            left[chosen] = torch.inf
            return torch.tensor(chosen + left.argsort(stable=True)[: count - len(chosen)].tolist())
        chosen.append(int(torch.multinomial(weight / weight.sum(), 1, generator=rng)))
    return torch.tensor(chosen)
