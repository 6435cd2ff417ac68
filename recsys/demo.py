"""The demo's second half: a recommender on MovieLens 100K forgets a user, beside gold and the noise floor."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.graph import Graph
from graphforget.report import Report
from graphforget.splits import Splits
from graphforget.task import evaluating
from graphforget.train import Recipe, seeded
from graphforget.trial import try_out
from graphforget.unlearner import Unlearned, Unlearner
from recsys import metrics, selectors
from recsys.data import load_splits, load_vocabulary
from recsys.mmrecun import MMRecUN
from recsys.mmrecun_calibrated import CalibratedMMRecUN
from recsys.models.lightgcn import LightGCN
from recsys.row_reset import RowReset
from recsys.task import Recommendation, embed

COLUMNS = [
    ("test", "recall@20"),
    ("forget", "recall@20"),
    ("forget", "js_to_gold"),
    ("test", "overlap@20"),
    ("all", "seconds"),
]
METHODS: dict[str, Unlearner] = {
    "row_reset": RowReset(),
    "mmrecun": MMRecUN(),
    "mmrecun_calibrated": CalibratedMMRecUN(),
}
RECIPE = Recipe(epochs=30, patience=10, lr=2e-2, batch_size=8192, eval_every=5)  # short: a demo, not a benchmark
DIM = 32
SHOWN = 20  # films recommended
NAMED = 5  # of them by their titles
DRAWS = 500  # untrained rows a gold


class Shown(NamedTuple):
    """What the recommender half has to show.

    Args:
        report: original, golds and methods.
        story: what the forgotten user was and is recommended, in plain words.
    """

    report: Report
    story: str


def run_demo(*, seed: int = 0, say: Callable[[str], None] = print) -> Shown:
    """Train LightGCN on MovieLens 100K, forget one active user with three methods, and compare with three golds.

    Args:
        seed: of split, request and models.
        say: receives a line before each step.

    Raises:
        MissingExtra: the data are in no folder and RecBole, whose wheel holds them, is not installed.
    """
    task = Recommendation(recipe=RECIPE)
    splits, names = load_splits("ml100k", seed=seed), load_vocabulary("ml100k")
    users, films = splits.train.size
    say(f"ml-100k: {users} users, {films:,} films, {splits.train.num_edges:,} training ratings")
    user = active_user(splits, seed)
    split = ForgetSplit.of(splits.train, ForgetRequest.of("user", [user]), splits.val)
    with seeded(seed):
        blank = LightGCN(users, films, dim=DIM)
    rated = split.forget.edge_index[1]
    request = f"user {names.users[user]} and all {len(rated)} ratings"
    keys = {"dataset": "ml100k", "seed": seed}
    tried = try_out(task, split, splits.test, blank, METHODS, seed=seed, keys=keys, request=request, say=say)
    before = recommended(Unlearned(tried.original, split.data, {}), user)
    after = {name: recommended(result, user) for name, result in tried.results.items()}
    told = story(names.users[user], rated, before, after, chance(tried.golds, rated, seed), names.titles)
    return Shown(tried.report, told)


def active_user(splits: Splits[Graph], seed: int) -> int:
    """One of the fifth of the users with the most training ratings, by the seed."""
    active = selectors.draw(splits, "user", ratio=20, pool="active", seed=seed).parts["user"]
    return int(active[int(np.random.default_rng(seed).integers(len(active)))])


def recommended(result: Unlearned, user: int) -> Tensor:
    """[SHOWN] items a model recommends to a user, best first; nothing is hidden, not even what the user has rated."""
    with evaluating(result.model), torch.no_grad():
        users, items = embed(result.model, result.context)
    nothing = np.zeros(len(users) + 1, dtype=np.int64), np.empty(0, dtype=np.int64)
    return torch.from_numpy(metrics.rank(users, items, torch.tensor([user]), nothing, SHOWN).items[0])


def chance(golds: Sequence[Unlearned], rated: Tensor, seed: int) -> tuple[int, int]:
    """How many of the rated films golds show to a user whose row was never trained: 5 % and 95 % of many draws."""
    rng = torch.Generator().manual_seed(seed)
    counts = []
    for gold in golds:
        with evaluating(gold.model), torch.no_grad():
            _, items = embed(gold.model, gold.context)
        rows = torch.rand(DRAWS, items.shape[1], generator=rng) * 2 - 1  # only its direction matters
        counts.append(torch.isin((rows @ items.T).topk(SHOWN).indices, rated).sum(1))
    low, high = torch.cat(counts).double().quantile(torch.tensor([0.05, 0.95], dtype=torch.float64)).tolist()
    return round(low), round(high)


def story(
    name: str,
    rated: Tensor,
    before: Tensor,
    after: Mapping[str, Tensor],
    spread: tuple[int, int],
    titles: tuple[str, ...] | None,
) -> str:
    """Say how many of the recommended films the forgotten user had rated: before, after, and under gold.

    Args:
        name: of the user.
        rated: [n] the films that were forgotten with the user.
        before: [k] recommended by the original.
        after: method -> [k] recommended by it.
        spread: from and to how many a model that never saw the user shows.
        titles: of all films, or None where they are not known.

    Example:
        >>> films = torch.arange(4)
        >>> print(story("7", films[:2], films[:2], {"reset": films[1:3]}, (0, 1), ("A", "B", "C", "D")))
        Of 2 films recommended to the forgotten user 7, the user had rated 2 before; after reset 1.
        Models that never saw the user (gold) show 0 to 1 of them, by the chance of an untrained row.
        Before (* rated): A*, B*
        After reset: B*, C
    """

    def known(items: Tensor) -> int:
        return int(torch.isin(items, rated).sum())

    def named(items: Tensor) -> str:
        words = [str(item) if titles is None else titles[item] for item in items[:NAMED].tolist()]
        return ", ".join(word + "*" * known(item) for word, item in zip(words, items[:NAMED], strict=True))

    counts = ", ".join(f"{method} {known(items)}" for method, items in after.items())
    where = f"Of {len(before)} films recommended to the forgotten user {name}"
    range_of = f"{spread[0]} to {spread[1]} of them"
    lines = [
        f"{where}, the user had rated {known(before)} before; after {counts}.",
        f"Models that never saw the user (gold) show {range_of}, by the chance of an untrained row.",
        f"Before (* rated): {named(before)}",
    ]
    if after:
        method, items = list(after.items())[-1]
        lines.append(f"After {method}: {named(items)}")
    return "\n".join(lines)
