"""Requests by raw names: what a user of the system is called in the files, not the number of a row."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch

from graphforget.errors import InputError, unknown
from graphforget.forget import ForgetRequest
from graphforget.graph import Graph
from recsys.cards import Vocabulary

SHOWN = 20  # unknown names that a message lists


class Preference(NamedTuple):
    """What one user no longer likes: the interactions with a genre, of a period, or both.

    Args:
        user: raw id.
        genre: one of the vocabulary's; None means any.
        since: the first time that counts, in the unit of the data's ``time``.
        until: the first time that no longer counts.
    """

    user: str
    genre: str | None = None
    since: float | None = None
    until: float | None = None


class Named(NamedTuple):
    """A request and what it leaves out.

    Args:
        request: of the kinds ``user``, ``item``, ``interaction`` and ``modality:NAME``.
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
    features: Mapping[str, Iterable[str]] | None = None,
    preferences: Iterable[Preference] = (),
    skip_missing: bool = False,
) -> Named:
    """Make a request of raw names of users, items, (user, item) pairs, withdrawn features and past preferences.

    Args:
        train: the training part; an interaction must be in it.
        vocabulary: the names behind the rows.
        users: raw ids.
        items: raw ids.
        interactions: pairs of raw ids.
        features: modality -> raw ids of the items whose features go.
        preferences: whose interactions go; genres are those of the vocabulary, periods need ``time`` in the data.
        skip_missing: leave out what the data does not know, instead of raising.

    Raises:
        InputError: unknown names (listed), a single string in place of a list, a preference without genre and period or
            on data without them, or nothing to forget.

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
    asked = [("user", "user", users), ("item", "item", items)]
    for modality, given in (features or {}).items():
        if modality not in train.features:
            raise unknown("modality", modality, tuple(train.features))
        asked.append((f"modality:{modality}", "item", given))
    for part, kind, given in asked:
        wanted = list(dict.fromkeys(_many(kind, given)))
        missing += [f"{kind} {name!r}" for name in wanted if name not in rows[kind]]
        if found := [rows[kind][name] for name in wanted if name in rows[kind]]:
            parts[part] = torch.tensor(found)
    pairs = list(dict.fromkeys(tuple(pair) for pair in _many("interaction", interactions)))
    ids = [[rows["user"].get(u, -1), rows["item"].get(i, -1)] for u, i in pairs]
    index = torch.tensor(ids, dtype=torch.int64).view(-1, 2).T
    known = (index >= 0).all(0)
    known[known.clone()] = train.has_edges(index[:, known]).cpu()
    missing += [f"interaction {pair!r}" for pair, there in zip(pairs, known.tolist(), strict=True) if not there]
    chosen = [index[:, known]]
    for each in preferences:
        columns = _liked(train, vocabulary, each, rows["user"].get(each.user, -1))
        if not len(columns):
            missing.append(f"user {each.user!r}" if each.user not in rows["user"] else _described(each))
        chosen.append(train.edge_index[:, columns].cpu())
    both = torch.cat(chosen, dim=1)
    if both.shape[1]:
        parts["interaction"] = torch.unique(both, dim=1) if len(chosen) > 1 else both
    if missing and not skip_missing:
        raise unknown_names(missing)
    if not parts:
        raise nothing_named()
    return Named(ForgetRequest(parts), tuple(missing))


def _liked(train: Graph, vocabulary: Vocabulary, wish: Preference, user: int) -> torch.Tensor:
    """[n] the train interactions of a user that a preference speaks of."""
    if wish.genre is None and wish.since is None and wish.until is None:
        raise InputError(f"a preference needs a genre or a period (got user {wish.user!r} alone); else name the user")
    chosen = train.edge_index[0] == user
    if wish.genre is not None:
        if vocabulary.genres is None:
            raise InputError(f"the items have no genres (got genre {wish.genre!r}); pass a vocabulary that knows them")
        if not any(wish.genre in own for own in vocabulary.genres):
            raise unknown("genre", wish.genre, tuple(sorted({genre for own in vocabulary.genres for genre in own})))
        having = torch.tensor([wish.genre in own for own in vocabulary.genres], device=train.device)
        chosen &= having[train.edge_index[1]]
    if wish.since is not None or wish.until is not None:
        if "time" not in train.edge_attrs:
            raise InputError(
                f"the interactions have no time (got the period {wish.since} to {wish.until}); name a genre"
            )
        time = train.edge_attrs["time"]
        chosen &= (time >= (-math.inf if wish.since is None else wish.since)) & (
            time < (math.inf if wish.until is None else wish.until)
        )
    return chosen.nonzero().flatten()


def _described(wish: Preference) -> str:
    words = [f"{name} {value!r}" for name, value in wish._asdict().items() if value is not None]
    return f"preference ({', '.join(words)})"


def unknown_names(missing: Sequence[str]) -> InputError:
    """Return the error that lists names which the data does not know."""
    more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
    return InputError(
        f"the data does not know {len(missing)} of the request: {', '.join(missing[:SHOWN])}{more}; names are those of "
        "the files, as strings; pass skip_missing=True (--skip-missing) to go on with the rest"
    )


def nothing_named() -> InputError:
    """Return the error for a request without anything that the data knows."""
    return InputError(
        "the request is empty (got no known user, item, interaction, feature or preference); name at least one"
    )


def _many(kind: str, given: Iterable[Any]) -> Iterable[Any]:
    if isinstance(given, str):
        raise InputError(f"{kind}s must be a list of raw names (got the string {given!r}); write [{given!r}]")
    return given
