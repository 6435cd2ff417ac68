"""NCL's clusters without faiss: the same k-means objective by scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F


def cluster(model: Any) -> None:
    """Set an NCL model's unit centroids and cluster numbers from its embedding tables (its E-step).

    RecBole calls faiss with 25 iterations from random rows; so does this, drawn from numpy's state. There are never
    more clusters than rows.
    """
    from sklearn.cluster import KMeans  # a second to import, and NCL alone needs it

    for name in ("user", "item"):
        table = getattr(model, f"{name}_embedding").weight.detach().cpu().numpy()
        seed = int(np.random.randint(2**31 - 1))  # noqa: NPY002 - the caller has seeded it
        found = KMeans(min(int(model.k), len(table)), init="random", n_init=1, max_iter=25, random_state=seed).fit(
            table
        )
        centroids = torch.from_numpy(found.cluster_centers_).float().to(model.device)
        setattr(model, f"{name}_centroids", F.normalize(centroids, p=2, dim=1))
        setattr(model, f"{name}_2cluster", torch.from_numpy(found.labels_).long().to(model.device))
