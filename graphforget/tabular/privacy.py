"""What TabSynDex lacks: do synthetic rows repeat real ones. Distances to the closest record (DCR).

Numbers are scaled by the real tables' range; two categories are 1 apart. Where half of the synthetic rows lie nearer to
the training rows than to as many held-out ones nothing is copied; where all do, they are copies. Our design.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from graphforget.errors import InputError
from graphforget.tabular.table import FloatArray, Table, levels_of, one_hot, same_columns


class Closeness(NamedTuple):
    """How near synthetic rows lie to rows that were, and were not, learned from.

    Args:
        to_train: median distance to the closest training row.
        to_held_out: median distance to the closest held-out row.
        share_nearer: share of the synthetic rows that lie nearer to train; ties count half.
        copies: share that are a training row exactly.
    """

    to_train: float
    to_held_out: float
    share_nearer: float
    copies: float


def closest(fake: Table, real: Table) -> FloatArray:
    """[n] distance of each synthetic row to its closest real row.

    Example:
        >>> from graphforget.tabular.data import load_table
        >>> table = load_table("iris")
        >>> closest(table, table).max().item()
        0.0
    """
    return _closest(fake, real, real)


def closeness(fake: Table, train: Table, held_out: Table) -> Closeness:
    """Compare the distances to what was learned from with those to as many rows that were not.

    Args:
        fake: synthetic rows.
        train: what the generator saw.
        held_out: as many rows of the same population that it did not see.

    Raises:
        InputError: other columns, or sizes that differ: the larger table would be nearer by chance.
    """
    same_columns(train, held_out)
    if train.size != held_out.size:
        raise InputError(f"train and held_out must be of equal size (got {train.size} and {held_out.size}); cut one")
    both = train.joined(held_out)
    near, far = _closest(fake, train, both), _closest(fake, held_out, both)
    share = float(((near < far) + 0.5 * (near == far)).mean())
    return Closeness(float(np.median(near)), float(np.median(far)), share, float((near == 0).mean()))


def _closest(fake: Table, real: Table, scale: Table) -> FloatArray:
    """Distances in which numbers are scaled by a third table."""
    from sklearn.neighbors import NearestNeighbors

    same_columns(fake, real)
    levels = levels_of(scale)
    a, b = (_points(table, levels) for table in (fake, real))
    found = NearestNeighbors(n_neighbors=1).fit(b).kneighbors(a)[0]
    return np.asarray(found[:, 0], dtype=np.float64)


def _points(table: Table, levels: dict[str, FloatArray]) -> FloatArray:
    """One-hot categories over the root of 2: two that differ are 1 apart; one that is unknown, 0.7 from all."""
    width = [len(levels[name]) if name in table.categorical else 1 for name in table.names]
    weight = np.repeat([0.5**0.5 if name in table.categorical else 1.0 for name in table.names], width)
    return np.asarray(one_hot(table, levels) * weight)
