"""Synthetic rows in the place of deleted ones, and whether a generator still knows the deleted.

A user who asks for deletion leaves a hole; rows that a generator draws can stand in for it, where the generator was
fitted on what is retained. Three are compared, as everywhere here: the *original* generator that saw everything, *gold*
that saw the retained rows alone, and another gold as the floor. Figures of each:

* the score of its rows against the real ones (TabSynDex), to be read beside the ceiling of two real halves;
* ``to_removed``: median distance of its rows to the closest removed row, against gold's;
* ``removed_nearer``: share of its rows that lie nearer to a removed row than to one of as many held-out rows: above
  gold's, it repeats what should be gone;
* ``share_nearer``: the same of what it was fitted on: copying as such.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from graphforget.errors import InputError
from graphforget.report import ORIGINAL, Report
from graphforget.tabular.generator import Generator, Sampler
from graphforget.tabular.privacy import closeness
from graphforget.tabular.table import Table
from graphforget.tabular.tabsyndex import COMPONENTS, tabsyndex

MANY = 2000  # rows whose distances are looked at: a share of few is noise


class Judged(NamedTuple):
    """What :func:`judge` returns.

    Args:
        report: role x part x metric; parts are ``forget`` (removed), ``retain`` and ``test`` (the real held-out rows).
        stand_in: gold's rows, as many as were removed.
    """

    report: Report
    stand_in: Table


def judge(
    generator: Generator, train: Table, removed: np.typing.NDArray[np.bool_], held_out: Table, *, name: str, seed: int
) -> Judged:
    """Fit a generator with and without the removed rows, and judge what each draws.

    Args:
        generator: settings.
        train: everything.
        removed: [n] bool, the rows to delete.
        held_out: other rows, at least as many as are removed and as are retained.
        name: of the generator, in the report.
        seed: of the original; golds have their own.

    Raises:
        InputError: nothing or everything is removed, or too few held-out rows.
    """
    gone = np.asarray(removed, dtype=bool)
    if gone.shape != (train.size,) or not gone.any() or gone.all():
        raise InputError(f"removed must name some of the {train.size} rows, not all (got {int(gone.sum())})")
    forget, retain = train.rows(gone), train.rows(~gone)
    if held_out.size < max(forget.size, 10):
        raise InputError(f"held_out must have at least {max(forget.size, 10)} rows (got {held_out.size})")
    fitted = {
        (ORIGINAL, ""): generator.fit(train, seed=seed),
        ("gold", "retrain"): generator.fit(retain, seed=seed + 100),
        ("gold_other_seed", "retrain"): generator.fit(retain, seed=seed + 101),
    }
    report = Report({"generator": name})
    for place, ((role, method), model) in enumerate(fitted.items()):
        report.add(role, method, _figures(model, forget, retain, held_out, seed + place))
    return Judged(report, fitted["gold", "retrain"].sample(forget.size, seed=seed))


def _figures(model: Sampler, forget: Table, retain: Table, held_out: Table, seed: int) -> dict[tuple[str, str], float]:
    rows = model.sample(max(MANY, retain.size), seed=seed)
    score = tabsyndex(held_out, rows.rows(np.arange(retain.size)))
    rng = np.random.default_rng(0)  # the same held-out rows for all
    some = rng.permutation(held_out.size)
    count = min(retain.size, held_out.size)
    kept = retain.rows(rng.permutation(retain.size)[:count])
    near = closeness(rows, forget, held_out.rows(some[: forget.size]))
    own = closeness(rows, kept, held_out.rows(some[:count]))
    found = {("test", "tabsyndex"): score.score, **{("test", each): getattr(score, each) for each in COMPONENTS}}
    return found | {
        ("forget", "to_removed"): near.to_train,
        ("forget", "removed_nearer"): near.share_nearer,
        ("forget", "removed_copies"): near.copies,
        ("retain", "share_nearer"): own.share_nearer,
        ("retain", "dcr"): own.to_train,
        ("retain", "copies"): own.copies,
    }
