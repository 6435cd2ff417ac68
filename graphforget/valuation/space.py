"""Where players lie and the clusters among them: the space behind values of clusters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from graphforget.errors import InputError
from graphforget.valuation.utility import FloatArray

IntArray = npt.NDArray[np.int64]
FIT_ON = 20_000  # rows that KMeans is fitted on; the others are assigned


@dataclass(eq=False)
class Space:
    """Where the players lie, and the clusters among them.

    Args:
        x: [n, F].
        y: [n] labels, or None.
        cluster: [n].
        centroid: [K, F].
        owner: [K] class of each cluster, or None.
        reach: [K] distance of the farthest member.
        neighbours: rows that the agreement of labels looks at.
        regressor: answers in the place of centroid and agreement, where there is one.
    """

    x: FloatArray
    y: IntArray | None
    cluster: IntArray
    centroid: FloatArray
    owner: IntArray | None
    reach: FloatArray
    neighbours: int
    regressor: Any = None

    @property
    def count(self) -> int:
        """K."""
        return len(self.centroid)

    @classmethod
    def of(cls, x: FloatArray, y: IntArray | None, k: int, *, neighbours: int, restarts: int, seed: int) -> Space:
        """Cluster within each class, in proportion to its size and at least once."""
        cluster, owner = np.zeros(len(x), dtype=np.int64), []
        centroids: list[FloatArray] = []
        for each in [None] if y is None else np.unique(y):
            own = np.arange(len(x)) if y is None else np.flatnonzero(y == each)
            count = max(1, round(k * len(own) / len(x)))
            found, centre = _kmeans(x[own], count, restarts, seed)
            cluster[own] = found + sum(len(earlier) for earlier in centroids)
            centroids.append(centre)
            owner += [each] * len(centre)
        centroid = np.concatenate(centroids)
        distance = np.linalg.norm(x - centroid[cluster], axis=1)
        reach = np.zeros(len(centroid))
        np.maximum.at(reach, cluster, distance)
        classes = None if y is None else np.asarray(owner, dtype=np.int64)
        return cls(x, y, cluster, centroid, classes, reach, neighbours)

    def nearest(self, x: FloatArray, y: IntArray | None) -> IntArray:
        """[m] the nearest cluster, of the same class where there are classes."""
        distance = np.linalg.norm(x[:, None] - self.centroid[None], axis=2)
        if y is not None and self.owner is not None:
            if not np.isin(y, self.owner).all():
                missing = y[~np.isin(y, self.owner)][0]
                raise InputError(f"no cluster holds the class {missing}; known: {np.unique(self.owner).tolist()}")
            distance[y[:, None] != self.owner[None]] = np.inf
        return np.asarray(distance.argmin(1), dtype=np.int64)

    def inputs(self, x: FloatArray, y: IntArray | None, cluster: IntArray, *, new: bool) -> FloatArray:
        """[m, F + 3] what the regressor reads: the row, its label, closeness and agreement."""
        label = np.zeros(len(x)) if y is None else y.astype(np.float64)
        return np.column_stack([x, label, self.central(x, cluster), self.agreement(x, y, new=new)])

    def intrinsic(self, x: FloatArray, y: IntArray | None, cluster: IntArray, *, new: bool) -> FloatArray:
        """[m] closeness to the centroid times agreement, or the regressor's answer."""
        if self.regressor is not None:
            said = self.regressor.predict(self.inputs(x, y, cluster, new=new))
            return np.asarray(said, dtype=np.float64).clip(0, 1)
        return self.central(x, cluster) * self.agreement(x, y, new=new)

    def central(self, x: FloatArray, cluster: IntArray) -> FloatArray:
        """[m] 1 at the centroid, 0 as far away as the farthest member."""
        distance, reach = np.linalg.norm(x - self.centroid[cluster], axis=1), self.reach[cluster]
        return np.asarray(1 - (distance / np.where(reach > 0, reach, 1)).clip(0, 1).round(9))  # ties stay ties

    def agreement(self, x: FloatArray, y: IntArray | None, *, new: bool) -> FloatArray:
        """[m] share of the nearest players, itself left out, that have its label; 1 without labels."""
        from sklearn.neighbors import NearestNeighbors

        if y is None or self.y is None or len(self.x) < 2:
            return np.ones(len(x))
        count = min(self.neighbours, len(self.x) - (not new))
        model = NearestNeighbors(n_neighbors=count).fit(self.x)
        near = model.kneighbors(x if new else None, return_distance=False)
        if not new and len(x) != len(self.x):
            near = NearestNeighbors(n_neighbors=min(count + 1, len(self.x))).fit(self.x).kneighbors(x)[1][:, 1:]
        return np.asarray((self.y[near] == y[:, None]).mean(1), dtype=np.float64)


def _kmeans(x: FloatArray, count: int, restarts: int, seed: int) -> tuple[IntArray, FloatArray]:
    """([n] cluster, [K, F] centroids); as many clusters as players is one a player, whatever lies on whatever."""
    from sklearn.cluster import KMeans

    if count >= len(x):
        return np.arange(len(x)), x.copy()
    rng = np.random.default_rng(seed)
    some = x if len(x) <= FIT_ON else x[rng.choice(len(x), FIT_ON, replace=False)]
    count = min(count, len(np.unique(some, axis=0)))
    model = KMeans(count, n_init=restarts, random_state=seed).fit(some)
    found = model.predict(x)
    kept, cluster = np.unique(found, return_inverse=True)  # none is empty
    return cluster.astype(np.int64), np.asarray(model.cluster_centers_[kept], dtype=np.float64)
