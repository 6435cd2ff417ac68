"""Reference networks: shapes, a fresh copy that was never trained, and what is said without a package."""

from __future__ import annotations

import sys

import pytest
import torch

from graphforget.errors import MissingExtra, UnknownName
from graphforget.fresh import fresh
from graphforget.train import seeded
from graphforget.vision.layers import head, weighted
from graphforget.vision.models import MODELS, build
from tests.small import storages


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32)])
@pytest.mark.parametrize("name", MODELS)
def test_networks_answer_and_can_be_made_anew(name, shape):
    if name == "vit":
        pytest.importorskip("transformers")
    with seeded(0):
        model = build(name, shape, 7).eval()
    x = torch.rand(3, *shape)
    assert model(x).shape == (3, 7)
    new = fresh(model, 1).eval()
    assert not storages(new) & storages(model)
    assert not torch.equal(new(x), model(x))
    assert torch.equal(fresh(model, 1).eval()(x), new(x))
    assert head(model, "x")[1].out_features == 7
    assert weighted(model, "x")


def test_a_resnet_has_the_published_number_of_weights():
    """11.69 million with 1,000 classes."""
    assert sum(p.numel() for p in build("resnet18", (3, 32, 32), 1000).parameters()) == 11_689_512


def test_names_and_packages_that_are_missing_are_said(monkeypatch):
    with pytest.raises(UnknownName, match="did you mean 'resnet18'"):
        build("resnet19", (1, 8, 8), 2)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtra, match=r"graphforget\[vision\]"):
        build("vit", (1, 8, 8), 2)
