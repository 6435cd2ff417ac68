"""Raw tokens to RecBole's ids, and data sets without what they name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from graphforget.errors import InputError, unknown
from recsys.naming import nothing_named, unknown_names
from recsys.recbole.modalities import blank, features_of


@dataclass(frozen=True, eq=False)
class Forgotten:
    """What is forgotten, in RecBole's ids.

    Args:
        users: [n] sorted.
        items: [m] sorted.
        pairs: [2, k] single interactions, each once.
        features: modality -> [n] items that stay without its features.
        skipped: tokens that the data does not know.
    """

    users: Tensor
    items: Tensor
    pairs: Tensor
    features: Mapping[str, Tensor]
    skipped: tuple[str, ...]

    def hit(self, dataset: Any) -> Tensor:
        """[E] bool: the interactions of a data set that are forgotten."""
        users, items = dataset.inter_feat[dataset.uid_field], dataset.inter_feat[dataset.iid_field]
        width = int(dataset.item_num)
        single = torch.isin(users * width + items, self.pairs[0] * width + self.pairs[1])
        return torch.isin(users, self.users) | torch.isin(items, self.items) | single

    def filtered(self, dataset: Any) -> Any:
        """Return a copy of a data set without the forgotten interactions; forgotten side features are zero."""
        kept = dataset.copy(dataset.inter_feat[~self.hit(dataset)])
        gone = dict.fromkeys(dataset.alias["user_id"], self.users)
        gone.update(dict.fromkeys(dataset.alias["item_id"], self.items))
        for name in dataset.feat_name_list:
            if name != "inter_feat":
                setattr(kept, name, _blanked(getattr(dataset, name), gone))
        kept._preloaded_weight = {}
        for field, weight in dataset._preloaded_weight.items():
            kept._preloaded_weight[field] = weight.copy()
            if field in gone:
                kept._preloaded_weight[field][gone[field].numpy()] = 0
        for modality, items in self.features.items():
            blank(kept, modality, items)
        return kept


def resolve(
    datasets: Sequence[Any],
    users: Iterable[str] | None,
    items: Iterable[str] | None,
    interactions: Iterable[tuple[str, str]] | None,
    features: Mapping[str, Iterable[str]] | None,
    skip_missing: bool,
) -> Forgotten:
    """Translate raw tokens by the data sets' id maps.

    Args:
        datasets: the built parts of one data set; the first has the id maps.
        users: raw tokens.
        items: raw tokens.
        interactions: pairs of raw tokens; known when any part holds them.
        features: modality -> raw tokens of items.
        skip_missing: leave unknown tokens out.

    Raises:
        InputError: unknown tokens (listed), tokens that are no strings, or nothing to forget.
    """
    first = datasets[0]
    missing: list[str] = []
    pairs = _pairs(interactions)
    found_users = _ids(first, first.uid_field, _tokens("user", users), "user", missing)
    found_items = _ids(first, first.iid_field, _tokens("item", items), "item", missing)
    found_pairs = _known(datasets, pairs, missing)
    withdrawn = {}
    known = features_of(first) if features else {}
    for modality, given in (features or {}).items():
        if modality not in known:
            raise unknown("modality", modality, tuple(known))
        ids = _ids(first, first.iid_field, _tokens("item", given), "item", missing)
        if len(ids):
            withdrawn[modality] = ids
    if missing and not skip_missing:
        raise unknown_names(missing)
    if not (len(found_users) or len(found_items) or found_pairs.shape[1] or withdrawn):
        raise nothing_named()
    return Forgotten(found_users, found_items, found_pairs, withdrawn, tuple(missing))


def _tokens(kind: str, given: Iterable[str] | None) -> list[str]:
    if isinstance(given, str):
        raise InputError(f"{kind}s must be a list of raw tokens (got the string {given!r}); write [{given!r}]")
    tokens = list(dict.fromkeys(given or ()))
    for token in tokens:
        if not isinstance(token, str):
            raise InputError(
                f"{kind}s must be raw tokens as strings, not internal ids (got {token!r}); "
                f"dataset.id2token translates ids"
            )
    return tokens


def _pairs(given: Iterable[tuple[str, str]] | None) -> list[tuple[str, str]]:
    pairs = [tuple(pair) for pair in given or ()]
    for pair in pairs:
        if len(pair) != 2 or not all(isinstance(token, str) for token in pair):
            raise InputError(f"interactions must be (user, item) pairs of raw tokens (got {pair!r})")
    return list(dict.fromkeys((pair[0], pair[1]) for pair in pairs))


def _ids(dataset: Any, field: str, tokens: list[str], kind: str, missing: list[str]) -> Tensor:
    numbers = dataset.field2token_id[field]
    found = []
    for token in tokens:
        number = int(numbers.get(token, 0))  # 0 is padding: the token "[PAD]" names nobody
        if number:
            found.append(number)
        else:
            missing.append(f"{kind} {token!r}")
    return torch.tensor(sorted(found), dtype=torch.int64)


def _known(datasets: Sequence[Any], pairs: list[tuple[str, str]], missing: list[str]) -> Tensor:
    first = datasets[0]
    users, items = first.field2token_id[first.uid_field], first.field2token_id[first.iid_field]
    ids = torch.tensor([[int(users.get(u, 0)), int(items.get(i, 0))] for u, i in pairs], dtype=torch.int64).view(-1, 2)
    width = int(first.item_num)
    there = torch.cat([part.inter_feat[part.uid_field] * width + part.inter_feat[part.iid_field] for part in datasets])
    known = torch.isin(ids[:, 0] * width + ids[:, 1], there)
    missing += [f"interaction {pairs[row]!r}" for row in (~known).nonzero().flatten().tolist()]
    return ids[known].T.contiguous()


def _blanked(feat: Any, gone: Mapping[str, Tensor]) -> Any:
    """A copy of side features in which everything but the ids of forgotten rows is zero."""
    from recbole.data.interaction import Interaction

    lost = torch.zeros(len(feat), dtype=torch.bool)
    for field, ids in gone.items():
        if field in feat:
            lost |= torch.isin(feat[field], ids)
    columns = {field: feat[field].clone() for field in feat}
    for field, values in columns.items():
        if field not in gone:
            values[lost] = 0
    return Interaction(columns)
