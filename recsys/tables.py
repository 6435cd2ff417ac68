"""Which parameters of a recommender hold a row for each user or each item.

A model may say so itself: ``row_tables`` maps the last part of a parameter's name to ``user``, ``item`` or ``both``. Of
any other model they are found by their first dimension. Forgetting a user or an item means that its rows go back to
what a model that never saw it has there: a draw of the initialisation, at the scale of the whole table (drawing a small
table anew would give rows of another size).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

import torch
from torch import Tensor, nn

from graphforget.errors import InputError
from graphforget.graph import Graph


def tables(model: nn.Module, size: tuple[int, int]) -> Iterator[tuple[str, nn.Parameter, str]]:
    """Yield (name, parameter, ``user`` | ``item`` | ``both``) of every parameter with a row a user or an item.

    Args:
        model: a recommender.
        size: (U, I).

    Raises:
        InputError: as many users as items, and a name that says neither.
    """
    known: Mapping[str, str] | None = getattr(model, "row_tables", None)
    for name, parameter in model.named_parameters():
        if known is not None:  # a linear map whose width is the number of users is no table
            if side := known.get(name.rpartition(".")[2]):
                yield name, parameter, side
            continue
        rows = parameter.shape[0] if parameter.dim() == 2 else -1
        if rows == sum(size):
            yield name, parameter, "both"
        elif rows in size:
            yield name, parameter, _side(name, rows, size)


def _side(name: str, rows: int, size: tuple[int, int]) -> str:
    if size[0] != size[1]:
        return "user" if rows == size[0] else "item"
    found = [side for side in ("user", "item") if side in name.lower()]
    if len(found) != 1:
        raise InputError(
            f"there are as many users as items ({rows}), so the name of a table must say which it is (got {name!r}); "
            "rename the parameter to hold 'user' or 'item'"
        )
    return found[0]


def reset_rows(model: nn.Module, new: nn.Module, data: Graph, users: Tensor, items: Tensor) -> list[str]:
    """Give the rows of some users and items the values of a never-trained model.

    Args:
        model: changed in place.
        new: a never-trained model of the same architecture.
        data: gives the numbers of users and items.
        users: [n] user ids.
        items: [m] item ids.

    Returns:
        The names of the tables whose rows were drawn anew.

    Raises:
        InputError: rows are asked for and the model has no such table.

    Example:
        >>> from recsys.models.bpr import BPR
        >>> data = Graph(torch.tensor([[0, 1], [0, 2]]), (2, 3), bipartite=True)
        >>> one, two = BPR(2, 3), BPR(2, 3)
        >>> reset_rows(one, two, data, torch.tensor([1]), torch.tensor([], dtype=torch.int64))
        ['user_embedding']
    """
    fresh = dict(new.named_parameters())
    changed: set[str] = set()
    found: set[str] = set()
    with torch.no_grad():
        for name, parameter, side in tables(model, data.size):
            found |= {"user", "item"} if side == "both" else {side}
            rows = torch.cat([users if side in ("user", "both") else users[:0], _shifted(items, side, data)]).to(
                parameter.device
            )
            if len(rows):
                parameter[rows] = fresh[name][rows].to(parameter.device)
                changed.add(name)
    for side, ids in (("user", users), ("item", items)):
        if len(ids) and side not in found:
            raise InputError(
                f"the model has no table with a row a {side}, so {len(ids)} {side}s cannot be drawn anew; "
                "retrain it, or fine-tune it on what is retained"
            )
    return sorted(changed)


def _shifted(items: Tensor, side: str, data: Graph) -> Tensor:
    if side == "user":
        return items[:0]
    return items + data.size[0] if side == "both" else items


def of_modality(name: str, modalities: Iterable[str]) -> str | None:
    """Which modality a parameter's name speaks of: the longest that it holds, best as a word of its own.

    Example:
        >>> of_modality("modalities.text_long.shift", ("text", "text_long")), of_modality("textrows", ("image", "text"))
        ('text_long', 'text')
    """
    inside = [each for each in modalities if each in name]
    words = [each for each in inside if re.search(rf"(?<![^\W_]){re.escape(each)}(?![^\W_])", name)]
    return max(words or inside, key=len, default=None)


def gone(data: Graph, retain: Graph) -> tuple[Tensor, Tensor]:
    """([n] users, [m] items) that a request removed."""
    if retain.removed is None:
        empty = torch.empty(0, dtype=torch.int64, device=data.device)
        return empty, empty
    new = retain.removed if data.removed is None else retain.removed & ~data.removed
    return new[: data.size[0]].nonzero().flatten(), new[data.size[0] :].nonzero().flatten()


def hollowed(data: Graph, retain: Graph, share: float) -> tuple[Tensor, Tensor]:
    """([n] users, [m] items) that stay but lose at least a share of their interactions.

    Example:
        >>> data = Graph(torch.tensor([[0, 1, 2, 2], [0, 0, 0, 1]]), (3, 2), bipartite=True)
        >>> retain = Graph(torch.tensor([[2, 2], [0, 1]]), (3, 2), True, removed=torch.tensor([1, 1, 0, 0, 0]).bool())
        >>> [ids.tolist() for ids in hollowed(data, retain, 0.5)]
        [[], [0]]
    """
    found = []
    for side in (0, 1):
        before, after = _degree(data, side), _degree(retain, side)
        found.append(((before > after) & (before - after >= share * before) & _stays(retain, side)).nonzero().flatten())
    return found[0], found[1]


def take_peers_rows(model: nn.Module, data: Graph, retain: Graph, share: float, peers: int) -> dict[str, int]:
    """Give users and items that lost most of their interactions the mean row of those that have as few.

    What is left of such a row was taught by what is gone (an item that planted users pushed). Its peers' rows say what
    the model believes of an element with the interactions that are left.

    Args:
        model: changed in place.
        data: before the request.
        retain: after it.
        share: of the interactions that must be gone, above 0.
        peers: how many, those with the nearest number of retained interactions.

    Returns:
        {``user`` | ``item``: rows changed}.

    Example:
        >>> from recsys.models.bpr import BPR
        >>> data = Graph(torch.tensor([[0, 1, 2, 2], [0, 0, 0, 1]]), (3, 2), bipartite=True)
        >>> retain = Graph(torch.tensor([[2, 2], [0, 1]]), (3, 2), True, removed=torch.tensor([1, 1, 0, 0, 0]).bool())
        >>> model = BPR(3, 2)
        >>> take_peers_rows(model, data, retain, 0.5, 1)
        {'item': 1}
        >>> bool((model.item_embedding[0] == model.item_embedding[1]).all())
        True
    """
    changed = {}
    for side, (name, ids) in enumerate(zip(("user", "item"), hollowed(data, retain, share), strict=True)):
        stays, degree = _stays(retain, side), _degree(retain, side)
        stays[ids] = False
        others = stays.nonzero().flatten()
        own = [
            (table, data.size[0] * side if of == "both" else 0)
            for _, table, of in tables(model, data.size)
            if of in (name, "both")
        ]
        if not (len(ids) and len(others) and own):
            continue
        changed[name] = len(ids)
        for element in ids:
            alike = others[(degree[others] - degree[element]).abs().argsort(stable=True)[:peers]]
            for table, first in own:
                with torch.no_grad():
                    table[element + first] = table[(alike + first).to(table.device)].mean(0)
    return changed


def _degree(view: Graph, side: int) -> Tensor:
    return torch.bincount(view.edge_index[side], minlength=view.size[side])


def _stays(view: Graph, side: int) -> Tensor:
    """[U] or [I] bool: the users or items that were not removed."""
    if view.removed is None:
        return torch.ones(view.size[side], dtype=torch.bool, device=view.device)
    return ~(view.removed[: view.size[0]] if side == 0 else view.removed[view.size[0] :])


def withdrawn(data: Graph, retain: Graph) -> dict[str, Tensor]:
    """{modality: [n] items} whose features a request took away from items that stay."""
    found = {}
    for name, value in data.features.items():
        if name == "x":
            continue
        lost = (value != retain.features[name]).any(1)
        if retain.removed is not None:
            lost &= ~retain.removed[data.size[0] :]
        if bool(lost.any()):
            found[name] = lost.nonzero().flatten()
    return found
