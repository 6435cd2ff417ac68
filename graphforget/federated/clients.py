"""Clients: who holds which part of a data set, over the data of any domain.

A client owns elements of one kind that the domain itself can forget: rows (``sample``), nodes of a graph (``node``) or
users of a recommender (``user``). What a client sees of the data is what is left when everybody else's elements are
forgotten, so that one rule serves every domain: no edge to another client's node, no other user's interactions. To
forget a client is the domain's own request for its elements.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor

from graphforget.elements import existing, held
from graphforget.errors import InputError, unknown

D = TypeVar("D")
LEAST = 10  # rows of the smallest client
TRIES = 1000


@dataclass(frozen=True, eq=False)
class Clients(Generic[D]):
    """A data set, or a view of one, and the clients that hold it.

    Args:
        data: what all clients hold together; of a validation or test view, what is asked there.
        kind: the domain's request kind that ``ids`` are of: ``sample``, ``node`` or ``user``.
        ids: client -> [n] what it holds; no element belongs to two.

    Raises:
        InputError: no client, an element of two clients, or ids that are not [n].

    Example:
        >>> from graphforget.samples import Samples
        >>> rows = Samples(torch.zeros(4, 2), torch.tensor([0, 1, 0, 1]))
        >>> held = Clients(rows, "sample", {0: torch.tensor([0, 1]), 1: torch.tensor([2, 3])})
        >>> forget, retain = held.partition({"client": torch.tensor([1])})
        >>> forget.data.rows().tolist(), retain.data.rows().tolist(), retain.present
        ([2, 3], [0, 1], (0,))
    """

    data: D
    kind: str
    ids: Mapping[int, Tensor]

    def __post_init__(self) -> None:
        if not self.ids:
            raise InputError("at least one client is needed (got none)")
        for client, ids in self.ids.items():
            if ids.dim() != 1 or ids.is_floating_point():
                raise InputError(f"client {client} needs integer ids [n] (got {ids.dtype} {list(ids.shape)})")
        every = torch.cat(list(self.ids.values()))
        values, counts = every.unique(return_counts=True)
        if bool((counts > 1).any()):
            raise InputError(f"{self.kind} {int(values[counts > 1][0])} belongs to two clients; give it to one")

    @cached_property
    def present(self) -> tuple[int, ...]:
        """The clients that hold something this view speaks for, in order."""
        return self._holding(held(self.data, self.kind))

    def part(self, client: int) -> D:
        """What a client sees: the data without every other client's elements; made once.

        Raises:
            UnknownName: no such client, or one without anything in this view.
            InputError: a client whose part teaches nothing (a graph without an edge).
        """
        self._known([client])
        if client not in self._parts:
            self._parts[client] = self._made(client)
        return self._parts[client]

    def size(self, client: int) -> int:
        """Number of elements that a client holds in this view."""
        self._known([client])
        return int(torch.isin(self.ids[client], held(self.data, self.kind)).sum())

    def over(self, data: Any) -> Clients[Any]:
        """The same clients over another view of the data."""
        return Clients(data, self.kind, self.ids)

    def to(self, device: torch.device | str) -> Clients[D]:
        """Move the data; ids stay where they are."""
        moved: Any = self.data
        return self.over(moved.to(device))

    def partition(self, parts: Mapping[str, Tensor]) -> tuple[Clients[D], Clients[D]]:
        """Return (forget, retain); ``client`` [n] names clients, every other kind is the domain's own.

        Raises:
            UnknownName: a client that is not here.
            InputError: what the domain's data says of the request.
        """
        data: Any = self.data
        forget, retain = data.partition(self._named(parts))
        return self.over(forget), self.over(retain)

    def scrub(self, parts: Mapping[str, Tensor], data: Clients[D]) -> Clients[D]:
        """Return this (validation) view without what the request names."""
        own: Any = self.data
        return self.over(own.scrub(data._named(parts), data.data))

    def without(self, other: Clients[D]) -> Clients[D]:
        """The elements of this view that ``other`` does not speak for."""
        own: Any = self.data
        return self.over(own.without(other.data))

    @cached_property
    def _parts(self) -> dict[int, D]:
        return {}

    @cached_property
    def _owners(self) -> tuple[int, ...]:
        """The clients with something in the data, be it nodes that are only passed messages through."""
        return self._holding(existing(self.data, self.kind))

    def _holding(self, left: Tensor) -> tuple[int, ...]:
        return tuple(client for client, ids in sorted(self.ids.items()) if bool(torch.isin(ids, left).any()))

    def _made(self, client: int) -> D:
        left = existing(self.data, self.kind)
        others = [ids for name, ids in self.ids.items() if name != client]
        rest = torch.cat(others) if others else torch.empty(0, dtype=torch.int64)
        rest = rest[torch.isin(rest, left)]
        if not len(rest):
            return self.data
        data: Any = self.data
        try:
            part: D = data.partition({self.kind: rest})[1]
        except InputError as error:
            raise InputError(f"client {client} holds nothing to learn from by itself ({error})") from error
        return part

    def _known(self, clients: Sequence[int]) -> None:
        for client in clients:
            if client not in self._owners:
                raise unknown("client", client, tuple(map(str, self._owners)))

    def _named(self, parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The request in the domain's own words."""
        found = {kind: ids for kind, ids in parts.items() if kind != "client"}
        if "client" in parts:
            clients = parts["client"].tolist()
            self._known(clients)
            ids = torch.cat([self.ids[client] for client in clients])
            ids = ids[torch.isin(ids, existing(self.data, self.kind))]
            found[self.kind] = torch.cat([found[self.kind], ids]).unique() if self.kind in found else ids
        return found


