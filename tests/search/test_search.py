"""Cells, their discretisation, the unrolled gradient, and a search whose right answer is known."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from graphforget.errors import InputError
from graphforget.fresh import fresh
from graphforget.samples import Samples
from graphforget.search import models
from graphforget.search.darts import Search, unrolled
from graphforget.search.models import NAMES, Cell, CellNet, Genotype, genotype_of
from graphforget.train import Recipe, seeded
from graphforget.vision.task import ImageClassification
from tests.small import same_random_state


def test_the_mixing_weights_of_an_edge_sum_to_one():
    net = CellNet((1, 8, 8), 3, width=4, nodes=3)
    assert net.mixing().shape == (2, 2 + 3 + 4, len(NAMES))
    assert torch.allclose(net.mixing().sum(-1), torch.ones(2, 9))


@pytest.mark.parametrize("reduction", [False, True])
def test_one_hot_weights_reproduce_the_discrete_cell(reduction):
    """On each node two edges carry one operation; the others carry none."""
    edges = (("sep_conv_3x3", 0), ("skip_connect", 1), ("max_pool_3x3", 0), ("dil_conv_5x5", 2))
    with seeded(0):
        make = {"reduction": reduction, "halved": False, "affine": False}
        mixed, plain = Cell(None, 2, (6, 6, 4), **make).eval(), Cell(edges, 2, (6, 6, 4), **make).eval()
        first, second = torch.randn(2, 3, 6, 8, 8)
    weights = torch.zeros(5, len(NAMES))
    weights[:, 0] = 1
    place = {(node, state): n for n, (node, state) in enumerate((n, s) for n in range(2) for s in range(2 + n))}
    for number, (name, state) in enumerate(edges):
        at = place[number // 2, state]
        weights[at] = nn.functional.one_hot(torch.tensor(NAMES.index(name)), len(NAMES))
        plain.ops[number][0].load_state_dict(mixed.ops[at][NAMES.index(name)].state_dict())
    for part in ("before", "last"):
        getattr(plain, part).load_state_dict(getattr(mixed, part).state_dict())
    assert torch.allclose(mixed(first, second, weights), plain(first, second), atol=1e-6)


def test_each_node_keeps_two_edges_and_none_is_never_chosen():
    mixing = torch.rand(2, 2 + 3 + 4 + 5, len(NAMES), generator=torch.Generator().manual_seed(0))
    mixing[:, :, 0] = 2.0  # none is the largest everywhere
    found = genotype_of(mixing)
    for edges in (found.normal, found.reduce):
        assert len(edges) == 8
        assert all(name != "none" for name, _ in edges)
        assert all(edges[2 * n][1] < edges[2 * n + 1][1] < 2 + n for n in range(4))


def test_the_strongest_edges_are_kept():
    mixing = torch.zeros(2, 5, len(NAMES))
    mixing[:, 2, 3], mixing[:, 4, 5], mixing[:, 3, 1] = 0.9, 0.8, 0.1
    assert genotype_of(mixing).normal[2:] == (("skip_connect", 0), ("sep_conv_5x5", 2))


def test_the_unrolled_gradient_equals_a_finite_difference_of_the_two_steps():
    rng = torch.Generator().manual_seed(0)
    a, b, c = (torch.randn(3, 3, generator=rng, dtype=torch.float64) for _ in range(3))
    a = a @ a.T + torch.eye(3, dtype=torch.float64)
    w = torch.randn(3, generator=rng, dtype=torch.float64).requires_grad_(True)
    alpha = torch.randn(3, generator=rng, dtype=torch.float64).requires_grad_(True)
    xi, decay = 0.1, 0.05
    train = lambda: 0.5 * w @ a @ w + w @ b @ alpha  # noqa: E731
    val = lambda: 0.5 * (w - 1).square().sum() + alpha @ c @ w  # noqa: E731
    before = w.detach().clone()
    (found,) = unrolled([w], [alpha], train, val, xi=xi, decay=decay)
    assert w.detach().equal(before)

    def two_steps(at):
        start = before
        gradient = a @ start + b @ at
        ahead = start - xi * (gradient + decay * start)
        return 0.5 * (ahead - 1).square().sum() + at @ c @ ahead

    for k in range(3):
        shift = torch.zeros(3, dtype=torch.float64)
        shift[k] = 1e-6
        point = alpha.detach()
        slope = (two_steps(point + shift) - two_steps(point - shift)) / 2e-6
        assert float(found[k]) == pytest.approx(float(slope), rel=1e-6, abs=1e-8)


def stripes(count: int = 96) -> Samples:
    """Two classes that differ in where a bright spot's neighbours are: pooling and none cannot tell them."""
    rng = torch.Generator().manual_seed(0)
    y = torch.arange(count) % 2
    x = 0.1 * torch.rand(count, 1, 8, 8, generator=rng)
    for row, label in enumerate(y.tolist()):
        r, c = (int(v) for v in torch.randint(1, 6, (2,), generator=rng))
        x[row, 0, r, c] = 1
        x[row, 0, r + (label == 0), c + (label == 1)] = 1
    return Samples(x, y)


