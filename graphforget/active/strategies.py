"""Which elements of a pool to take next, by name.

* ``random``
* ``entropy``: the answers that are most spread out;
* ``margin``: the smallest gap between the two best answers;
* ``coreset``: k-centre greedy on the features (Sener & Savarese), from what is labelled already;
* ``badge``: k-means++ on gradient embeddings (Ash et al.), first the longest;
* ``ldm``: the smallest least disagree metric;
* ``ldm_s``: LDM with seeding.

Baselines are written from general knowledge; what they leave open is our default.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from graphforget.active.ldm import PATIENCE, least_disagree, seeded_choice
from graphforget.active.seen import Seen
from graphforget.errors import InputError, unknown

SAMPLE = 2000  # elements that disagreement is measured on


@dataclass(frozen=True, eq=False)
class Ask:
    """What a strategy is asked.

    Args:
        pool: to choose from.
        count: how many.
        seed: of what is random.
        labelled: features [m, d] of what is known already, or None.
        sample: elements to measure disagreement on; None takes the pool's own.
    """

    pool: Seen
    count: int
    seed: int
    labelled: Tensor | None = None
    sample: Seen | None = None


def choose(
    strategy: str,
    pool: Seen,
    count: int,
    *,
    seed: int = 0,
    labelled: Tensor | None = None,
    sample: Seen | None = None,
) -> Tensor:
    """Choose elements of a pool: [count] ids, each once.

    Args:
        strategy: a key of :data:`STRATEGIES`.
        pool: to choose from.
        count: at most the pool's size.
        seed: of what is random.
        labelled: features [m, d] of what is known already; coreset stays away from them.
        sample: elements to measure disagreement on; None takes up to 2,000 of the pool.

    Raises:
        InputError: an unknown strategy, or more than there is.

    Example:
        >>> pool = Seen(torch.tensor([[2.0], [0.1], [-3.0]]), torch.tensor([[1.0], [-1.0]]), None, torch.arange(3))
        >>> choose("margin", pool, 1).tolist()
        [1]
    """
    if strategy not in STRATEGIES:
        raise unknown("strategy", strategy, STRATEGIES)
    if not 1 <= count <= pool.size:
        raise InputError(f"count must lie in [1, {pool.size}], the pool (got {count})")
    places = STRATEGIES[strategy](Ask(pool, count, seed, labelled, sample))
    return pool.ids[places]


def _random(ask: Ask) -> Tensor:
    return torch.randperm(ask.pool.size, generator=torch.Generator().manual_seed(ask.seed))[: ask.count]


def _entropy(ask: Ask) -> Tensor:
    log_p = ask.pool.logits.log_softmax(1)
    return (log_p.exp() * log_p).sum(1).argsort(stable=True)[: ask.count]


def _margin(ask: Ask) -> Tensor:
    best = ask.pool.logits.softmax(1).topk(2, dim=1).values
    return (best[:, 0] - best[:, 1]).argsort(stable=True)[: ask.count]


def _coreset(ask: Ask) -> Tensor:
    x = ask.pool.features
    chosen: list[int] = []
    if ask.labelled is not None and len(ask.labelled):
        distance = torch.cdist(x, ask.labelled.to(x)).amin(1)
    else:
        chosen = [int(_random(ask)[0])]
        distance = (x - x[chosen[0]]).norm(dim=1)
    while len(chosen) < ask.count:
        distance[chosen] = -1
        chosen.append(int(distance.argmax()))
        distance = torch.minimum(distance, (x - x[chosen[-1]]).norm(dim=1))
    return torch.tensor(chosen)


def _badge(ask: Ask) -> Tensor:
    """Embeddings (p - onehot) x z; |g_i - g_j|^2 = |a_i|^2 |z_i|^2 + |a_j|^2 |z_j|^2 - 2 <a_i, a_j> <z_i, z_j>."""
    z, p = ask.pool.features, ask.pool.logits.softmax(1)
    a = p - torch.nn.functional.one_hot(p.argmax(1), p.shape[1])
    square = (a**2).sum(1) * (z**2).sum(1)
    rng = torch.Generator().manual_seed(ask.seed)
    chosen = [int(square.argmax())]
    distance = torch.full_like(square, torch.inf)
    while len(chosen) < ask.count:
        last = chosen[-1]
        apart = square + square[last] - 2 * (a @ a[last]) * (z @ z[last])
        distance = torch.minimum(distance, apart.clamp(min=0))
        distance[chosen] = 0
        if not bool(distance.sum() > 0):
            rest = torch.ones(len(square), dtype=torch.bool)
            rest[chosen] = False
            return torch.tensor(chosen + rest.nonzero().flatten()[: ask.count - len(chosen)].tolist())
        chosen.append(int(torch.multinomial(distance / distance.sum(), 1, generator=rng)))
    return torch.tensor(chosen)


def _disagreement(ask: Ask) -> Tensor:
    sample = ask.sample
    if sample is None:
        order = torch.randperm(ask.pool.size, generator=torch.Generator().manual_seed(ask.seed))
        sample = ask.pool.take(order[:SAMPLE])
    return least_disagree(ask.pool, sample, patience=PATIENCE, seed=ask.seed).ldm


def _ldm(ask: Ask) -> Tensor:
    return _disagreement(ask).argsort(stable=True)[: ask.count]


def _ldm_s(ask: Ask) -> Tensor:
    return seeded_choice(_disagreement(ask), ask.pool.features, ask.count, seed=ask.seed)


STRATEGIES: dict[str, Callable[[Ask], Tensor]] = {
    "random": _random,
    "entropy": _entropy,
    "margin": _margin,
    "coreset": _coreset,
    "badge": _badge,
    "ldm": _ldm,
    "ldm_s": _ldm_s,
}
