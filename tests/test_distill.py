"""Preserver and destroyer: pairing of batches, divergences, layers, weights of the terms."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from graphforget.distill import combine, layerwise, paired, soft
from graphforget.errors import InputError
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.gnn.task import LinkPrediction, NodeClassification
from graphforget.train import Recipe
from tests import naive_methods
from tests.small import edges_of, sbm


def split_of(kind, ids):
    graph = sbm()
    return ForgetSplit.of(graph, ForgetRequest.of(kind, ids), graph)


@pytest.mark.parametrize("size", [None, 40, 3])
def test_an_epoch_meets_every_retained_and_every_forgotten_edge_once(size):
    split, task = split_of("edge", list(range(20))), LinkPrediction(recipe=Recipe(batch_size=size))
    forget = task.elements(split.retain, split.forget)
    steps = list(paired(task, split.retain, split.untouched, forget, torch.Generator().manual_seed(0)))
    kept = torch.cat([batch.index[:, batch.label == 1] for batch, _ in steps], dim=1)
    gone = torch.cat([rows.index for _, rows in steps if rows is not None], dim=1)
    assert edges_of(kept) == edges_of(split.retain.pairs())
    assert edges_of(gone) == edges_of(split.forget.pairs())
    sizes = [0 if rows is None else rows.size for _, rows in steps]
    assert max(sizes) - min(sizes) <= 1  # spread evenly


@pytest.mark.parametrize("size", [None, 9])
def test_forgotten_nodes_are_still_asked_in_isolation_after_shuffling(size):
    split, task = split_of("node", [1, 2, 3, 4]), NodeClassification(recipe=Recipe(batch_size=size))
    forget = task.elements(split.retain, split.forget)
    steps = [rows for _, rows in paired(task, split.retain, split.untouched, forget, torch.Generator()) if rows]
    assert sorted(torch.cat([rows.index for rows in steps]).tolist()) == [1, 2, 3, 4]
    for rows in steps:
        assert rows.label.equal(split.data.y[rows.index])
        assert rows.input.x[rows.index].equal(split.data.x[rows.index])


def test_without_a_forgotten_element_only_the_retained_are_met():
    split, task = split_of("edge", [0]), LinkPrediction()
    ((batch, rows),) = paired(task, split.retain, split.untouched, None, torch.Generator())
    assert rows is None
    assert batch.size == 2 * split.retain.pairs().shape[1]


def test_nothing_to_preserve_is_an_error():
    split, task = split_of("edge", [0]), LinkPrediction()
    nothing = split.retain.with_edges(torch.arange(0))
    with pytest.raises(InputError, match="nothing is left"):
        list(paired(task, split.retain, nothing, task.elements(split.retain, split.forget), torch.Generator()))


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_soft_targets_equal_numpy(temperature):
    split, task = split_of("edge", list(range(6))), LinkPrediction()
    batch, rng = task.elements(split.retain, split.forget), torch.Generator().manual_seed(1)
    t, s = torch.randn(2, batch.size, dtype=torch.float64, generator=rng)
    asks = [lambda _, v=v: torch.stack([torch.zeros_like(v), v], dim=1) for v in (t, s)]
    wanted = naive_methods.bernoulli_kl(t.numpy(), s.numpy(), temperature)
    np.testing.assert_allclose(soft(task, *asks, batch, temperature).numpy(), wanted, rtol=1e-10)


def test_layers_equal_numpy_and_an_empty_one_counts_nothing():
    rng = torch.Generator().manual_seed(1)
    teacher = {"a": torch.randn(4, 3, generator=rng), "b": torch.randn(4, 2, generator=rng), "none": torch.zeros(0, 5)}
    student = {name: torch.randn(value.shape, generator=rng) for name, value in teacher.items()}
    wanted = sum(((student[k].numpy() - teacher[k].numpy()) ** 2).sum(1).mean() for k in ("a", "b"))
    assert float(layerwise(teacher, student)) == pytest.approx(float(wanted), rel=1e-6)


def test_terms_are_weighed_as_documented():
    keep, drop = torch.tensor([1.0, 2.0, 6.0]), torch.tensor([4.0, 8.0])
    assert float(combine(keep, drop, alpha=0.2, weighting="mean", forget_weight=9.0)) == pytest.approx(0.6 + 4.8)
    assert float(combine(keep, None, alpha=0.2, weighting="mean", forget_weight=9.0)) == pytest.approx(0.6)
    found = combine(keep, drop, alpha=0.2, weighting="per_element", forget_weight=2.0)
    assert float(found) == pytest.approx((9 + 2 * 12) / 5)
    assert float(combine(keep, None, alpha=0.2, weighting="per_element", forget_weight=2.0)) == pytest.approx(3)


def test_the_divergence_does_not_train_the_teacher():
    teacher = torch.randn(3, 2, requires_grad=True)
    student = torch.randn(3, 2, requires_grad=True)
    loss = LinkPrediction().divergence(teacher.detach(), student, 1.0).sum()
    loss.backward()
    assert teacher.grad is None
    assert student.grad.abs().sum() > 0
