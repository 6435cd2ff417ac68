"""What the interactions show of a user and an item without any model: the columns that calibration regresses on.

Everything is read from the context, in which the pair itself is not linked. P = N N' N, with N the interactions scaled
by (d_u d_i)^-1/2, is how an untrained propagation of three steps ties a user to an item.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from graphforget.graph import Graph
from graphforget.kernels import paths
from graphforget.sparse import Sparse, product
from graphforget.task import Batch
from recsys import derived
from recsys.derived import Derived

Array = npt.NDArray[np.float64]
SMALLEST = 1e-4  # added to P before its logarithm
SKETCH = 64  # random directions that estimate the length of a row of P


def pair_structure(context: Graph, batch: Batch) -> Array:
    """[B, 6 + M] log degrees, log co-occurrence with the user's items (also a degree), P, likeness of features.

    P twice: its logarithm, and by how many standard deviations the item stands above the user's mean over all items.
    """
    users, items = (row.cpu().numpy() for row in batch.index[:2])
    own = derived.of(context)
    degrees = [degree.cpu().numpy().astype(np.float64) for degree in (own.user_degree, own.item_degree)]
    of_user, of_item = degrees[0][users], degrees[1][items]
    together = paths.three_paths(*own.positives, *own.fans, users, items)
    weights = [1 / np.maximum(degree, 1) for degree in degrees]
    tied = paths.three_paths(*own.positives, *own.fans, users, items, *weights)
    tied = tied / np.sqrt(np.maximum(of_user * of_item, 1))
    mean, spread = (moment.cpu().double().numpy()[users] for moment in moments(own))
    columns = [
        np.log1p(of_user),
        np.log1p(of_item),
        np.log1p(together),
        np.log1p(together / np.maximum(of_user, 1)),
        np.log(tied + SMALLEST),
        (tied - mean) / spread,
    ]
    for name, feature in sorted(context.features.items()):
        if name != "x":
            columns.append(likeness(context, feature, batch.index))
    return np.stack(columns, axis=1)


def moments(own: Derived) -> tuple[Tensor, Tensor]:
    """[U], [U] mean and standard deviation of each user's row of P; its length from a random sketch.

    (Johnson-Lindenstrauss: 64 directions of fixed random signs tell a length to about a tenth.)
    """
    forth = own.user_item
    back = Sparse(forth.transpose, forth.matrix)
    items = own.size[1]
    signs = torch.randint(2, (items, SKETCH), generator=torch.Generator().manual_seed(0))
    start = torch.cat([torch.ones(items, 1), 2.0 * signs - 1], dim=1).to(forth.matrix)
    reached = product(forth, product(back, product(forth, start)))
    mean = reached[:, 0] / items
    square = reached[:, 1:].square().mean(1) / items
    return mean, (square - mean.square()).clamp_min(1e-12).sqrt()


def likeness(context: Graph, feature: Tensor, index: Tensor) -> Array:
    """[B] cosine of an item's features with the mean features of the user's items."""
    unit = F.normalize(feature.float(), dim=1)
    users, items = context.edge_index
    taste = torch.zeros(context.size[0], unit.shape[1], device=unit.device).index_add(0, users, unit[items])
    asked = F.normalize(taste[index[0]], dim=1) * unit[index[1]]
    return np.asarray(asked.sum(1).double().cpu().numpy(), dtype=np.float64)
