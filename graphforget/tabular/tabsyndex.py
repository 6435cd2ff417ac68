r"""TabSynDex: one number between 0 and 1 for how near a synthetic table is to a real one (arXiv:2207.05295).

Symbols: R real, F synthetic, d columns, e(a, b) = clip(|a - b| / |a + 1e-6|, 0, 1). Each component is at least 0.

    basic = 1 - 1/(3d) sum_j sum over mean, std, median s of e(s_j(R), s_j(F))                              (1)
    corr  = 1 - 1/(d^2 - d) sum_ij e(l_ij(R), l_ij(F)),  l = sign(c) ln|c|, c the associations              (2)
    ml    = 1 - 1/8 sum over 4 estimators and tables {R, F} of e(m_real, m_fake): the score on that table of
            the estimator trained on R and on F                                                             (3)
    pmse  = 1.2^(-|1 - pMSE / pMSE0|), pMSE = mean (p - c)^2, p of a logistic regression of R against F,
            c = |F| / N, pMSE0 = (k - 1) (1 - c)^2 c / N, k = d + 1                                         (4)
    sup   = mean over columns of min(1, mean over the real's non-empty bins of min(2, n_F / n_R |R| / |F|)) (5)
    score = their mean

``compat=True`` does what the released code does (vikram2000b/tabsyndex@bfad9c7), with its faults: a categorical target
is one-hot encoded and its *last level* alone is predicted; an undefined association makes corr 0; a category that F
lacks is an error; what of F lies outside R's range is dropped in silence. ``compat=False``, our default, predicts the
target itself, leaves undefined associations out and counts them, counts a missing category as 0 and an unknown one as
"other", and says what lies outside.

Two identical tables score 0.9667, not 1 (pMSE is 0 then), and copying the real rows is rewarded: read the score beside
that of two real halves (:func:`ceiling`) and beside the distance to the closest record (``tabular.privacy``).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from graphforget.errors import InputError, unknown
from graphforget.tabular.associations import associations
from graphforget.tabular.efficacy import efficacy
from graphforget.tabular.table import FloatArray, Table, same_columns

BINS = 20
COMPONENTS = ("basic", "corr", "ml", "sup", "pmse")


@dataclass(frozen=True)
class TabSynDex:
    """The score and what it is made of.

    Args:
        score: mean of the five.
        basic: (1).
        corr: (2).
        ml: (3).
        sup: (5).
        pmse: (4).
        ratio: pMSE / pMSE0.
        undefined: pairs of columns whose association is not defined in one of the tables, left out of corr.
        outside: share of F's numbers outside R's range.
        unseen: share of F's categories that R does not have.
    """

    score: float
    basic: float
    corr: float
    ml: float
    sup: float
    pmse: float
    ratio: float
    undefined: int
    outside: float
    unseen: float


class Ceiling(NamedTuple):
    """What two halves of the real table score.

    Args:
        mean: over the splits.
        std: over the splits.
        each: one a split.
    """

    mean: float
    std: float
    each: tuple[TabSynDex, ...]


def tabsyndex(real: Table, fake: Table, *, compat: bool = False) -> TabSynDex:
    """Score a synthetic table.

    Args:
        real: R.
        fake: F, with the same columns.
        compat: as released, faults included.

    Raises:
        InputError: other columns; a constant column in R, about which nothing can be learned (``compat=False``); with
            ``compat=True`` a category that F lacks (also a KeyError, as released).

    Example:
        >>> from graphforget.tabular.data import load_table
        >>> table = load_table("iris")
        >>> round(tabsyndex(table, table).score, 4)
        0.9667
    """
    same_columns(real, fake)
    if not compat and (constant := real.constant()):
        raise InputError(
            f"the real table's column {constant[0]!r} is constant (got {real.column(constant[0])[0]:g} in all"
            f" {real.size} rows): it says nothing of a generator; leave it out of both tables"
        )
    ml = efficacy(real, fake, compat=compat)
    corr, undefined = _corr(real, fake, compat)
    sup = _support(real, fake, compat)
    pmse, ratio = _pmse(real, fake)
    basic = _basic(real.values, fake.values)
    outside, unseen = _beyond(real, fake)
    score = (basic + corr + ml + sup + pmse) / 5
    return TabSynDex(score, basic, corr, ml, sup, pmse, ratio, undefined, outside, unseen)


def ceiling(real: Table, *, splits: int = 5, compat: bool = False, seed: int = 0) -> Ceiling:
    """Score one half of the real table against the other: what a perfect generator would get.

    Args:
        real: the whole table.
        splits: random halvings.
        compat: see :func:`tabsyndex`.
        seed: of the first halving; the others follow.
    """
    if splits < 1:
        raise InputError(f"splits must be at least 1 (got {splits})")
    each = tuple(tabsyndex(*real.halves(seed + k), compat=compat) for k in range(splits))
    scores = [one.score for one in each]
    return Ceiling(float(np.mean(scores)), float(np.std(scores, ddof=1)) if splits > 1 else float("nan"), each)


def error(a: FloatArray, b: FloatArray) -> FloatArray:
    """E(a, b): the relative difference, at most 1."""
    return np.asarray((np.abs(a - b) / np.abs(a + 1e-6)).clip(0, 1))


def _basic(real: FloatArray, fake: FloatArray) -> float:
    """(1)."""
    pairs = [(each(real, axis=0), each(fake, axis=0)) for each in (np.mean, np.std, np.median)]
    return 1 - float(np.mean([error(a, b) for a, b in pairs]))


def _corr(real: Table, fake: Table, compat: bool) -> tuple[float, int]:
    """(2), and how many pairs of columns are not defined."""
    with np.errstate(divide="ignore", invalid="ignore"):
        own, other = (np.sign(c) * np.log(np.abs(c)) for c in (associations(real), associations(fake)))
    apart = error(own, other)
    d = len(real.names)
    off = ~np.eye(d, dtype=bool)
    undefined = int((~np.isfinite(apart) & off).sum())
    if compat:
        total = float(apart.sum())
        return (1 - total / (d**2 - d) if np.isfinite(total) else 0.0), undefined
    kept = apart[off & np.isfinite(apart)]
    return (1 - float(kept.mean()) if len(kept) else 0.0), undefined


def _pmse(real: Table, fake: Table) -> tuple[float, float]:
    """(4), and the ratio in it."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import MinMaxScaler

    scaler = MinMaxScaler().fit(real.values)
    x = np.concatenate([scaler.transform(real.values), scaler.transform(fake.values)])
    y = np.r_[np.zeros(real.size), np.ones(fake.size)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a table that is far away: the fit need not end
        p = LogisticRegression(max_iter=5000, random_state=42).fit(x, y).predict_proba(x)[:, 1]
    n, c, k = len(y), fake.size / len(y), x.shape[1] + 1
    ratio = float(((p - c) ** 2).mean() / ((k - 1) * (1 - c) ** 2 * c / n))
    return 1.2 ** -abs(1 - ratio), ratio


def _support(real: Table, fake: Table, compat: bool) -> float:
    """(5)."""
    found, scale = [], real.size / fake.size
    for name, own, other in zip(real.names, real.values.T, fake.values.T, strict=True):
        if name in real.categorical:
            kinds, n_real = np.unique(own, return_counts=True)
            n_fake = (other[:, None] == kinds[None]).sum(0)
            if compat and not n_fake.all():
                level = kinds[n_fake == 0][0]
                raise unknown(f"category in the synthetic column {name!r}", level, map(str, np.unique(other)))
        else:
            edges = _edges(own)
            n_real, n_fake = (np.bincount(_bin(values, edges), minlength=BINS + 2)[1:-1] for values in (own, other))
            n_real, n_fake = n_real[n_real > 0], n_fake[n_real > 0]
        found.append(min(1.0, float(np.minimum(n_fake / n_real * scale, 2).mean())))
    return float(np.mean(found))


def _edges(values: FloatArray) -> FloatArray:
    """[21] the edges of 20 equal bins, as pandas cuts: open on the left, the first a thousandth of the range wider."""
    low, high = float(values.min()), float(values.max())
    if low == high:
        pad = 0.001 * abs(low) if low else 0.001
        return np.linspace(low - pad, high + pad, BINS + 1)
    edges = np.linspace(low, high, BINS + 1)
    edges[0] -= (high - low) * 0.001
    return edges


def _bin(values: FloatArray, edges: FloatArray) -> np.typing.NDArray[np.int64]:
    """[n] 1 to 20; 0 and 21 are outside."""
    return np.searchsorted(edges, values, side="left")


def _beyond(real: Table, fake: Table) -> tuple[float, float]:
    """Share of F's numbers outside R's range, and of its categories that R does not have."""
    nominal = real.is_categorical
    low, high = real.values.min(0), real.values.max(0)
    out = ((fake.values < low) | (fake.values > high))[:, ~nominal]
    new = [~np.isin(fake.values[:, j], real.values[:, j]) for j in np.flatnonzero(nominal)]
    return float(out.mean()) if out.size else 0.0, float(np.mean(new)) if new else 0.0
