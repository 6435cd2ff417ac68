"""Every method that runs on recommenders keeps what the base promises, on every kind of request it serves."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import pytest
import torch
from torch import nn

from graphforget.errors import NotApplicable
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.graph import Graph
from graphforget.methods.d2dgn import D2DGN
from graphforget.methods.d2dgn_calibrated import CalibratedD2DGN
from graphforget.methods.finetune import FineTune
from graphforget.methods.gradient_ascent import GradientAscent
from graphforget.methods.retrain import Retrain
from graphforget.train import Recipe, seeded
from graphforget.unlearner import Unlearned, Unlearner
from recsys.amnesiac import Amnesiac
from recsys.mmrecun import MMRecUN
from recsys.mmrecun_calibrated import CalibratedMMRecUN
from recsys.models import build
from recsys.receraser import RecEraser
from recsys.row_reset import RowReset
from recsys.rrl import RRL
from recsys.scif import SCIF
from recsys.task import Recommendation
from tests.recsys.small import checkerboard
from tests.small import equal_states, same_random_state, state, storages

METHODS: dict[str, Unlearner] = {
    "retrain": Retrain(),
    "finetune": FineTune(epochs=2, lr=1e-3),
    "gradient_ascent": GradientAscent(epochs=2),
    "d2dgn": D2DGN(epochs=2),
    "d2dgn_calibrated": CalibratedD2DGN(epochs=2, samples=1),
    "row_reset": RowReset(epochs=2),
    "mmrecun": MMRecUN(epochs=2),
    "mmrecun_calibrated": CalibratedMMRecUN(epochs=2, samples=1),
    "rrl": RRL(epochs=2, steps=2),
    "amnesiac": Amnesiac(epochs=2),
    "scif": SCIF(iterations=5),
    "receraser": RecEraser(shards=2, rounds=2, epochs=2),
}
REQUESTS = {
    "user": ForgetRequest.of("user", [0, 5]),
    "item": ForgetRequest.of("item", [2]),
    "interaction": ForgetRequest.of("interaction", [[1, 2, 3], [3, 4, 5]]),
    "mixed": ForgetRequest.of("user", [0]) + ForgetRequest.of("item", [3]),
    "modality": ForgetRequest.of("modality:image", [0, 1, 2]),
}
VALUES_ONLY = {"retrain", "finetune", "row_reset", "mmrecun_calibrated"}  # these serve a modality request
RECIPE = Recipe(epochs=12, patience=12, lr=0.02, batch_size=64, eval_every=4)
TASK = Recommendation(recipe=RECIPE, cut=5)
EVERY = [
    (name, kind)
    for name in METHODS
    for kind in REQUESTS
    if not (name == "row_reset" and kind == "interaction") and (kind != "modality" or name in VALUES_ONLY)
]


class World(NamedTuple):
    """A trained recommender and a request."""

    model: nn.Module
    split: ForgetSplit[Graph]


@cache
def world(kind: str, name: str = "lightgcn") -> World:
    data = checkerboard(users=24, items=16)
    rng = torch.Generator().manual_seed(3)
    data = Graph(data.edge_index, data.size, bipartite=True, features={"image": torch.randn(16, 6, generator=rng)})
    keep = torch.rand(data.num_edges, generator=rng) < 0.8
    for pair in REQUESTS["interaction"].parts["interaction"].T:
        keep |= (data.edge_index == pair[:, None]).all(0)
    train, held = data.with_edges(keep), data.with_edges(~keep)
    with seeded(11):
        model = build("vbpr" if kind == "modality" else name, train, dim=6)
    model = TASK.fit(model, train, held, seed=11)
    return World(model, ForgetSplit.of(train, REQUESTS[kind], held))


@cache
def result(name: str, kind: str) -> Unlearned:
    model, split = world(kind)
    return METHODS[name].unlearn(model, TASK, split, seed=5)


@pytest.mark.parametrize(("name", "kind"), EVERY)
def test_the_input_is_untouched_the_seed_decides_and_something_changed(name, kind):
    model, split = world(kind)
    before, edges = state(model), split.data.edge_index.clone()
    with same_random_state():
        found = METHODS[name].unlearn(model, TASK, split, seed=5)
    assert equal_states(state(model), before)
    assert split.data.edge_index.equal(edges)
    assert equal_states(state(found.model), state(result(name, kind).model))
    asked = TASK.elements(split.retain, split.forget)
    old, new = TASK.teacher(model, split.data)(asked), TASK.teacher(found.model, found.context)(asked)
    assert not torch.allclose(old, new, atol=1e-6)


@pytest.mark.parametrize(("name", "kind"), EVERY)
def test_keys_shapes_storage_and_context(name, kind):
    (model, split), found = world(kind), result(name, kind)
    if METHODS[name].drop_in:
        assert {k: v.shape for k, v in found.model.state_dict().items()} == {
            k: v.shape for k, v in model.state_dict().items()
        }
    assert not storages(found.model) & storages(model)
    assert all(torch.isfinite(value).all() for value in found.model.state_dict().values() if value.is_floating_point())
    gone = split.gone.edge_index
    assert not bool(found.context.has_edges(gone).any())
    assert found.context.size == split.data.size


@pytest.mark.parametrize("kind", ["user", "item", "interaction"])
@pytest.mark.parametrize(
    "method", [GradientAscent(epochs=2), MMRecUN(stop=False, alpha=0.5, epochs=4), SCIF()], ids=str
)
def test_the_belief_in_the_forgotten_falls(method, kind):
    model, split = world(kind)
    found = method.unlearn(model, TASK, split, seed=5)
    asked = TASK.elements(split.retain, split.forget)

    def belief(judged: nn.Module) -> float:
        return float(TASK.scores(TASK.teacher(judged, split.retain)(asked), asked).mean())

    assert belief(found.model) < belief(model)


def test_row_reset_refuses_single_interactions_and_reverse_bpr_refuses_values():
    model, split = world("interaction")
    with pytest.raises(NotApplicable, match="single interactions have no row"):
        RowReset().unlearn(model, TASK, split)
    model, split = world("modality")
    for method in (MMRecUN(), RRL(), Amnesiac(), SCIF(), RecEraser()):
        with pytest.raises(NotApplicable, match="values only"):
            method.unlearn(model, TASK, split)


@pytest.mark.parametrize("name", ["row_reset", "mmrecun_calibrated", "retrain"])
def test_a_withdrawn_modality_has_no_influence_left(name):
    """Noise in place of the withdrawn features changes no score of the product."""
    (_, split), found = world("modality"), result(name, "modality")
    noise = split.data.features["image"].clone()
    noise[:3] = torch.randn(3, 6, generator=torch.Generator().manual_seed(1))
    noisy = Graph(split.data.edge_index, split.data.size, bipartite=True, features={"image": noise})
    again = ForgetSplit.of(noisy, REQUESTS["modality"], split.held_out)
    asked = TASK.elements(split.retain, split.untouched)
    assert TASK.teacher(found.model, split.retain)(asked).equal(TASK.teacher(found.model, again.retain)(asked))


def test_receraser_retrains_only_the_shards_that_were_hit_and_forgets_their_list():
    model, split = world("interaction")
    method = METHODS["receraser"]
    assert isinstance(method, RecEraser)
    record = method.prepare(model, TASK, split.data, split.held_out, seed=1)
    found = method.unlearn(model, TASK, split, record=record, seed=5)
    hit = set(found.record["retrained"])
    for s, (old, new) in enumerate(zip(record["ensemble"].shards, found.model.shards, strict=True)):
        assert equal_states(state(old), state(new)) == (s not in hit)
    assert "prepared_seconds" not in found.record
    assert bool((found.model.place_of(split.gone.edge_index) == -1).all())
    assert bool((found.model.place_of(split.retain.edge_index) >= 0).all())


def test_a_sequence_of_requests_runs():
    model, split = world("interaction")
    for name in ("mmrecun", "mmrecun_calibrated", "receraser"):
        first = METHODS[name].unlearn(model, TASK, split, seed=5)
        second = split.then(ForgetRequest.of("user", [7]))
        found = METHODS[name].unlearn(
            first.model if METHODS[name].drop_in else model, TASK, second, record=first.record, seed=6
        )
        assert not bool(found.context.has_edges(split.forget.edge_index).any())
        assert not bool((found.context.edge_index[0] == 7).any())
