"""What one recommender recommends, on every part of a request: the figures of the field and its distance to another.

Masks are those of the retain part for every model: what a user keeps is not shown again, what the request takes away
may be. A recall of forgotten interactions is therefore comparable between original, gold and unlearned.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from graphforget import metrics as base
from graphforget.attack import tpr_at_1pct_fpr
from graphforget.forget import ForgetSplit
from graphforget.graph import Graph
from recsys import derived, metrics

IntArray = npt.NDArray[np.int64]
SEED = 20_231  # of the items that forgotten pairs are compared with: the same for every model
COMPARED = 400  # users whose whole score rows are compared


@dataclass(frozen=True, eq=False)
class Part:
    """Users and their positives in one part."""

    ranked: metrics.Rankings
    truth: tuple[IntArray, IntArray]


@dataclass(frozen=True, eq=False)
class Profile:
    """Rankings of one model.

    Args:
        user: [U, d].
        item: [I, d].
        parts: forget, retain, valid and test.
        pairs: [2, F] the forgotten interactions.
        held: [2, H] test interactions of the users that the request speaks for, those of removed users among them.
        near: [n] bool, which users of the test part the request speaks for.
        active: [n] bool, which users of the test part have more than the median of retained interactions.
        groups: the test part with the most popular fifth of the items as positives (``head``), and with the rest.
    """

    user: Tensor
    item: Tensor
    parts: Mapping[str, Part]
    pairs: Tensor
    held: Tensor
    near: npt.NDArray[np.bool_]
    active: npt.NDArray[np.bool_]
    groups: Mapping[str, Part]

    @classmethod
    def of(cls, user: Tensor, item: Tensor, split: ForgetSplit[Graph], test: Graph, max_users: int | None) -> Profile:
        """Rank for the users of every part.

        Args:
            user: [U, d].
            item: [I, d].
            split: the request.
            test: interactions that no model was trained or chosen on; those of removed users and items are left out.
            max_users: rank for at most so many users of a part.
        """
        retain = split.retain
        kept = remaining(test, retain)
        shown = derived.of(retain).positives

        def part(view: Graph, mask: tuple[IntArray, IntArray]) -> Part:
            users = metrics.thinned(view.edge_index[0].unique(), max_users)
            return Part(metrics.rank(user, item, users, mask, max(metrics.CUTS)), derived.of(view).positives)

        nothing = np.zeros(retain.size[0] + 1, dtype=np.int64), np.empty(0, dtype=np.int64)
        parts = {
            "forget": part(split.forget, shown),
            "retain": part(split.untouched, nothing),
            "valid": part(split.held_out, shown),
            "test": part(kept, shown),
        }
        asked = torch.from_numpy(parts["test"].ranked.users)
        spoken = torch.zeros(retain.num_nodes, dtype=torch.bool)
        spoken[split.forget.edge_index[0]] = True
        degree = derived.of(retain).user_degree
        popular = derived.of(retain).item_degree
        head = popular >= popular.double().quantile(0.8)
        groups = {
            name: part(kept.with_edges(chosen[kept.edge_index[1]]), shown)
            for name, chosen in (("head", head), ("tail", ~head))
        }
        return cls(
            user,
            item,
            parts,
            split.forget.edge_index,
            test.edge_index[:, spoken[test.edge_index[0]]],
            spoken[asked].numpy(),
            (degree[asked] > degree[asked].median()).numpy(),
            groups,
        )

    def figures(self) -> dict[tuple[str, str], float]:
        """recall, ndcg, precision of every part; groups, coverage and gini on test; membership of the forgotten."""
        found: dict[tuple[str, str], float] = {}
        for name, part in self.parts.items():
            for metric, value in metrics.figures(part.ranked, part.truth).items():
                found[name, metric] = float(value.mean())
        test = self.parts["test"]
        recall = metrics.figures(test.ranked, test.truth, (20,))["recall@20"]
        for name, rows in (("active", self.active), ("inactive", ~self.active)):
            if rows.any():
                found["test", f"recall@20_{name}"] = float(recall[rows].mean())
        for name, part in self.groups.items():
            if len(part.ranked.users):
                value = metrics.figures(part.ranked, part.truth, (20,))["recall@20"]
                found["test", f"recall@20_{name}"] = float(value.mean())
        found["test", "coverage@20"] = metrics.coverage(test.ranked, len(self.item), 20)
        found["test", "gini@20"] = metrics.gini(test.ranked, len(self.item), 20)
        own = self._belief(self.pairs)
        drawn = torch.randint(len(self.item), (self.pairs.shape[1],), generator=torch.Generator().manual_seed(SEED))
        other = self._belief(torch.stack([self.pairs[0].cpu(), drawn]).to(self.pairs.device))
        found["forget", "pair_auc"] = float((own > other).double().mean())
        found["forget", "belief"] = float(own.mean())
        if self.held.shape[1]:  # held-out pairs of the same users: random pairs would flatter every model
            unseen = self._belief(self.held)
            found["all", "mia_auc_same_users"] = base.auc(own, unseen)
            if len(unseen) >= 100:  # else one per cent of them is nobody
                found["all", "mia_tpr_at_1pct_fpr_same_users"] = tpr_at_1pct_fpr(own, unseen)
        return found

    def apart(self, other: Profile) -> dict[tuple[str, str], float]:
        """Overlap of the best items, and Jensen-Shannon divergence of the score rows, on retained users."""
        found: dict[tuple[str, str], float] = {}
        mine, theirs = self.parts["test"].ranked, other.parts["test"].ranked
        for k in (10, 20):
            value = metrics.overlap(mine, theirs, k)
            found["test", f"overlap@{k}"] = float(value.mean())
            for name, rows in (("near", self.near), ("far", ~self.near)):
                if rows.any():
                    found["test", f"overlap@{k}_{name}"] = float(value[rows].mean())
        users = torch.from_numpy(mine.users[:COMPARED]).to(self.user.device)
        found["test", "js_rows_to_gold"] = metrics.divergence(self.user, self.item, other.user, other.item, users)
        forgotten = self.parts["forget"].ranked, other.parts["forget"].ranked
        found["forget", "overlap@20"] = float(metrics.overlap(*forgotten, 20).mean())
        return found

    def _belief(self, pairs: Tensor) -> Tensor:
        """[n] a pair's score above the user's mean."""
        u = self.user.index_select(0, pairs[0])
        return (u * (self.item.index_select(0, pairs[1]) - self.item.mean(0))).sum(1)


def remaining(view: Graph, retain: Graph) -> Graph:
    """Return a view without the interactions of the users and items that a request removed.

    Args:
        view: held-out or test interactions.
        retain: the retained part.
    """
    if retain.removed is None:
        return view
    ends = view.edge_index + torch.tensor([[0], [retain.size[0]]], device=view.device)
    return view.with_edges(~retain.removed[ends].any(0))