def iid(ids: Tensor, clients: int, *, seed: int = 0) -> dict[int, Tensor]:
    """Deal elements out at random, as evenly as their number allows.

    Args:
        ids: [n] rows, nodes or users.
        clients: how many.
        seed: of the deal.

    Raises:
        InputError: fewer elements than clients.

    Example:
        >>> [len(ids) for ids in iid(torch.arange(10), 3).values()]
        [4, 3, 3]
    """
    if not 1 <= clients <= len(ids):
        raise InputError(f"clients must lie in [1, {len(ids)}], the number of elements (got {clients})")
    order = ids[torch.from_numpy(np.random.default_rng(seed).permutation(len(ids)))]
    return dict(enumerate(part.sort().values for part in order.tensor_split(clients)))


def dirichlet(
    ids: Tensor, y: Tensor, clients: int, *, alpha: float = 0.5, least: int = LEAST, seed: int = 0
) -> dict[int, Tensor]:
    """Give each client its own mixture of labels: each class is shared out by a draw of Dirichlet(alpha).

    A client that has its fair share already gets no more of the classes that follow (the usual balance trick), and the
    draw is repeated until every client has ``least`` elements.

    Args:
        ids: [n] elements.
        y: [N] labels of all elements, indexed by ids.
        clients: how many.
        alpha: small is uneven.
        least: elements of the smallest client.
        seed: of the draw.

    Raises:
        InputError: too few elements, or no draw that gives each client enough.

    Example:
        >>> parts = dirichlet(torch.arange(200), torch.arange(200) % 4, 5, seed=1)
        >>> sum(len(ids) for ids in parts.values()), min(len(ids) for ids in parts.values()) >= 10
        (200, True)
    """
    if alpha <= 0:
        raise InputError(f"alpha must be positive (got {alpha})")
    if clients < 1 or clients * least > len(ids):
        raise InputError(
            f"{clients} clients of at least {least} elements need {clients * least} (got {len(ids)}); use fewer clients"
        )
    rng = np.random.default_rng(seed)
    labels, rows = y[ids].cpu().numpy(), ids.cpu().numpy()
    for _ in range(TRIES):
        parts: list[list[int]] = [[] for _ in range(clients)]
        for label in np.unique(labels):
            own = rng.permutation(rows[labels == label])
            share = rng.dirichlet(np.full(clients, alpha))
            share = share * np.array([len(part) < len(rows) / clients for part in parts])
            if not share.sum() > 0:  # all of a tiny alpha's draw went to clients that are full: drawn again
                break
            cuts = (np.cumsum(share / share.sum())[:-1] * len(own)).astype(int)
            for part, more in zip(parts, np.split(own, cuts), strict=True):
                part.extend(more.tolist())
        if min(map(len, parts)) >= least and sum(map(len, parts)) == len(rows):
            return {client: torch.tensor(sorted(part)) for client, part in enumerate(parts)}
    raise InputError(
        f"no draw of {TRIES} gave each of {clients} clients {least} elements at alpha={alpha}; raise alpha, or lower "
        "least or the number of clients"
    )


def shards(ids: Tensor, y: Tensor, clients: int, *, each: int = 2, seed: int = 0) -> dict[int, Tensor]:
    """Sort elements by label, cut them into ``clients * each`` shards and deal every client ``each`` of them.

    Args:
        ids: [n] elements.
        y: [N] labels of all elements, indexed by ids.
        clients: how many.
        each: shards of a client, about as many labels.
        seed: of the deal.

    Source:
        McMahan et al., arXiv:1602.05629, section 3.

    Example:
        >>> parts = shards(torch.arange(40), torch.arange(40) % 4, 2)
        >>> sorted(len((torch.arange(40) % 4)[ids].unique()) for ids in parts.values())
        [2, 2]
    """
    if each < 1 or not 1 <= clients * each <= len(ids):
        raise InputError(f"clients * each must lie in [1, {len(ids)}] (got {clients} * {each})")
    rng = np.random.default_rng(seed)
    shuffled = ids[torch.from_numpy(rng.permutation(len(ids)))]
    order = shuffled[y[shuffled].cpu().sort(stable=True).indices]
    cut = order.tensor_split(clients * each)
    deal = rng.permutation(clients * each).reshape(clients, each)
    return {n: torch.cat([cut[k] for k in deal[n]]).sort().values for n in range(clients)}
