"""Requests by raw names: what a user of the system is called in the files, not the number of a row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch

from graphforget.errors import InputError
from graphforget.forget import ForgetRequest
from graphforget.graph import Graph
from recsys.cards import Vocabulary

SHOWN = 20  # unknown names that a message lists


class Named(NamedTuple):
    """A request and what it leaves out.

    Args:
        request: of the kinds ``user``, ``item`` and ``interaction``.
        skipped: names that the data does not know.
    """

    request: ForgetRequest
    skipped: tuple[str, ...]


def named_request(
    train: Graph,
    vocabulary: Vocabulary,
    *,
    users: Iterable[str] = (),
    items: Iterable[str] = (),
    interactions: Iterable[tuple[str, str]] = (),
    skip_missing: bool = False,
) -> Named:
    """Make a request of raw names of users, items and (user, item) pairs.

    Args:
        train: the training part; an interaction must be in it.
        vocabulary: the names behind the rows.
        users: raw ids.
        items: raw ids.
        interactions: pairs of raw ids.
        skip_missing: leave out what the data does not know, instead of raising.

    Raises:
        InputError: unknown names (listed), a single string in place of a list, or nothing to forget.

    Example:
        >>> names = Vocabulary(("ann", "bob"), ("x", "y"))
        >>> train = Graph(torch.tensor([[0, 1], [1, 0]]), (2, 2), bipartite=True)
        >>> named_request(train, names, users=["bob", "eve"], skip_missing=True)
        Named(request=ForgetRequest(parts={'user': tensor([1])}), skipped=("user 'eve'",))
    """
    rows = {
        kind: {name: row for row, name in enumerate(names)}
        for kind, names in (("user", vocabulary.users), ("item", vocabulary.items))
    }
    parts: dict[str, torch.Tensor] = {}
    missing: list[str] = []
    for kind, given in (("user", users), ("item", items)):
        wanted = list(dict.fromkeys(_many(kind, given)))
        missing += [f"{kind} {name!r}" for name in wanted if name not in rows[kind]]
        if found := [rows[kind][name] for name in wanted if name in rows[kind]]:
            parts[kind] = torch.tensor(found)
    pairs = list(dict.fromkeys(tuple(pair) for pair in _many("interaction", interactions)))
    ids = [[rows["user"].get(u, -1), rows["item"].get(i, -1)] for u, i in pairs]
    index = torch.tensor(ids, dtype=torch.int64).view(-1, 2).T
    known = (index >= 0).all(0)
    known[known.clone()] = train.has_edges(index[:, known]).cpu()
    missing += [f"interaction {pair!r}" for pair, there in zip(pairs, known.tolist(), strict=True) if not there]
    if bool(known.any()):
        parts["interaction"] = index[:, known]
    if missing and not skip_missing:
        raise unknown_names(missing)
    if not parts:
        raise nothing_named()
    return Named(ForgetRequest(parts), tuple(missing))


def unknown_names(missing: Sequence[str]) -> InputError:
    """Return the error that lists names which the data does not know."""
    more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
    return InputError(
        f"the data does not know {len(missing)} of the request: {', '.join(missing[:SHOWN])}{more}; names are those of "
        "the files, as strings; pass skip_missing=True (--skip-missing) to go on with the rest"
    )


def nothing_named() -> InputError:
    """Return the error for a request without anything that the data knows."""
    return InputError("the request is empty (got no known user, item or interaction); name at least one")


def _many(kind: str, given: Iterable[Any]) -> Iterable[Any]:
    if isinstance(given, str):
        raise InputError(f"{kind}s must be a list of raw names (got the string {given!r}); write [{given!r}]")
    return given
