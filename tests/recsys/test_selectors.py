"""Requests that are drawn: sizes, pools, ties, preferences, planted users, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from graphforget.errors import InputError, UnknownName
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.graph import Graph
from graphforget.splits import Splits
from recsys.data import load_splits, load_vocabulary
from recsys.selectors import KINDS, draw, poison, preference
from tests.small import edges_of, same_random_state, snapshot

USERS, ITEMS = 50, 40


def splits_of(*, seed: int = 0, **changes) -> Splits[Graph]:
    """User u has u % 10 interactions, so 0, 10, ... have none; item 39 has none."""
    rng = np.random.default_rng(seed)
    rows = [(u, int(i)) for u in range(USERS) for i in rng.choice(ITEMS - 1, u % 10, replace=False)]
    edges = torch.tensor(rows)[torch.from_numpy(rng.permutation(len(rows)))].T.contiguous()
    attrs = {"time": torch.from_numpy(rng.permutation(edges.shape[1]).astype(np.float64))}
    attrs["rating"] = torch.from_numpy(rng.integers(1, 6, edges.shape[1]).astype(np.float32))
    features = {"image": torch.ones(ITEMS, 2), "text": torch.ones(ITEMS, 3)}
    train = Graph(edges, (USERS, ITEMS), bipartite=True, features=features, edge_attrs=attrs)
    held = replace(train, edge_index=torch.tensor([[0], [39]]), edge_attrs={k: v[:1] for k, v in attrs.items()})
    return Splits(replace(train, **changes), held, held)


def degrees(splits: Splits[Graph], side: int) -> torch.Tensor:
    return torch.bincount(splits.train.edge_index[side], minlength=splits.train.size[side])


# --- what is drawn


@pytest.mark.parametrize(
    ("kind", "sizes"),
    [
        ("user", {"user": 5}),
        ("item", {"item": 4}),
        ("user_item", {"user": 5, "item": 4}),
        ("user_interaction", {"user": 5, "interaction": 20}),  # a tenth of what the other 40 users have
        ("interaction", {"interaction": 22}),  # 22.5 rounds to the even
        ("modality", {"modality:image": 4}),
    ],
)
def test_a_ratio_is_percent_of_all_there_are(kind, sizes):
    splits = splits_of()
    assert splits.train.num_edges == 225
    with same_random_state():
        request = draw(splits, kind, ratio=10)
    assert {name: ids.shape[-1] for name, ids in request.parts.items()} == sizes
    assert all(ids.dtype == torch.int64 for ids in request.parts.values())


@pytest.mark.parametrize("kind", KINDS)
def test_a_draw_follows_its_seed_and_changes_nothing(kind):
    splits = splits_of()
    before = snapshot(splits.train)
    one, two = draw(splits, kind, count=3), draw(splits, kind, count=3)
    others = {draw(splits, kind, count=3, seed=seed).digest for seed in range(1, 6)}
    assert one.digest == two.digest
    assert len(others | {one.digest}) > 1
    after = snapshot(splits.train)
    assert all(after[name].equal(before[name]) for name in before)


@pytest.mark.parametrize("kind", KINDS)
def test_every_request_splits_the_data(kind):
    splits = splits_of()
    split = ForgetSplit.of(splits.train, draw(splits, kind, count=3), splits.val)
    assert split.retain.size == splits.train.size
    if kind != "modality":
        parts = edges_of(split.forget.edge_index) + edges_of(split.retain.edge_index)
        assert parts == edges_of(splits.train.edge_index)


def test_users_and_interactions_together_are_of_different_users():
    for seed in range(5):
        parts = draw(splits_of(), "user_interaction", ratio=20, seed=seed).parts
        assert not torch.isin(parts["interaction"][0], parts["user"]).any()


def test_only_those_with_a_train_interaction_are_drawn():
    splits = splits_of()
    users = draw(splits, "user", count=45).parts["user"]
    assert sorted(users.tolist()) == [u for u in range(USERS) if u % 10]
    with pytest.raises(InputError, match=r"random users with a train interaction holds 45, but 46 are asked for"):
        draw(splits, "user", count=46)
    there = int((degrees(splits, 1) > 0).sum())
    with pytest.raises(InputError, match=rf"items with a train interaction holds {there}, but {there + 1} are"):
        draw(splits, "item", count=there + 1)


def test_a_modality_can_go_from_all_items():
    splits = splits_of()
    rows = draw(splits, "modality", ratio=100, modality="text").parts["modality:text"]
    assert sorted(rows.tolist()) == list(range(ITEMS))


def test_users_are_drawn_uniformly():
    splits = splits_of()
    hits = sum(
        torch.bincount(draw(splits, "user", count=9, seed=seed).parts["user"], minlength=USERS) for seed in range(200)
    )
    hits = hits[degrees(splits, 0) > 0]
    expected = 200 * 9 / 45
    assert float(((hits - expected) ** 2 / expected).sum()) < 78.7  # chi-square, 44 degrees of freedom, p = .001


# --- pools


@pytest.mark.parametrize(("pool", "left"), [("active", range(9, 50, 10)), ("inactive", range(1, 50, 10))])
def test_active_and_inactive_users_are_the_extremes(pool, left):
    for kind in ("user", "user_item", "user_interaction"):
        assert sorted(draw(splits_of(), kind, ratio=10, pool=pool).parts["user"].tolist()) == list(left)


@pytest.mark.parametrize("pool", ["head", "tail"])
def test_head_and_tail_items_are_the_extremes(pool):
    splits = splits_of()
    degree = degrees(splits, 1)
    order = degree[degree > 0].sort(descending=pool == "head").values
    for kind in ("item", "user_item"):
        drawn = draw(splits, kind, count=6, pool=pool).parts["item"]
        assert degree[drawn].tolist() == order[:6].tolist()
    drawn = draw(splits, "modality", count=6, pool=pool).parts["modality:image"]
    assert (39 in drawn.tolist()) == (pool == "tail")  # which nobody has, but which has an image


def test_ties_are_drawn():
    drawn = {tuple(draw(splits_of(), "user", count=2, pool="active", seed=seed).parts["user"]) for seed in range(20)}
    assert len(drawn) > 3


@pytest.mark.parametrize("pool", ["active", "inactive", "head", "tail"])
def test_interactions_of_a_pool_belong_to_an_extreme_fifth(pool):
    splits = splits_of()
    side = 0 if pool.endswith("active") else 1
    pairs = draw(splits, "interaction", count=4, pool=pool).parts["interaction"]
    degree = degrees(splits, side)
    ordered = degree[degree > 0].sort(descending=pool in ("active", "head")).values
    edge = int(ordered[round(0.2 * len(ordered)) - 1])
    own = degree[pairs[side]]
    assert bool((own >= edge).all() if pool in ("active", "head") else (own <= edge).all())
    assert splits.train.has_edges(pairs).all()


def test_a_pool_of_interactions_that_is_too_small_is_named():
    with pytest.raises(InputError, match=r"pool of inactive interactions holds \d+, but 100 are asked for"):
        draw(splits_of(), "interaction", count=100, pool="inactive")


def test_parallel_interactions_are_one_pair():
    splits = splits_of()
    twice = splits_of(edge_index=splits.train.edge_index.repeat(1, 2), edge_attrs={})
    pairs = draw(twice, "interaction", ratio=100).parts["interaction"]
    assert pairs.shape[1] == 225
    assert preference(twice, genres=[["A"]] * 20 + [["B"]] * 20).parts["interaction"].unique(dim=1).shape[1] > 0


def test_what_is_removed_is_not_drawn_again():
    splits = splits_of()
    request = draw(splits, "user", count=5, pool="active") + ForgetRequest.of("item", [3, 39])
    split = ForgetSplit.of(splits.train, request, splits.val)
    left = Splits(split.retain, split.held_out, splits.test)
    again = draw(left, "user", count=40).parts["user"]
    assert not set(again.tolist()) & set(request.parts["user"].tolist())
    rows = draw(left, "modality", count=38).parts["modality:image"]
    assert sorted({3, 39} | set(rows.tolist())) == list(range(ITEMS))
    with pytest.raises(InputError, match="pool of random items holds 38, but 39"):
        draw(left, "modality", count=39)


# --- preferences


def test_a_preference_by_time_is_the_older_half_of_one_user():
    splits = splits_of()
    train = splits.train
    for seed in range(10):
        pairs = draw(splits, "preference", seed=seed).parts["interaction"]
        user = int(pairs[0, 0])
        assert (pairs[0] == user).all()
        own = train.edge_index[0] == user
        assert pairs.shape[1] == int(own.sum()) // 2
        times = train.edge_attrs["time"]
        gone = times[train.locate(pairs)]
        kept = own.clone()
        kept[train.locate(pairs)] = False
        assert gone.max() < times[kept].min()


def test_a_preference_by_genre_takes_all_of_the_genre_and_leaves_something():
    splits = splits_of()
    genres = [("A",) if item % 2 else ("B", "C") for item in range(ITEMS)]
    seen = set()
    for seed in range(20):
        pairs = preference(splits, genres=genres, count=2, seed=seed).parts["interaction"]
        users = pairs[0].unique().tolist()
        assert len(users) == 2
        for user in users:
            gone = set(pairs[1, pairs[0] == user].tolist())
            own = set(splits.train.edge_index[1, splits.train.edge_index[0] == user].tolist())
            odd = {item for item in own if item % 2}
            assert gone in (odd, own - odd)
            assert own - gone
            seen.add(gone == odd)
    assert seen == {True, False}


def test_preferences_follow_the_pool_of_users():
    pairs = preference(splits_of(), count=5, pool="active").parts["interaction"]
    assert pairs[0].unique().tolist() == [9, 19, 29, 39, 49]
    assert draw(splits_of(), "preference", ratio=10, pool="active").parts["interaction"].equal(pairs)


def test_a_preference_that_cannot_be_had_is_refused():
    splits = splits_of()
    with pytest.raises(InputError, match=r"needs genres= \(of load_vocabulary\) or edge_attrs\['time'\]"):
        draw(splits_of(edge_attrs={}), "preference")
    with pytest.raises(InputError, match="40 users of the pool random have two train interactions, but 41 are asked"):
        preference(splits, count=41)
    with pytest.raises(InputError, match="0 users of the pool random have a genre that some but not all"):
        preference(splits, genres=[["A"]] * ITEMS)
    with pytest.raises(InputError, match=r"genres must be given for all 40 items \(got 2\)"):
        preference(splits, genres=[["A"], ["B"]])
    with pytest.raises(UnknownName, match="unknown pool of users"):
        preference(splits, pool="head")
    with pytest.raises(InputError, match="at least one element"):
        draw(splits, "preference", count=0)


# --- planted users


def test_planted_users_push_the_target():
    splits = splits_of()
    with same_random_state():
        poisoned, request = poison(splits, users=4, items_each=6, target=7, seed=3)
    train = poisoned.train
    assert request.parts["user"].tolist() == [50, 51, 52, 53]
    assert [view.size for view in poisoned] == [(54, ITEMS)] * 3
    for user in range(50, 54):
        items = train.edge_index[1, train.edge_index[0] == user].tolist()
        assert len(set(items)) == len(items) == 6
        assert 7 in items
    new = train.edge_index[0] >= 50
    assert (train.edge_attrs["rating"][new] == 5).all()
    assert (train.edge_attrs["time"][new] == 224).all()
    assert int(degrees(poisoned, 1)[7]) == int(degrees(splits, 1)[7]) + 4
    for old, grown in zip(splits[1:], poisoned[1:], strict=True):
        assert grown.edge_index.equal(old.edge_index)
    again = poison(splits, users=4, items_each=6, target=7, seed=3)[0]
    other = poison(splits, users=4, items_each=6, target=7, seed=4)[0]
    assert again.train.edge_index.equal(train.edge_index)
    assert not other.train.edge_index.equal(train.edge_index)


def test_the_request_takes_the_planted_users_out_again():
    splits = splits_of()
    poisoned, request = poison(splits, users=3, items_each=2, target=0)
    split = ForgetSplit.of(poisoned.train, request, poisoned.val)
    assert split.retain.edge_index.equal(splits.train.edge_index)
    assert split.retain.edge_attrs["time"].equal(splits.train.edge_attrs["time"])
    assert (split.forget.edge_index[0] >= USERS).all()


def test_planted_users_may_have_every_item():
    poisoned, _ = poison(splits_of(), users=1, items_each=ITEMS, target=ITEMS - 1)
    items = poisoned.train.edge_index[1, poisoned.train.edge_index[0] == USERS]
    assert sorted(items.tolist()) == list(range(ITEMS))


def test_other_items_of_planted_users_are_drawn_by_popularity():
    splits = splits_of()
    poisoned, _ = poison(splits, users=1200, items_each=2, target=7)
    new = poisoned.train.edge_index[:, 225:]
    hits = torch.bincount(new[1], minlength=ITEMS)
    assert int(hits[7]) == 1200
    rest = torch.arange(ITEMS) != 7
    shares = (1.0 + degrees(splits, 1))[rest]
    expected = 1200 * shares / shares.sum()
    assert float(((hits[rest] - expected) ** 2 / expected).sum()) < 70.7  # chi-square, 38 degrees of freedom, p = .001


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"target": 40}, r"target must be an item row in \[0, 40\) \(got 40\)"),
        ({"target": -1}, r"target must be an item row"),
        ({"users": 0}, r"plant 1 user or more .*got users=0"),
        ({"items_each": 0}, r"with 1 to 40 items each \(got users=2, items_each=0\)"),
        ({"items_each": 41}, r"items_each=41"),
    ],
)
def test_planting_that_cannot_be_done_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        poison(splits_of(), **{"users": 2, "items_each": 3, "target": 7, **arguments})


def test_poison_needs_fresh_splits():
    splits = splits_of()
    retain = splits.train.partition(draw(splits, "user", count=2).parts)[1]
    with pytest.raises(InputError, match="poison goes into fresh splits"):
        poison(Splits(retain, splits.val, splits.test), users=1, items_each=1, target=0)
    with pytest.raises(InputError, match=r"can only carry rating and time \(got \['weight'\]\)"):
        poison(splits_of(edge_attrs={"weight": torch.ones(225)}), users=1, items_each=1, target=0)


# --- what is refused


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "users"}, "unknown kind .*did you mean 'user'"),
        ({"pool": "activ"}, "unknown pool .*did you mean 'active'"),
        ({"pool": "head"}, r"the pool 'head' is of the other side \(got kind 'user'\)"),
        ({"kind": "item", "pool": "active"}, "the pool 'active' is of the other side"),
        ({"kind": "modality", "pool": "inactive"}, "the pool 'inactive' is of the other side"),
        ({"kind": "preference", "pool": "tail"}, "the pool 'tail' is of the other side"),
        ({"kind": "modality", "modality": "texts"}, "unknown modality .*did you mean 'text'"),
        ({"modality": "text"}, "modality belongs to the kind 'modality'"),
        ({"ratio": 5}, r"either a ratio in percent or a count \(got ratio=5, count=3\)"),
        ({"count": None}, "either a ratio in percent or a count"),
        ({"count": None, "ratio": 101}, r"must lie in \(0, 100\] \(got 101\)"),
        ({"count": None, "ratio": 0.5}, r"at least one element \(got 0 of 50 users\)"),
        ({"count": -1}, r"at least one element \(got -1 of 50 users\)"),
    ],
)
def test_a_draw_that_makes_no_sense_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        draw(splits_of(), **{"kind": "user", "count": 3, **arguments})


def test_items_without_modalities_have_none_to_forget():
    with pytest.raises(InputError, match="no modality to forget"):
        draw(splits_of(features={}), "modality", count=1)


def test_a_genre_of_a_real_user(data_root):
    if not (data_root / "ml_posters").is_dir():
        pytest.skip("needs ml_posters")
    splits, names = load_splits("ml_posters", data_root), load_vocabulary("ml_posters", data_root)
    pairs = preference(splits, genres=names.genres, seed=1).parts["interaction"]
    shared = set.intersection(*(set(names.genres[item]) for item in pairs[1].tolist()))
    assert shared
    assert len(pairs[0].unique()) == 1
