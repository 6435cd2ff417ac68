"""What to forget: a request, and the request resolved on data.

A :class:`ForgetRequest` names elements by kind and ids. Data that implements :class:`Forgettable` turns it into the
parts of a :class:`ForgetSplit`. Element kinds (edge, node, class) partition the rows; value kinds (feature, label) keep
all rows: ``retain`` has the values masked, ``forget`` is those rows with the old values.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor

from graphforget.errors import InputError

D = TypeVar("D", bound="Forgettable")
PAIRED = ("edge", "interaction")  # kinds that name pairs


@dataclass(frozen=True, eq=False)
class ForgetRequest:
    """Elements to forget, by kind; several kinds make a mixed request.

    Args:
        parts: kind -> ids. On a graph: ``edge`` [n] columns or [2, n] pairs, ``node`` [n], ``feature`` [n] nodes or
            [n, 2] (node, column) cells, ``label`` [n] nodes, ``node_class`` [n] labels, ``edge_class`` [n] relation
            types or [n, 2] labels of the endpoints. On a bipartite graph also ``interaction`` [2, n] (user, item)
            pairs, ``user`` [n], ``item`` [n] and ``modality:NAME`` [n] items whose features go. Other data types define
            their own kinds.

    Raises:
        InputError: no kind, a kind without ids, or a duplicated id.

    Example:
        >>> request = ForgetRequest.of("node", [3, 1]) + ForgetRequest.of("feature", [7])
        >>> sorted(request.parts)
        ['feature', 'node']
    """

    parts: Mapping[str, Tensor]

    def __post_init__(self) -> None:
        if not self.parts:
            raise InputError("the request is empty (got no kind); name at least one element to forget")
        for kind, ids in self.parts.items():
            if ids.dtype == torch.bool or ids.is_floating_point():
                raise InputError(f"{kind} ids must be integers (got {ids.dtype}); masks go through .nonzero() first")
            if ids.dim() == 0:
                raise InputError(f"{kind} ids must have shape [n] (got []); put a single id in a list")
            if ids.numel() == 0:
                raise InputError(f"the request is empty (got no ids of kind {kind!r}); name at least one")
            rows = ids.T if kind in PAIRED and ids.dim() == 2 else ids
            unique, counts = torch.unique(rows, dim=0, return_counts=True)
            if unique.shape[0] != rows.shape[0]:
                raise InputError(f"{kind} ids must be unique (got {unique[counts > 1][0].tolist()} more than once)")

    @classmethod
    def of(cls, kind: str, ids: Tensor | Sequence[int] | Sequence[Sequence[int]]) -> ForgetRequest:
        """Build a request of one kind from ids, given as a tensor or nested lists."""
        tensor = ids if isinstance(ids, Tensor) else torch.tensor(ids)
        whole = not tensor.numel() or not (tensor.is_floating_point() or tensor.dtype == torch.bool)
        return cls({kind: tensor.long() if whole else tensor})

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds asked for, sorted."""
        return tuple(sorted(self.parts))

    @property
    def digest(self) -> str:
        """Hex SHA-256 of kinds and ids; stored in every cached artefact, so that a stale one is never used."""
        digest = hashlib.sha256()
        for kind in self.kinds:
            ids = self.parts[kind].cpu().contiguous()
            digest.update(f"{kind}{list(ids.shape)}".encode())
            digest.update(ids.numpy().tobytes())
        return digest.hexdigest()

    def __add__(self, other: ForgetRequest) -> ForgetRequest:
        """Merge two requests; the same kind must be named in the same form."""
        parts = dict(self.parts)
        for kind, ids in other.parts.items():
            if kind in parts:
                if parts[kind].dim() != ids.dim():
                    raise InputError(f"two {kind} requests name their elements in different forms; use one form")
                ids = torch.cat([parts[kind], ids], dim=1 if kind in PAIRED and ids.dim() == 2 else 0)
            parts[kind] = ids
        return ForgetRequest(parts)

    def batches(self, count: int) -> list[ForgetRequest]:
        """Cut a request of one kind into ``count`` requests of (almost) equal size, in order.

        Edges must be named as pairs: columns shift once the first batch is gone, node ids never do.
        """
        if len(self.parts) != 1:
            raise InputError(f"only a request of one kind can be cut into batches (got {self.kinds})")
        ((kind, ids),) = self.parts.items()
        if kind in PAIRED and ids.dim() != 2:
            raise InputError("name edges as [2, n] pairs to batch them: columns shift after the first batch")
        axis = 1 if kind in PAIRED else 0
        if not 1 <= count <= ids.shape[axis]:
            raise InputError(f"count must lie in [1, {ids.shape[axis]}] (got {count})")
        return [ForgetRequest({kind: piece}) for piece in torch.tensor_split(ids, count, dim=axis)]


@runtime_checkable
class Forgettable(Protocol):
    """Data that can be partitioned by a request."""

    def partition(self: D, parts: Mapping[str, Tensor]) -> tuple[D, D]:
        """Return (forget, retain) for kind -> ids; raises InputError when the request does not fit the data."""

    def scrub(self: D, parts: Mapping[str, Tensor], data: D) -> D:
        """Return this view (validation data) without what the request resolves to on ``data``."""

    def without(self: D, other: D) -> D:
        """Return the elements of this view that ``other`` does not speak for."""


@dataclass(frozen=True, eq=False)
class ForgetSplit(Generic[D]):
    """A request resolved on data.

    Args:
        data: everything the original was trained on.
        forget: the part to forget.
        retain: what is left; the context of every unlearned model.
        held_out: validation data without the forgotten; test data is never in it.
        digest: of the request, for caches.
        part_of: number of elements of the data that this split was cut out of; None where it is all of the data.
        request: what was asked for, by name; it holds no data.
    """

    data: D
    forget: D
    retain: D
    held_out: D
    digest: str = ""
    part_of: int | None = None
    request: ForgetRequest | None = None

    @classmethod
    def of(cls, data: D, request: ForgetRequest, held_out: D) -> ForgetSplit[D]:
        """Resolve a request on data.

        Raises:
            InputError: unknown ids or kinds, an empty request, or a request for everything.
        """
        forget, retain = data.partition(request.parts)
        return cls(data, forget, retain, held_out.scrub(request.parts, data), request.digest, request=request)

    @property
    def untouched(self) -> D:
        """The retained elements that the request does not speak for (an edge request: nor its endpoints)."""
        return self.retain.without(self.forget)

    @property
    def gone(self) -> D:
        """The forgotten elements that nothing retains: empty for value kinds, whose rows stay."""
        return self.forget.without(self.retain)

    def then(self, request: ForgetRequest) -> ForgetSplit[D]:
        """Resolve the next request of a sequence on what this one retained; its digest covers the whole sequence."""
        split = ForgetSplit.of(self.retain, request, self.held_out)
        return replace(split, digest=hashlib.sha256(f"{self.digest}{split.digest}".encode()).hexdigest())
