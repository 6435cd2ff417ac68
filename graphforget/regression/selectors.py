"""Choose what a regression benchmark forgets: random rows, or a whole range of targets.

Where a range goes, the validation rows of that range go as well: nobody who must forget the range may stop or tune by
it. Test rows stay. Draws never touch global random state.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from graphforget.errors import InputError, unknown
from graphforget.forget import ForgetRequest
from graphforget.samples import Samples
from graphforget.splits import Splits

POOLS = ("random", "low", "high", "under2")
LIMIT = 2.0  # of the pool under2: STS-B's forget set in the paper


def draw(
    splits: Splits[Samples],
    pool: str = "random",
    *,
    ratio: float | None = None,
    count: int | None = None,
    seed: int = 0,
) -> tuple[Splits[Samples], ForgetRequest]:
    """Return the splits (without the validation rows of a range that goes) and the request.

    Args:
        splits: of a regression; targets of several columns are ranked by their mean.
        pool: ``random`` rows; ``low`` or ``high``: those with the lowest or highest targets; ``under2``: all below 2.
        ratio: per cent of the training rows, rounded down; or
        count: number of them. Both are ignored by ``under2``, whose range decides.
        seed: of the draw of random rows.

    Raises:
        InputError: an unknown pool, not exactly one of ratio and count, or too few rows.

    Example:
        >>> data = Samples(torch.zeros(10, 1), torch.arange(10.0)[:, None])
        >>> parts, request = draw(Splits(data, data, data), "low", ratio=30)
        >>> request.parts["sample"].tolist(), parts.val.rows().tolist()
        ([0, 1, 2], [3, 4, 5, 6, 7, 8, 9])
    """
    if pool not in POOLS:
        raise unknown("pool", pool, POOLS)
    rows = splits.train.rows()
    level = splits.train.y.cpu().mean(1)
    if pool == "under2":
        chosen = rows[level[rows] < LIMIT]
        if not len(chosen):
            raise InputError(f"no training row has a target below {LIMIT:g}; take the pool low")
        return _without(splits, level < LIMIT), ForgetRequest.of("sample", chosen)
    wanted = _wanted(len(rows), ratio, count)
    if pool == "random":
        order = torch.from_numpy(np.random.default_rng(seed).permutation(len(rows)))
        return splits, ForgetRequest.of("sample", rows[order[:wanted]].sort().values)
    order = level[rows].argsort(stable=True, descending=pool == "high")
    chosen, edge = rows[order[:wanted]], level[rows[order[wanted - 1]]]
    return _without(splits, level >= edge if pool == "high" else level <= edge), ForgetRequest.of(
        "sample", chosen.sort().values
    )


def _without(splits: Splits[Samples], gone: Tensor) -> Splits[Samples]:
    kept = torch.zeros(len(splits.val.x), dtype=torch.bool, device=gone.device)
    kept[splits.val.rows()] = True
    kept &= ~gone
    if not bool(kept.any()):
        raise InputError("no validation row lies outside the range that goes; ask for a smaller one")
    return Splits(splits.train, replace(splits.val, mask=kept.to(splits.val.y.device)), splits.test)


def _wanted(total: int, ratio: float | None, count: int | None) -> int:
    if (ratio is None) == (count is None):
        raise InputError(f"give either a ratio in per cent or a count (got ratio={ratio}, count={count})")
    if ratio is not None and not 0 < ratio < 100:
        raise InputError(f"ratio is in per cent and must lie in (0, 100) (got {ratio})")
    wanted = int(ratio * total / 100 + 1e-9) if ratio is not None else int(count or 0)
    if not 1 <= wanted < total:
        raise InputError(f"the request must leave rows and take some (got {wanted} of {total:,} training rows)")
    return wanted
