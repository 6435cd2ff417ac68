"""Which clients, classes or samples are forgotten, and a backdoor that a leaving client has planted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphforget.errors import InputError, unknown
from graphforget.federated.clients import Clients
from graphforget.forget import ForgetRequest
from graphforget.samples import Samples
from graphforget.splits import Splits

KINDS = ("client", "class", "sample")
SHARE = 0.8  # of the client's images that carry the patch, as in IBM/federated-unlearning


def draw(
    splits: Splits[Clients[Any]],
    kind: str = "client",
    *,
    ratio: float | None = None,
    count: int | None = None,
    seed: int = 0,
) -> ForgetRequest:
    """Draw a request.

    Args:
        splits: of a data set whose rows have labels.
        kind: ``client`` (the first ones: the split among them is random already), ``class``, or ``sample`` (rows of the
            first client).
        ratio: per cent of the first client's rows, of ``sample``; or
        count: number of clients, classes or rows.
        seed: of the draw.

    Raises:
        InputError: an unknown kind, both sizes or none, or more than there is.
    """
    if kind not in KINDS:
        raise unknown("kind", kind, KINDS)
    train = splits.train
    if (ratio is None) == (count is None) or (ratio is not None and kind != "sample"):
        raise InputError(f"give a count, or of samples a ratio in per cent (got ratio={ratio}, count={count})")
    if kind == "client":
        known = torch.tensor(train.present)
    elif kind == "class":
        labels = train.data.y[train.data.rows()]
        known = labels[labels >= 0].unique().cpu()
    else:
        known = train.ids[train.present[0]]
    wanted = int((ratio or 0) * len(known) / 100 + 1e-9) if ratio is not None else int(count or 0)
    if not 1 <= wanted < len(known):
        raise InputError(f"between 1 and {len(known) - 1} of {len(known)} can be forgotten as {kind} (got {wanted})")
    if kind == "client":
        return ForgetRequest.of(kind, known[:wanted])
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(known)))
    return ForgetRequest.of(kind, known[order[:wanted]])


def stamp(x: Tensor, size: int) -> Tensor:
    """[n, C, H, W] copies of images with a white square in the lower right corner.

    Example:
        >>> stamp(torch.zeros(1, 1, 3, 3), 2)[0, 0].tolist()
        [[0.0, 0.0, 0.0], [0.0, 1.0, 1.0], [0.0, 1.0, 1.0]]
    """
    if x.dim() != 4 or not 1 <= size < min(x.shape[2:]):
        raise InputError(f"a patch of {size} needs images [n, C, H, W] that are larger (got {list(x.shape)})")
    patched = x.clone()
    patched[:, :, -size:, -size:] = 1.0
    return patched


def patch_size(x: Tensor) -> int:
    """Side of the patch on images [n, C, H, W]: an eighth of their height, at least 2 pixels."""
    return max(2, x.shape[2] // 8)


def plant_backdoor(
    splits: Splits[Clients[Samples]], client: int = 0, *, target: int = 0, share: float = SHARE, seed: int = 0
) -> Splits[Clients[Samples]]:
    """Patch and relabel a share of one client's images: the backdoor that must go with the client.

    Args:
        splits: of images.
        client: who plants it.
        target: the label that the patch is to be answered with.
        share: of the client's images.
        seed: of the choice.

    Raises:
        InputError: no such client or class, or a share outside (0, 1].
    """
    if not 0 < share <= 1:
        raise InputError(f"share must lie in (0, 1] (got {share})")
    train = splits.train
    if client not in train.present:
        raise unknown("client", client, tuple(map(str, train.present)))
    data = train.data
    if not bool((data.y == target).any()):
        raise InputError(f"no row has the class {target} (got target={target}); known: {data.y.unique().tolist()[:20]}")
    own = train.ids[client]
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(own)))
    rows = own[order[: max(1, int(share * len(own)))]].to(data.y.device)
    x, y = data.x.clone(), data.y.clone()
    x[rows], y[rows] = stamp(x[rows], patch_size(x)), target
    return Splits(*(part.over(replace(part.data, x=x, y=y)) for part in splits))
