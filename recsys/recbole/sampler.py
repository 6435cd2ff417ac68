"""RecBole's negative sampler on the kernel: what ``recbole.sampler.Sampler`` draws, without its Python loop.

    sampler = KernelSampler(["train", "valid", "test"], [train, valid, test])
    loader = get_dataloader(config, "train")(config, train, sampler.set_phase("train"), shuffle=True)

Rows are the users of the data sets, so a sampler that is built on the retained data knows nothing of the forgotten.
Deviations from RecBole: draws follow from ``seed`` and the number of the call, numpy's global state is not touched; and
popularity counts the interactions up to the phase, where RecBole also counts those of later phases.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphforget.errors import InputError, unknown
from graphforget.kernels import csr
from graphforget.kernels.bpr import Negatives
from graphforget.kernels.rng import derive

DISTRIBUTIONS = ("uniform", "popularity")


class KernelSampler:
    """Draw items that a user has not in a phase or before it; item 0, RecBole's padding, is never drawn.

    Args:
        phases: names, in the order of time.
        datasets: RecBole's data set of each.
        distribution: ``uniform``, or ``popularity`` for draws in proportion to the counts to the power ``alpha``.
        alpha: exponent.
        seed: an integer in [0, 2**64).

    Raises:
        InputError: as many phases as data sets are needed, or an unknown distribution.
    """

    def __init__(
        self,
        phases: str | Sequence[str],
        datasets: Any,
        distribution: str = "uniform",
        alpha: float = 1.0,
        seed: int = 0,
    ) -> None:
        self.phases = [phases] if isinstance(phases, str) else list(phases)
        self.datasets = list(datasets) if isinstance(datasets, list | tuple) else [datasets]
        if len(self.phases) != len(self.datasets):
            raise InputError(f"each phase needs a data set (got {len(self.phases)} and {len(self.datasets)})")
        first = self.datasets[0]
        self.uid_field, self.iid_field = first.uid_field, first.iid_field
        self.user_num, self.item_num = int(first.user_num), int(first.item_num)
        self.alpha, self.seed, self.calls = alpha, seed, 0
        self.phase: str | None = None
        self.set_distribution(distribution)

    def set_distribution(self, distribution: str) -> None:
        """Choose how items are drawn."""
        if distribution not in DISTRIBUTIONS:
            raise unknown("distribution", distribution, DISTRIBUTIONS)
        self.distribution = distribution
        if self.phase is not None:
            self._build()

    def set_phase(self, phase: str) -> KernelSampler:
        """Return the sampler of a phase.

        Raises:
            InputError: an unknown phase, or rows that cannot be read.
        """
        if phase not in self.phases:
            raise unknown("phase", phase, self.phases)
        one = copy.copy(self)
        one.phase, one.calls = phase, 0
        one._build()
        return one

    def _build(self) -> None:
        parts = self.datasets[: self.phases.index(str(self.phase)) + 1]
        users, items = (
            np.concatenate([part.inter_feat[field].numpy() for part in parts])
            for field in (self.uid_field, self.iid_field)
        )
        weights = None
        if self.distribution == "popularity":
            counts = np.bincount(items, minlength=self.item_num)[1:].astype(np.float64)
            weights = np.where(counts > 0, counts**self.alpha, 0.0)
        try:
            indptr, indices, _ = csr.from_coo(users, items - 1, self.user_num, self.item_num - 1)
            self._negatives = Negatives(indptr, indices, self.item_num - 1, weights)
        except ValueError as error:
            raise InputError(f"the interactions cannot be sampled from: {error}") from error

    @property
    def used_ids(self) -> Any:
        """[users] the set of items that each user has in the phase or before; RecBole's evaluation hides them."""
        if self.phase is None:
            return {phase: self.set_phase(phase).used_ids for phase in self.phases}
        found = np.empty(self.user_num, dtype=object)
        rows = np.split(self._negatives.indices + 1, self._negatives.indptr[1:-1])
        found[:] = [set(row.tolist()) for row in rows]
        return found

    def sample_by_user_ids(self, user_ids: Any, item_ids: Any, num: int) -> Tensor:
        """Draw for each user ``num`` items.

        Args:
            user_ids: [n] RecBole's ids.
            item_ids: not read, as in RecBole.
            num: how many.

        Returns:
            [n * num] items; those of user i are at i, i + n, i + 2 n, ...

        Raises:
            InputError: no phase is set, a user is out of range or has every item.
        """
        if self.phase is None:
            raise InputError("the sampler has no phase; take the one that set_phase returns")
        try:
            drawn = self._negatives.draw(np.tile(np.asarray(user_ids), num), derive(self.seed, self.calls))
        except ValueError as error:
            raise InputError(str(error)) from error
        self.calls += 1
        return torch.from_numpy(drawn + 1)