@pytest.mark.parametrize("order", ["first", "second"])
def test_a_search_is_reproducible_and_leaves_random_state_alone(order):
    search = Search(order=order, epochs=1, batch_size=16, nodes=1)
    with same_random_state():
        one = search.run(ImageClassification(), stripes(), seed=3)
    two = search.run(ImageClassification(), stripes(), seed=3)
    assert one.mixing.equal(two.mixing)
    assert one.genotype == two.genotype
    assert not one.mixing.allclose(torch.full_like(one.mixing, 1 / 8), atol=1e-3)  # the architecture moved


class Noise(nn.Module):
    """Nothing but noise: an operation that can help nobody."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 3 * torch.randn_like(x[:, :, :: self.stride, :: self.stride])


def test_a_useless_operation_is_ranked_last(monkeypatch):
    monkeypatch.setitem(models.PRIMITIVES, "dil_conv_5x5", lambda width, stride, affine: Noise(stride))
    search = Search(epochs=8, batch_size=16, nodes=1, alpha_lr=0.03)
    found = search.run(ImageClassification(), stripes(), seed=0)
    assert int(found.mixing.mean((0, 1)).argmin()) == NAMES.index("dil_conv_5x5")
    assert "dil_conv_5x5" not in {name for name, _ in found.genotype.reduce}


def test_the_found_network_can_be_trained_from_scratch():
    genotype = Genotype((("sep_conv_3x3", 0), ("skip_connect", 1)), (("sep_conv_3x3", 0), ("max_pool_3x3", 1)))
    net = CellNet((1, 8, 8), 2, genotype, width=4)
    new = fresh(net, 1)
    assert new.state_dict().keys() == net.state_dict().keys()
    task = ImageClassification(recipe=Recipe(epochs=8, patience=8, lr=5e-3, batch_size=16, eval_every=2))
    data = stripes()
    task.fit(new, data, data, seed=0)
    assert task.evaluate(new, data, data)["accuracy"] > 0.8
    assert fresh(CellNet((1, 8, 8), 2, width=4, nodes=1), 0).mixing().shape == (2, 2, 8)


@pytest.mark.parametrize("size", [5, 7, 8])
def test_odd_sides_are_halved_upward(size):
    one = (("skip_connect", 0), ("avg_pool_3x3", 1), ("dil_conv_3x3", 0), ("sep_conv_5x5", 2))
    net = CellNet((3, size, size), 4, Genotype(one, one), width=4, layers=4)
    assert net(torch.zeros(2, 3, size, size)).shape == (2, 4)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Genotype((("conv", 0), ("none", 1)), ()), "unknown operation"),
        (lambda: Genotype((("none", 0),), ()), "two edges a node"),
        (lambda: Genotype((("none", 0), ("none", 2)), ()), "node 0 reads the states 0 to 1"),
        (lambda: CellNet((1, 8, 8), 2, layers=2), "at least 3 cells"),
        (lambda: Search(order="third"), "unknown order"),
        (lambda: Search(epochs=0), "epochs must be positive"),
        (lambda: Search().run(ImageClassification(), Samples(torch.zeros(5, 3), torch.zeros(5).long())), "4 images"),
    ],
)
def test_what_makes_no_network_is_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()
