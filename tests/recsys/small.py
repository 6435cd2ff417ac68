"""Small recommender data with known answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch

from graphforget.checkpoint import checkpoints
from graphforget.graph import Graph
from graphforget.train import descend


def checkerboard(users: int, items: int) -> Graph:
    """Even users like even items and odd users odd ones, every such pair an interaction."""
    pairs = [(u, i) for u in range(users) for i in range(items) if u % 2 == i % 2]
    return Graph(torch.tensor(pairs).T.contiguous(), (users, items), bipartite=True)


class Broken(Exception):
    """What a run is stopped by."""


def after_a_crash(run: Callable[[], object], module: ModuleType, epoch: int, folder: Path) -> object:
    """What a run gives that was stopped in an epoch of the module's ``descend``, and went on from its checkpoint."""

    def breaks(model, steps, **settings):
        def until(now):
            if now == epoch:
                raise Broken
            return steps(now)

        return descend(model, until, **settings)

    with pytest.MonkeyPatch.context() as patch, checkpoints(folder, every=1):
        patch.setattr(module, "descend", breaks)
        with pytest.raises(Broken):
            run()
    with checkpoints(folder, every=1):
        return run()
