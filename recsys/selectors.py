"""Choose what a recommender benchmark forgets, and plant what it should never have learned.

``active`` and ``inactive`` users have the most and the fewest train interactions, ``head`` and ``tail`` items likewise,
as in CURE4Rec's core and edge sets: of users and items the most extreme are taken and only ties are drawn. Interactions
are drawn uniformly among those of the most extreme fifth of the users or items.

Draws never touch global random state.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from graphforget.errors import InputError, unknown
from graphforget.forget import ForgetRequest
from graphforget.graph import Graph
from graphforget.splits import Splits

KINDS = ("user", "item", "user_item", "user_interaction", "interaction", "modality", "preference")
USER_POOLS = ("active", "inactive")
ITEM_POOLS = ("head", "tail")
POOLS = ("random", *USER_POOLS, *ITEM_POOLS)
FIFTH = 0.2  # of the users or items, for interactions; our default


def draw(
    splits: Splits[Graph],
    kind: str,
    *,
    ratio: float | None = None,
    count: int | None = None,
    seed: int = 0,
    pool: str = "random",
    modality: str | None = None,
) -> ForgetRequest:
    """Draw a request of one kind; only users and items with a train interaction are drawn (of a modality: any).

    Args:
        splits: bipartite; ``train`` is meant.
        kind: one of :data:`KINDS`. ``user_item`` draws ratio or count of both, ``user_interaction`` of users and then
            of the others' interactions; ``modality`` draws items whose feature rows go; ``preference`` is
            :func:`preference` by time, of one user unless ratio or count say otherwise.
        ratio: percent of all users, items or train interactions, rounded; or
        count: number of them.
        seed: of the draw.
        pool: ``random``; ``active`` or ``inactive`` users; ``head`` or ``tail`` items.
        modality: which one; None takes the first.

    Returns:
        ForgetRequest: of the kinds ``user`` [n], ``item`` [n] item rows, ``interaction`` [2, n] (user, item) pairs or
        ``modality:NAME`` [n] item rows.

    Raises:
        InputError: unknown kind, pool or modality, not exactly one of ratio and count, or a pool that is too small.

    Example:
        >>> view = Graph(torch.tensor([[0, 0, 1], [0, 1, 1]]), (2, 2), bipartite=True)
        >>> draw(Splits(view, view, view), "user", count=1, pool="active").parts
        {'user': tensor([0])}
    """
    train = splits.train
    if kind not in KINDS:
        raise unknown("kind", kind, KINDS)
    if pool not in POOLS:
        raise unknown("pool", pool, POOLS)
    other = USER_POOLS if kind in ("item", "modality") else ITEM_POOLS if kind in ("user", "preference") else ()
    if pool in other:
        raise InputError(f"the pool {pool!r} is of the other side (got kind {kind!r}); take random or the other pools")
    if modality is not None and kind != "modality":
        raise InputError(f"modality belongs to the kind 'modality' (got kind {kind!r}); leave it out")
    rng = np.random.default_rng(seed)
    if kind == "preference":
        wanted = 1 if ratio is None and count is None else _wanted(train.size[0], ratio, count, "users")
        return preference(splits, count=wanted, seed=seed, pool=pool)
    if kind == "interaction":
        return ForgetRequest.of("interaction", _interactions(train, ratio, count, pool, rng))
    parts: dict[str, Tensor] = {}
    if kind in ("user", "user_item", "user_interaction"):
        own = pool if pool in USER_POOLS else "random"
        parts["user"] = _rows(train, 0, _wanted(train.size[0], ratio, count, "users"), own, rng)
    if kind in ("item", "user_item", "modality"):
        own = pool if pool in ITEM_POOLS else "random"
        name = "item" if kind != "modality" else f"modality:{_modality(train, modality)}"
        wanted = _wanted(train.size[1], ratio, count, "items")
        parts[name] = _rows(train, 1, wanted, own, rng, idle=kind == "modality")
    if kind == "user_interaction":
        others = train.with_edges(~torch.isin(train.edge_index[0], parts["user"]))
        own = pool if pool in ITEM_POOLS else "random"
        parts["interaction"] = _interactions(others, ratio, count, own, rng)
    return ForgetRequest(parts)


def preference(
    splits: Splits[Graph],
    *,
    genres: Sequence[Sequence[str]] | None = None,
    count: int = 1,
    seed: int = 0,
    pool: str = "random",
) -> ForgetRequest:
    """Draw what users no longer like: of each, the train interactions with one genre, or the older half of all.

    A genre is drawn, for each user, among those that some but not all of the user's items have.

    Args:
        splits: bipartite; without genres the train interactions need ``time``.
        genres: of each item, as in :attr:`recsys.cards.Vocabulary.genres`; None goes by time.
        count: number of users.
        seed: of the draw.
        pool: ``random``, ``active`` or ``inactive`` users.

    Returns:
        ForgetRequest: of the kind ``interaction``, [2, n] (user, item) pairs.

    Raises:
        InputError: neither genres nor time, genres that do not fit the items, or too few users with such a preference.

    Example:
        >>> view = Graph(torch.tensor([[0, 0, 0], [0, 1, 2]]), (1, 3), bipartite=True)
        >>> preference(Splits(view, view, view), genres=[["Crime"], ["War"], ["War", "Drama"]], seed=1).parts
        {'interaction': tensor([[0], [2]])}
    """
    train = splits.train
    if pool not in ("random", *USER_POOLS):
        raise unknown("pool of users", pool, ("random", *USER_POOLS))
    if genres is None and "time" not in train.edge_attrs:
        raise InputError("a preference needs genres= (of load_vocabulary) or edge_attrs['time'] (got neither)")
    if genres is not None and len(genres) != train.size[1]:
        raise InputError(f"genres must be given for all {train.size[1]:,} items (got {len(genres):,}); list them all")
    rng = np.random.default_rng(seed)
    chosen: list[Tensor] = []
    indptr, _, perm = train.csr
    for user in _ordered(train, 0, pool, rng).tolist():
        columns = torch.from_numpy(perm[indptr[user] : indptr[user + 1]]).to(train.device)
        found = _older(train, columns) if genres is None else _of_genre(train, columns, genres, rng)
        if len(found):
            chosen.append(torch.unique(train.edge_index[:, found], dim=1))
        if len(chosen) == count:
            return ForgetRequest.of("interaction", torch.cat(chosen, dim=1))
    what = "two train interactions" if genres is None else "a genre that some but not all of their items have"
    raise InputError(
        f"{len(chosen):,} users of the pool {pool} have {what}, but {count:,} are asked for; ask for fewer"
    )


def poison(
    splits: Splits[Graph], *, users: int, items_each: int, target: int, seed: int = 0
) -> tuple[Splits[Graph], ForgetRequest]:
    """Plant shilling users who push one item, and return the splits with the request that removes them.

    Their rows follow the users that were there. Each interacts with the target and with other items drawn by
    popularity (a share for each train interaction, and one more; our default), so that they look like everybody: of
    planted users with random items next to nobody is shown the target. They have the best rating and the latest time of
    the train part, where it has these.

    Args:
        splits: bipartite, with nothing removed yet.
        users: number of planted users.
        items_each: interactions of each, the target included.
        target: item row.
        seed: of the draw.

    Returns:
        The splits, every part with the new number of users, and a request of the kind ``user``.

    Raises:
        InputError: no such item, fewer than one user, more items than there are, or splits that cannot grow.

    Example:
        >>> view = Graph(torch.tensor([[0, 1], [1, 0]]), (2, 3), bipartite=True)
        >>> poisoned, request = poison(Splits(view, view, view), users=2, items_each=1, target=2)
        >>> poisoned.train.edge_index.tolist(), poisoned.test.size, request.parts
        ([[0, 1, 2, 3], [1, 0, 2, 2]], (4, 3), {'user': tensor([2, 3])})
    """
    train = splits.train
    old, items = train.size
    if not 0 <= target < items:
        raise InputError(f"target must be an item row in [0, {items}) (got {target})")
    if users < 1 or not 1 <= items_each <= items:
        raise InputError(f"plant 1 user or more with 1 to {items} items each (got users={users}, {items_each=})")
    if any(view.y is not None or view.node_mask is not None or view.removed is not None for view in splits):
        raise InputError("poison goes into fresh splits (got labels, masks or removed users); load them again")
    if other := sorted(set(train.edge_attrs) - {"rating", "time"}):
        raise InputError(f"planted interactions can only carry rating and time (got {other}); drop the others first")
    rng = np.random.default_rng(seed)
    shares = 1.0 + torch.bincount(train.edge_index[1], minlength=items).cpu().numpy()
    shares[target] = 0
    rows = []
    for _ in range(users):
        others = np.empty(0, dtype=np.int64)
        if items_each > 1:
            others = rng.choice(items, items_each - 1, replace=False, p=shares / shares.sum())
        rows.append(np.concatenate([[target], others]))
    planted = torch.arange(old, old + users, device=train.device)
    added = torch.stack(
        [planted.repeat_interleave(items_each), torch.from_numpy(np.concatenate(rows)).to(train.device)]
    )
    attrs = {
        name: torch.cat([values, values.max().expand(added.shape[1])]) for name, values in train.edge_attrs.items()
    }
    size = (old + users, items)
    grown = replace(train, edge_index=torch.cat([train.edge_index, added], dim=1), edge_attrs=attrs, size=size)
    val, test = (replace(view, size=size) for view in (splits.val, splits.test))
    return Splits(grown, val, test), ForgetRequest.of("user", planted)


def _wanted(total: int, ratio: float | None, count: int | None, what: str) -> int:
    if (ratio is None) == (count is None):
        raise InputError(f"give either a ratio in percent or a count (got ratio={ratio}, count={count})")
    if ratio is not None and not 0 < ratio <= 100:
        raise InputError(f"ratio is in percent and must lie in (0, 100] (got {ratio})")
    wanted = round(ratio * total / 100) if ratio is not None else int(count or 0)
    if wanted < 1:
        raise InputError(f"the request must hold at least one element (got {wanted} of {total:,} {what})")
    return wanted


def _ordered(train: Graph, side: int, pool: str, rng: np.random.Generator, *, idle: bool = False) -> Tensor:
    """[n] users (side 0) or items (side 1), in the order in which the pool takes them.

    ``idle`` ones have no train interaction: with them it is everyone whom no earlier request removed.
    """
    degree = torch.bincount(train.edge_index[side], minlength=train.size[side])
    known = degree >= 0 if idle else degree > 0
    if train.removed is not None:
        known &= ~train.removed.split(train.size)[side]
    rows = known.nonzero().flatten()
    shuffled: Tensor = rows[torch.from_numpy(rng.permutation(len(rows))).to(train.device)]
    if pool == "random":
        return shuffled
    return shuffled[torch.argsort(degree[shuffled], descending=pool in ("active", "head"), stable=True)]


def _rows(train: Graph, side: int, wanted: int, pool: str, rng: np.random.Generator, *, idle: bool = False) -> Tensor:
    ordered = _ordered(train, side, pool, rng, idle=idle)
    _enough(len(ordered), wanted, f"{pool} {('users', 'items')[side]}" + ("" if idle else " with a train interaction"))
    return ordered[:wanted]


def _enough(there: int, wanted: int, name: str) -> None:
    if wanted > there:
        raise InputError(f"the pool of {name} holds {there:,}, but {wanted:,} are asked for; ask for fewer")


def _interactions(train: Graph, ratio: float | None, count: int | None, pool: str, rng: np.random.Generator) -> Tensor:
    """[2, n] distinct train pairs."""
    pairs = torch.unique(train.edge_index, dim=1)
    wanted = _wanted(pairs.shape[1], ratio, count, "train interactions")
    if pool != "random":
        side = 0 if pool in USER_POOLS else 1
        ordered = _ordered(train, side, pool, rng)
        pairs = pairs[:, torch.isin(pairs[side], ordered[: max(1, round(FIFTH * len(ordered)))])]
    _enough(pairs.shape[1], wanted, f"{pool} interactions")
    chosen = torch.from_numpy(rng.permutation(pairs.shape[1])[:wanted])
    drawn: Tensor = pairs[:, chosen.to(pairs.device)]
    return drawn


def _modality(train: Graph, name: str | None) -> str:
    if not train.features:
        raise InputError("the items have no modality to forget (got no features); load data that has one")
    if name is not None and name not in train.features:
        raise unknown("modality", name, train.features)
    return name if name is not None else next(iter(train.features))


def _older(train: Graph, columns: Tensor) -> Tensor:
    """Return the older half of some interactions, rounded down; of equal times the smaller item first."""
    columns = columns[torch.argsort(train.edge_index[1, columns], stable=True)]
    return columns[torch.argsort(train.edge_attrs["time"][columns], stable=True)][: len(columns) // 2]


def _of_genre(train: Graph, columns: Tensor, genres: Sequence[Sequence[str]], rng: np.random.Generator) -> Tensor:
    """Return the interactions with one genre that is drawn; none where no genre covers some but not all."""
    own = [genres[item] for item in train.edge_index[1, columns].tolist()]
    names = sorted({genre for each in own for genre in each})
    partial = [genre for genre in names if not all(genre in each for each in own)]
    if not partial:
        return columns[:0]
    genre = partial[int(rng.integers(len(partial)))]
    return columns[torch.tensor([genre in each for each in own], device=columns.device)]
