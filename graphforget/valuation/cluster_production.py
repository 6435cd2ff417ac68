r"""Cluster values handed down to members: K + 1 trainings instead of thousands: EcoVal-style, our design.

What can be read of EcoVal (arXiv:2402.09288) is its outline: leave-cluster-out values, handed down to the members
through a production function with an intrinsic and an extrinsic part. Its production function, its intrinsic and
extrinsic values, its clusters and its tables could not be confirmed: nothing here is that paper's, and no figure here
may be quoted as its own.

Symbols: clusters C_1 .. C_K by KMeans within each class, N_k = |C_k|, q_i in [0, 1] the intrinsic score of a member.

    LCO_k = u(D) - u(D \ C_k)                                                    K + 1 trainings            (1)
    q_i   = (1 - distance to the centroid / largest in C_k) * share of the nearest rows with i's label       (2)
    v_i   = LCO_k q_i / sum of q over C_k               where LCO_k >= 0                                    (3)
    v_i   = LCO_k (1 - q_i) / sum of (1 - q) over C_k   where LCO_k < 0: what is typical of a harmful
                                                        cluster is not what makes it harmful                (4)
    U     = A prod_k N_k^(a_k)                          an *assumption*, asked for by ``production``        (5)
    dU/dN_k = a_k U / N_k                               the extrinsic value of a member of C_k              (6)

sum_i v_i = sum_k LCO_k, exactly. a_k is read off one further training a cluster, without half of it: emptying a cluster
is outside the model (log 0). Where all q (or 1 - q) of a cluster are 0 its members share alike. With ``intrinsic=
"regressor"`` q comes from a forest that was fitted to the TMC-Shapley values of ``sampled`` players among themselves.
LCO is not Shapley: two clusters that say the same are both worth about nothing.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from graphforget.errors import InputError, unknown
from graphforget.valuation.shapley import tmc_shapley
from graphforget.valuation.space import IntArray, Space
from graphforget.valuation.utility import FloatArray, Utility, Values

INTRINSIC = ("centroid", "regressor")


@dataclass(frozen=True, eq=False, kw_only=True)
class ClusterValues(Values):
    """Values, and what they were made of.

    Args:
        cluster: [n] of each player.
        lco: [K] leave-cluster-out values, means over the seeds.
        spread: [K] their standard deviation over the seeds; NaN of one seed.
        intrinsic: [n] q.
        whole: u(D).
        elasticity: [K] a_k of (5), None unless asked for.
        extrinsic: [K] value of one more member, (6); likewise.
    """

    cluster: IntArray
    lco: FloatArray
    spread: FloatArray
    intrinsic: FloatArray
    whole: float
    elasticity: FloatArray | None = None
    extrinsic: FloatArray | None = None
    _space: Any = None

    def predict(self, x: npt.ArrayLike, y: npt.ArrayLike | None = None) -> FloatArray:
        """Value players that were not there: each as if it alone joined its nearest cluster (of its class).

        Args:
            x: [m, F].
            y: [m] labels, where the players had some.

        Raises:
            InputError: labels missing, or of a class without a cluster.
        """
        space: Space = self._space
        points = np.asarray(x, dtype=np.float64)
        label = None if y is None else np.asarray(y, dtype=np.int64)
        if (label is None) != (space.y is None):
            raise InputError("labels are needed here exactly where the values were made with labels")
        cluster = space.nearest(points, label)
        q = space.intrinsic(points, label, cluster, new=True)
        share = np.where(self.lco[cluster] < 0, 1 - q, q)
        own = np.where(self.lco[self.cluster] < 0, 1 - self.intrinsic, self.intrinsic)
        total = np.bincount(self.cluster, weights=own, minlength=len(self.lco))[cluster] + share
        even = 1 / (np.bincount(self.cluster, minlength=len(self.lco))[cluster] + 1)
        part = np.where(total > 0, share / np.where(total > 0, total, 1), even)
        return np.asarray(self.lco[cluster] * part)

    def cost(self, gone: npt.NDArray[np.bool_]) -> float:
        """What u is expected to fall by without some players [n] bool: the sum of their values, or by (5)."""
        if self.elasticity is None:
            return float(self.values[gone].sum())
        size = np.bincount(self.cluster, minlength=len(self.lco))
        left = size - np.bincount(self.cluster[gone], minlength=len(self.lco))
        ratio = np.maximum(left, 0.5) / size  # the last member counts as half: (5) has no empty cluster
        return float(self.whole * (1 - np.prod(ratio**self.elasticity)))


@dataclass(frozen=True)
class ClusterProductionValuation:
    """EcoVal-style values: reconstruction, our design; see the module.

    Args:
        clusters: K; None is the root of the number of players. Each class has at least one.
        intrinsic: ``centroid``, (2), or ``regressor``.
        neighbours: rows that (2) looks at.
        sampled: players whose Shapley values the regressor is fitted to.
        permutations: orders of that estimate.
        production: also train without half of each cluster, for (5) and (6).
        restarts: of KMeans.
        seeds: trainings of each coalition; the spread over them is reported beside each LCO.
        seed: of the clusters and of what is sampled.

    Raises:
        InputError: more clusters than players, or a setting below 1.

    Example:
        >>> u = Utility(4, lambda members, seed: float(members[:2].any()))
        >>> found = ClusterProductionValuation(clusters=2).value(u, [[0.0], [0.1], [5.0], [5.1]])
        >>> found.values.tolist(), found.lco.sum().item(), found.trainings
        ([0.5, 0.5, 0.0, 0.0], 1.0, 3)
    """

    clusters: int | None = None
    intrinsic: str = "centroid"
    neighbours: int = 5
    sampled: int = 100
    permutations: int = 20
    production: bool = False
    restarts: int = 10
    seeds: tuple[int, ...] = (0,)
    seed: int = 0

    reference: ClassVar[str] = "EcoVal-style (arXiv:2402.09288), reconstruction, our design"

    def __post_init__(self) -> None:
        if self.intrinsic not in INTRINSIC:
            raise unknown("intrinsic score", self.intrinsic, INTRINSIC)
        for name in ("neighbours", "sampled", "permutations", "restarts"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1 (got {getattr(self, name)})")
        if not self.seeds:
            raise InputError("seeds must name at least one training of each coalition (got none)")

    def value(self, utility: Utility, x: npt.ArrayLike, y: npt.ArrayLike | None = None) -> ClusterValues:
        """Value the players of a game that lie near each other alike.

        Args:
            utility: of the game.
            x: [n, F] where the players lie: features, embeddings, profiles.
            y: [n] labels, or None (edges, users): then clusters are over all, and (2) has no second factor.

        Raises:
            InputError: lengths that differ, or NaN.
        """
        before, space = utility.spent(), self._space(x, y, utility.players)
        trained, whole = [], []
        for seed in self.seeds:
            full = utility(utility.everyone, seed)
            whole.append(full)
            trained.append([full - utility(space.cluster != each, seed) for each in range(space.count)])
        spread = np.std(trained, axis=0, ddof=1) if len(trained) > 1 else np.full(space.count, np.nan)
        if self.intrinsic == "regressor":
            space.regressor = self._regressor(utility, space)
        made = _made(space, np.mean(trained, axis=0), spread, float(np.mean(whole)))
        if self.production:
            elasticity, extrinsic = self._production(utility, space, made.whole)
            made = replace(made, elasticity=elasticity, extrinsic=extrinsic)
        return replace(made, trainings=utility.trainings - before[0], seconds=time.perf_counter() - before[1])

    def restored(self, x: npt.ArrayLike, lco: npt.ArrayLike, whole: float) -> ClusterValues:
        """Hand down leave-cluster-out values that were kept: the same rows and settings give the same clusters.

        Args:
            x: [n, F] as they were valued, without labels and without a regressor.
            lco: [K] kept.
            whole: u(D).

        Raises:
            InputError: another number of clusters.
        """
        kept = np.asarray(lco, dtype=np.float64)
        space = self._space(x, None, len(np.asarray(x)))
        if kept.shape != (space.count,):
            raise InputError(f"lco must have a value a cluster, [{space.count}] (got {list(kept.shape)})")
        return _made(space, kept, np.full(space.count, np.nan), whole)

    def _space(self, x: npt.ArrayLike, y: npt.ArrayLike | None, players: int) -> Space:
        """Check the rows and cluster them."""
        points = np.asarray(x, dtype=np.float64)
        label = None if y is None else np.asarray(y, dtype=np.int64)
        if points.ndim != 2 or len(points) != players:
            raise InputError(f"x must have a row a player, [{players}, F] (got {list(points.shape)})")
        if label is not None and label.shape != (len(points),):
            raise InputError(f"y must have a label a player (got {list(label.shape)} of {len(points)})")
        if not np.isfinite(points).all():
            raise InputError("x holds NaN or infinity; remove or fill such rows")
        k = self.clusters if self.clusters is not None else max(1, round(len(points) ** 0.5))
        if not 1 <= k <= len(points):
            raise InputError(f"clusters must lie in [1, {len(points)}], the players (got {k})")
        return Space.of(points, label, k, neighbours=self.neighbours, restarts=self.restarts, seed=self.seed)

    def _production(self, utility: Utility, space: Space, whole: float) -> tuple[FloatArray, FloatArray]:
        """(5) and (6), from a training without half of each cluster."""
        if whole <= 0:
            raise InputError(f"a production function needs a utility above 0 (got u(D) = {whole}); use accuracy")
        rng, found = np.random.default_rng(self.seed), np.zeros(space.count)
        size = np.bincount(space.cluster)
        for k in range(space.count):
            gone = rng.permutation(np.flatnonzero(space.cluster == k))[: size[k] // 2]
            if len(gone):
                members = np.ones(len(space.cluster), dtype=bool)
                members[gone] = False
                reached = max(utility(members, self.seeds[0]), 1e-12)
                found[k] = np.log(reached / whole) / np.log((size[k] - len(gone)) / size[k])
        return found, found * whole / size

    def _regressor(self, utility: Utility, space: Space) -> Any:
        """A forest fitted to the TMC-Shapley values of sampled players in their own game, scaled to [0, 1]."""
        from sklearn.ensemble import RandomForestRegressor

        rng = np.random.default_rng(self.seed)
        some = np.sort(rng.permutation(len(space.x))[: self.sampled])

        def among(members: npt.NDArray[np.bool_], seed: int) -> float:
            inside = np.zeros(len(space.x), dtype=bool)
            inside[some[members]] = True
            return utility(inside, seed)

        game = Utility(len(some), among)
        values = tmc_shapley(game, permutations=self.permutations, seed=self.seeds[0]).values
        low, high = values.min(), values.max()
        target = (values - low) / (high - low) if high > low else np.full(len(values), 0.5)
        label = None if space.y is None else space.y[some]
        inputs = space.inputs(space.x[some], label, space.cluster[some], new=False)
        return RandomForestRegressor(n_estimators=100, random_state=self.seed).fit(inputs, target)


def _made(space: Space, lco: FloatArray, spread: FloatArray, whole: float) -> ClusterValues:
    q = space.intrinsic(space.x, space.y, space.cluster, new=False)
    return ClusterValues(
        values=_handed_down(lco, space.cluster, q),
        method="cluster_production",
        trainings=0,
        seconds=0.0,
        cluster=space.cluster,
        lco=lco,
        spread=spread,
        intrinsic=q,
        whole=whole,
        _space=space,
    )


def _handed_down(lco: FloatArray, cluster: IntArray, q: FloatArray) -> FloatArray:
    """(3) and (4)."""
    share = np.where(lco[cluster] < 0, 1 - q, q)
    total = np.bincount(cluster, weights=share, minlength=len(lco))
    size = np.bincount(cluster, minlength=len(lco))
    part = np.where(total[cluster] > 0, share / np.where(total > 0, total, 1)[cluster], 1 / size[cluster])
    return np.asarray(lco[cluster] * part)
