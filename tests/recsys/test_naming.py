"""Requests by raw names: translated, unknown ones listed, and the rest only when it is asked for."""

from __future__ import annotations

import pytest
import torch

from graphforget.errors import InputError
from graphforget.graph import Graph
from recsys.cards import Vocabulary
from recsys.naming import named_request

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
