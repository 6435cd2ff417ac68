"""Requests: random images, classes, sub-classes, planted wrong labels."""

from __future__ import annotations

import pytest
import torch

from graphforget.errors import InputError, UnknownName
from graphforget.forget import ForgetSplit
from graphforget.vision.data import load_splits
from graphforget.vision.selectors import draw
from tests.small import same_random_state

PARTS = load_splits("digits_images", seed=0)


@pytest.mark.parametrize(("size", "expected"), [({"ratio": 10}, 125), ({"count": 7}, 7)])
@pytest.mark.parametrize("kind", ["sample", "label_noise"])
def test_rows_are_drawn_from_the_training_part(kind, size, expected):
    with same_random_state():
        splits, request = draw(PARTS, kind, seed=1, **size)
    ids = request.parts["sample"]
    assert len(ids) == expected
    assert set(ids.tolist()) <= set(PARTS.train.rows().tolist())
    assert torch.equal(draw(PARTS, kind, seed=1, **size)[1].parts["sample"], ids)
    assert not torch.equal(draw(PARTS, kind, seed=2, **size)[1].parts["sample"], ids)
    changed = (splits.train.y != PARTS.train.y).nonzero().flatten()
    assert torch.equal(changed, ids.sort().values if kind == "label_noise" else ids[:0])
    assert splits.val is PARTS.val
    assert ForgetSplit.of(splits.train, request, splits.val).forget.size == expected


def test_a_class_goes_whole():
    splits, request = draw(PARTS, "class", count=2, seed=3)
    split = ForgetSplit.of(splits.train, request, splits.val)
    assert not torch.isin(split.retain.y[split.retain.rows()], request.parts["class"]).any()
    assert not torch.isin(split.held_out.y[split.held_out.rows()], request.parts["class"]).any()


def test_sub_classes_lie_inside_their_class():
    splits, request = draw(PARTS, "subclass", count=1, seed=0)
    groups, rows = splits.train.groups, splits.train.rows()
    assert torch.equal(groups.div(4, rounding_mode="floor"), splits.train.y)
    assert len(groups[rows].unique()) == 40
    split = ForgetSplit.of(splits.train, request, splits.val)
    label = split.forget.y[split.forget.rows()].unique()
    assert len(label) == 1
    assert label in split.retain.y[split.retain.rows()]


@pytest.mark.parametrize(
    ("kind", "size", "message"),
    [
        ("klass", {"count": 1}, "did you mean 'class'"),
        ("sample", {}, "either a ratio in per cent or a count"),
        ("sample", {"count": 1, "ratio": 1.0}, "either a ratio"),
        ("class", {"ratio": 10.0}, "is drawn by count"),
        ("class", {"count": 10}, "between 1 and 9 of 10"),
        ("sample", {"count": 0}, "got 0"),
        ("sample", {"ratio": 100.0}, "got 1258"),
    ],
)
def test_what_does_not_fit_is_refused(kind, size, message):
    with pytest.raises((InputError, UnknownName), match=message):
        draw(PARTS, kind, **size)
