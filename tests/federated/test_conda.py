"""ConDa against numpy, its limits, and what its released code does instead."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from graphforget.errors import InputError, NotApplicable, UnknownName
from graphforget.federated.clients import Clients, iid
from graphforget.federated.conda import ConDa, ConDaReleased, damp, dampened, ratio
from graphforget.federated.history import History
from graphforget.federated.rounds import Rounds
from graphforget.federated.task import federated
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.samples import Samples
from graphforget.train import TrainRecord, seeded
from graphforget.unlearner import Guarded
from graphforget.vision.task import ImageClassification
from tests.federated.small import TASK, made, scores, world
from tests.small import equal_states, state

C = np.array([[4.0, 1.0, 0.5, 2.0], [1.0, 3.0, 2.0, 2.0], [3.0, 1.0, 4.0, 2.0]])  # contributions of three clients
GONE = [1]
WEIGHTS = np.array([1.0, -2.0, 3.0, -4.0])


def table(values: np.ndarray = C) -> dict[int, dict[str, torch.Tensor]]:
    return {n: {"w": torch.from_numpy(row)} for n, row in enumerate(values)}


def by_hand(variant: str, dampening: float, upper: float, alpha: float) -> np.ndarray:
    over = {"docstring": C[[0, 2]].mean(0), "paper": C.mean(0), "released": C[1]}[variant]
    under = C[[0, 2]].mean(0) if variant == "released" else C[1]
    found = WEIGHTS.copy()
    for i, share in enumerate(over / under):
        if share < alpha:
            found[i] = min(dampening * share, upper) * WEIGHTS[i]
    return found


@pytest.mark.parametrize("settings", [(1.0, 1.0, 0.7), (0.5, 0.5, 0.5), (10.0, 10.0, 0.4), (1.0, 0.2, 1.5)])
@pytest.mark.parametrize("variant", ["docstring", "paper", "released"])
def test_every_variant_equals_numpy(variant, settings):
    found = damp({"w": torch.from_numpy(WEIGHTS)}, ratio(table(), GONE, variant), *settings)
    np.testing.assert_allclose(found["w"].numpy(), by_hand(variant, *settings), rtol=1e-12)


def test_equal_contributions_change_nothing():
    same = table(np.ones((3, 4)))
    for variant in ("docstring", "paper", "released"):
        ratios = ratio(same, GONE, variant)
        assert ratios["w"].tolist() == [1.0] * 4
        assert damp({"w": torch.from_numpy(WEIGHTS)}, ratios, 1, 1, 1.0)["w"].tolist() == WEIGHTS.tolist()


def test_zeros_on_either_side():
    """Nobody moved it: 1. Only the others: infinite. Only the leaving client: 0, and the weight goes."""
    values = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 2.0]])
    ratios = ratio(table(values), [1], "docstring")
    assert ratios["w"].tolist() == [1.0, np.inf, 0.0]
    assert damp({"w": torch.ones(3)}, ratios, 1, 1, 0.9)["w"].tolist() == [1.0, 1.0, 0.0]


def test_released_is_the_inverted_docstring():
    """released(R, F) == docstring(F, R), up to its rule for more than one leaving client."""
    released, docstring = ratio(table(), [1], "released")["w"], ratio(table(), [0, 2], "docstring")["w"]
    np.testing.assert_allclose(released, docstring, rtol=1e-12)
    two = ratio(table(), [1, 2], "released")["w"].numpy()  # trap: its "others" leave out the first leaving client only
    np.testing.assert_allclose(two, C[[1, 2]].mean(0) / C[[0, 2]].mean(0), rtol=1e-12)


def test_no_data_of_any_client_is_touched():
    """The base raises when ConDa looks; other data in their place change nothing."""
    model, record, _, split = world()
    assert ConDa.reads == ConDaReleased.reads == frozenset()
    found = ConDa().unlearn(model, TASK, split, record=record)
    other = replace(split.data.data, x=torch.rand_like(split.data.data.x))
    odd = {
        name: getattr(split, name).over(replace(getattr(split, name).data, x=other.x)) for name in ("data", "forget")
    }
    again = ConDa().unlearn(model, TASK, replace(split, **odd), record=record)
    assert equal_states(state(found.model), state(again.model))
    assert found.context is split.retain
    with pytest.raises(InputError, match="does not read 'forget'"):
        Guarded("ConDa", "forget").data  # noqa: B018


def test_the_record_that_is_handed_on_has_lost_the_client_and_serves_the_next_request():
    model, record, _, split = world()
    first = ConDa(alpha=0.9).unlearn(model, TASK, split, record=record)
    assert 1 not in first.record["history"].clients
    assert 1 in record["history"].clients
    step = split.then(ForgetRequest.of("client", [2]))
    second = ConDa(alpha=0.9).unlearn(first.model, TASK, step, record=first.record)
    assert second.record["history"].clients == (0, 3, 4, 5, 6, 7, 8, 9)
    assert second.record["dampened"] > 0


def test_dampening_leaves_the_given_weights_alone_and_integers_as_they_are():
    with seeded(0):
        x, y = torch.randn(60, 4), torch.arange(60) % 3
        model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
    clients = Clients(Samples(x, y), "sample", iid(torch.arange(60), 3))
    task, record = federated(ImageClassification(), Rounds(epochs=2, eval_every=2)), TrainRecord()
    task.fit(model, clients, clients, seed=0, record=record)
    split = ForgetSplit.of(clients, ForgetRequest.of("client", [0]), clients)
    before = state(model)
    plain, buffers = (
        ConDa(alpha=1.1, upper=0.5, damp_buffers=damp_buffers).unlearn(model, task, split, record=record.notes)
        for damp_buffers in (False, True)
    )
    assert equal_states(state(model), before)
    for found in (plain, buffers):
        assert found.model.state_dict()["1.num_batches_tracked"].equal(before["1.num_batches_tracked"])
        assert not found.model.state_dict()["0.weight"].equal(before["0.weight"])
    assert plain.model.state_dict()["1.running_mean"].equal(before["1.running_mean"])
    assert not buffers.model.state_dict()["1.running_mean"].equal(before["1.running_mean"])


def test_amplifying_settings_are_warned_of(caplog):
    history, _ = made([{0: [2.0, 1.0], 1: [1.0, 4.0]}], [0.0, 0.0])
    with caplog.at_level(logging.WARNING, "graphforget"):
        dampened({"w": torch.ones(2)}, history, [1], ConDa(dampening=10, upper=10, alpha=0.4))
    assert "makes some weights larger" in caplog.text
    found, _ = dampened({"w": torch.ones(2)}, history, [1], ConDa(dampening=10, upper=10, alpha=0.4))
    assert found["w"].tolist() == [1.0, 2.5]


def test_what_conda_cannot_serve():
    model, record, _, split = world()
    with pytest.raises(InputError, match="needs the record of federated training"):
        ConDa().unlearn(model, TASK, split)
    with pytest.raises(InputError, match="needs the record"):
        ConDa().unlearn(model, TASK, split, record={"history": History(record["history"].start)})
    for kind in ("class", "sample"):
        with pytest.raises(NotApplicable, match=f"forgets whole clients .*kind {kind}"):
            ConDa().unlearn(model, TASK, world(kind).split, record=record)
    with pytest.raises(UnknownName, match=r"unknown client with a record .got 1"):
        ConDa().unlearn(model, TASK, split, record={"history": record["history"].without([1])})
    other = nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))
    with pytest.raises(InputError, match="the record is another model's"):
        ConDa().unlearn(other, TASK, split, record=record)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"alpha": 0}, "alpha must be positive"),
        ({"variant": "released"}, "unknown variant"),
        ({"reference": "x"}, "refer"),
    ],
)
def test_settings_are_checked(fields, message):
    with pytest.raises(InputError, match=message):
        ConDa(**fields)


def test_the_released_code_destroys_what_is_retained_where_conda_does_not():
    """Digits: at alpha .7 ConDa keeps R and does not raise U; at .9 the released ratio costs R .10 more."""
    model, record, _, split = world()
    before = scores(model, split)
    mild = scores(ConDa(alpha=0.7).unlearn(model, TASK, split, record=record).model, split)
    right = scores(ConDa(alpha=0.9).unlearn(model, TASK, split, record=record).model, split)
    wrong = scores(ConDaReleased(1.0, 1.0, 0.9).unlearn(model, TASK, split, record=record).model, split)
    assert abs(mild[0] - before[0]) < 0.03
    assert mild[1] <= before[1]
    assert wrong[0] < right[0] - 0.10
    assert wrong[0] < before[0] - 0.10
