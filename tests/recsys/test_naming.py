"""Requests by raw names: translated, unknown ones listed, and the rest only when it is asked for."""

from __future__ import annotations

import pytest
import torch

from graphforget.errors import InputError, UnknownName
from graphforget.graph import Graph
from recsys.cards import Vocabulary
from recsys.naming import Preference, named_request

NAMES = Vocabulary(("ann", "bob", "eve"), ("x", "y", "z"))
TRAIN = Graph(torch.tensor([[0, 1, 2], [1, 0, 2]]), (3, 3), bipartite=True)


def test_names_become_rows():
    pairs = [("ann", "y"), ("eve", "z"), ("ann", "y")]
    found = named_request(TRAIN, NAMES, users=["eve", "eve"], items=["x"], interactions=pairs)
    assert {kind: ids.tolist() for kind, ids in found.request.parts.items()} == {
        "user": [2],
        "item": [0],
        "interaction": [[0, 2], [1, 2]],
    }
    assert found.skipped == ()


def test_unknown_names_are_listed_and_the_rest_goes_on_only_when_asked():
    given = {"users": ["ann", "nobody"], "items": ["w"], "interactions": [("ann", "x"), ("bob", "x"), ("bob", "w")]}
    with pytest.raises(InputError, match="does not know 4 of the request") as caught:
        named_request(TRAIN, NAMES, **given)
    for part in ("user 'nobody'", "item 'w'", "interaction ('ann', 'x')", "interaction ('bob', 'w')", "--skip-missing"):
        assert part in str(caught.value)
    found = named_request(TRAIN, NAMES, **given, skip_missing=True)
    assert found.request.parts["user"].tolist() == [0]
    assert found.request.parts["interaction"].tolist() == [[1], [0]]
    assert len(found.skipped) == 4


def test_many_unknown_names_are_counted():
    with pytest.raises(InputError, match=r"user '19' and 5 more"):
        named_request(TRAIN, NAMES, users=[str(n) for n in range(25)])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "the request is empty"),
        ({"users": ["nobody"], "skip_missing": True}, "the request is empty"),
        ({"users": "ann"}, r"write \['ann'\]"),
    ],
)
def test_a_request_for_nothing_or_a_bare_string_is_refused(given, message):
    with pytest.raises(InputError, match=message):
        named_request(TRAIN, NAMES, **given)


FILMS = Vocabulary(("ann", "bob"), ("x", "y", "z"), genres=(("War",), ("War", "Crime"), ("Drama",)))
LIKED = Graph(
    torch.tensor([[0, 0, 0, 1, 1], [0, 1, 2, 0, 2]]),
    (2, 3),
    bipartite=True,
    features={"image": torch.ones(3, 2)},
    edge_attrs={"time": torch.tensor([10.0, 20.0, 30.0, 10.0, 20.0])},
)


@pytest.mark.parametrize(
    ("wish", "items"),
    [
        (Preference("ann", "War"), [0, 1]),
        (Preference("ann", until=30), [0, 1]),
        (Preference("ann", since=20), [1, 2]),
        (Preference("ann", "War", since=20, until=30), [1]),
    ],
)
def test_a_named_user_no_longer_likes_a_genre_or_a_period(wish, items):
    pairs = named_request(LIKED, FILMS, preferences=[wish]).request.parts["interaction"]
    assert pairs.tolist() == [[0] * len(items), items]


def test_preferences_add_to_interactions_and_name_each_once():
    wishes = [
        Preference("ann", "War"),
        Preference("ann", "Crime"),
        Preference("bob", "Crime"),
        Preference("eve", "War"),
    ]
    with pytest.raises(InputError, match=r"preference \(user 'bob', genre 'Crime'\), user 'eve'"):
        named_request(LIKED, FILMS, preferences=wishes)
    found = named_request(LIKED, FILMS, interactions=[("bob", "z")], preferences=wishes, skip_missing=True)
    assert found.request.parts["interaction"].tolist() == [[0, 0, 1], [0, 1, 2]]
    assert len(found.skipped) == 2


@pytest.mark.parametrize(
    ("names", "wish", "message"),
    [
        (FILMS, Preference("ann"), "needs a genre or a period"),
        (FILMS, Preference("ann", "Wars"), "did you mean 'War'"),
        (NAMES, Preference("ann", "War"), "the items have no genres"),
    ],
)
def test_a_preference_that_says_too_little_is_refused(names, wish, message):
    with pytest.raises(InputError, match=message):
        named_request(LIKED, names, preferences=[wish])


def test_a_period_needs_times():
    with pytest.raises(InputError, match="the interactions have no time"):
        named_request(TRAIN, NAMES, preferences=[Preference("ann", since=3)])


def test_withdrawn_features_are_named_by_modality_and_item():
    found = named_request(LIKED, FILMS, features={"image": ["z", "w"]}, skip_missing=True)
    assert {kind: ids.tolist() for kind, ids in found.request.parts.items()} == {"modality:image": [2]}
    assert found.skipped == ("item 'w'",)
    with pytest.raises(UnknownName, match="unknown modality"):
        named_request(LIKED, FILMS, features={"images": ["z"]})
