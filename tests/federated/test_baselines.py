"""FedEraser, PGA and FedAF-style against their definitions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from graphforget.errors import InputError, NotApplicable, UnknownName
from graphforget.federated import fedaf, pga
from graphforget.federated.clients import Clients
from graphforget.federated.fed_eraser import FedEraser, calibrated
from graphforget.federated.fedaf import FedAFStyle, memories
from graphforget.federated.history import History, Upload
from graphforget.federated.pga import PGA
from graphforget.federated.rounds import average
from graphforget.federated.task import federated
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.samples import Samples
from graphforget.train import TrainRecord, seeded
from graphforget.vision.task import ImageClassification
from tests.federated.small import ROUNDS, TASK, dealt, digits, network, scores, world
from tests.small import equal_states, state

# --- FedEraser


def uploads(values: np.ndarray) -> dict[int, Upload]:
    return {n: Upload({"w": torch.from_numpy(row)}, float(n + 1)) for n, row in enumerate(values)}


def test_a_step_has_the_old_length_and_the_new_direction():
    """Equation (1) against numpy, weights included."""
    rng = np.random.default_rng(0)
    old, new, share = rng.normal(size=(3, 5)), rng.normal(size=(3, 5)), np.array([1.0, 2.0, 3.0])[:, None] / 6
    steps = calibrated(uploads(old), uploads(new), ["w"])
    found = average({"w": torch.zeros(5, dtype=torch.float64)}, steps)["w"].numpy()
    u, v = (share * old).sum(0), (share * new).sum(0)
    np.testing.assert_allclose(found, np.linalg.norm(u) * v / np.linalg.norm(v), rtol=1e-12)


def test_equal_updates_give_the_old_trajectory():
    old = uploads(np.random.default_rng(1).normal(size=(3, 5)))
    steps = calibrated(old, old, ["w"])
    for client, upload in old.items():
        torch.testing.assert_close(steps[client].state["w"], upload.state["w"])


def test_a_layer_that_does_not_move_stays():
    steps = calibrated(uploads(np.ones((2, 3))), uploads(np.zeros((2, 3))), ["w"])
    assert all(not upload.state["w"].any() for upload in steps.values())


def test_the_leaving_clients_updates_are_never_read():
    model, record, _, split = world()
    found = FedEraser().unlearn(model, TASK, split, record=record, seed=2)
    kept = record["history"].updates
    poisoned = [
        {
            c: Upload({k: v * torch.nan for k, v in u.state.items()} if c == 1 else u.state, u.weight)
            for c, u in r.items()
        }
        for r in kept
    ]
    history = replace(record["history"], updates=poisoned)
    again = FedEraser().unlearn(model, TASK, split, record={"history": history}, seed=2)
    assert equal_states(state(found.model), state(again.model))
    assert not equal_states(state(found.model), state(model))
    retained = scores(found.model, split)[0]
    assert retained > scores(network(), split)[0] + 0.3


def test_the_next_request_is_served_from_the_new_record():
    model, record, _, split = world()
    first = FedEraser().unlearn(model, TASK, split, record=record)
    history = first.record["history"]
    assert len(history.updates) == history.rounds == ROUNDS.epochs
    assert 1 not in history.clients
    step = split.then(ForgetRequest.of("client", [0]))
    second = FedEraser().unlearn(first.model, TASK, step, record=first.record)
    assert 0 not in second.record["history"].clients


def test_a_round_of_leaving_clients_only_is_passed_over():
    model, record, _, split = world()
    history = record["history"]
    alone = [{1: history.updates[0][1]}, *history.updates[1:3]]
    found = FedEraser().unlearn(model, TASK, split, record={"history": replace(history, updates=alone, rounds=3)})
    assert all(torch.isfinite(value).all() for value in found.model.state_dict().values())


def test_fed_eraser_needs_the_updates_of_every_round():
    model, record, _, split = world()
    history = record["history"]
    for short in (replace(history, updates=history.updates[:-1]), replace(history, keep="contributions", updates=[])):
        with pytest.raises(InputError, match="needs the updates of all 10 rounds"):
            FedEraser().unlearn(model, TASK, split, record={"history": short})
    with pytest.raises(NotApplicable, match="FedEraser forgets whole clients"):
        FedEraser().unlearn(model, TASK, world("class").split, record=record)


# --- PGA


@pytest.mark.parametrize("gone", [[1], [1, 4]])
def test_the_reference_is_the_mean_of_the_others_last_models(gone):
    model, record, _, _ = world()
    last = record["history"].last
    leaving = {client: (last[client].state, last[client].weight) for client in gone}
    center, own = pga.reference(model, leaving, sum(each.weight for each in last.values()))
    for at, value, (name, _) in zip(center, own, model.named_parameters(), strict=True):
        others = torch.stack([each.state[name] for client, each in last.items() if client not in gone]).mean(0)
        torch.testing.assert_close(at, others, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(value, torch.stack([last[client].state[name] for client in gone]).mean(0))


def test_weights_of_unequal_clients_are_taken_out_exactly():
    model = nn.Linear(1, 1, bias=False).double()
    states = {0: (2.0, 1.0), 1: (5.0, 3.0), 2: (-1.0, 4.0)}
    with torch.no_grad():
        model.weight.fill_((2 * 1 + 5 * 3 - 1 * 4) / 8)
    leaving = {1: ({"weight": torch.full((1, 1), 5.0, dtype=torch.float64)}, 3.0)}
    center, _ = pga.reference(model, leaving, 8.0)
    assert float(center[0]) == pytest.approx((2 * 1 - 1 * 4) / 5, abs=1e-12)
    assert sum(weight for _, weight in states.values()) == 8.0


def test_the_ascent_climbs_and_stays_in_the_ball(monkeypatch):
    model, record, _, split = world()
    seen = []
    real = pga.descend

    def watch(model, steps, *, after_step, **settings):
        center = [p.detach().clone() for p in model.parameters()]

        def after():
            after_step()
            seen.append(float(pga.distance(list(model.parameters()), center)))

        return real(model, steps, after_step=after, **settings)

    monkeypatch.setattr(pga, "descend", watch)
    method = PGA(radius=1e-4, rounds=0, distance=1e9, lr=0.05)
    found = method.unlearn(model, TASK, split, record=record)
    drawn = [TASK.fresh(model, number) for number in range(10)]
    last = record["history"].last
    center, _ = pga.reference(model, {1: (last[1].state, 1.0)}, 10.0)
    delta = 1e-4 * float(torch.stack([pga.distance(list(m.parameters()), center) for m in drawn]).mean())
    assert max(seen) <= delta * (1 + 1e-4)
    assert max(seen) > 0.99 * delta  # the ball was reached

    def loss(model):
        batch = TASK.elements(split.forget, split.forget)
        return float(TASK.loss(model.eval(), split.forget, batch).detach())

    assert loss(found.model) > loss(model)
    assert found.record["steps"] == len(seen)


def test_the_ascent_stops_where_it_is_far_from_the_clients_own_model():
    model, record, _, split = world()
    short = PGA(rounds=0, distance=1e-9).unlearn(model, TASK, split, record=record)
    assert short.record["steps"] == 1


def test_rounds_without_the_client_bring_the_accuracy_back():
    model, record, _, split = world()
    climbed = PGA(rounds=0, lr=0.1, distance=50.0).unlearn(model, TASK, split, record=record)
    back = PGA(rounds=3, lr=0.1, distance=50.0).unlearn(model, TASK, split, record=record)
    assert scores(back.model, split)[0] > scores(climbed.model, split)[0]
    assert back.record["history"].rounds == ROUNDS.epochs + 3
    assert 1 not in back.record["history"].clients


def test_pga_settings_and_requests_are_checked():
    model, record, _, split = world()
    for fields, message in (({"radius": 0}, "radius must be"), ({"rounds": -1}, "rounds must not be")):
        with pytest.raises(InputError, match=message):
            PGA(**fields)
    history = record["history"]
    alone = replace(history, last={1: history.last[1]})
    with pytest.raises(InputError, match="another client in the last round"):
        PGA().unlearn(model, TASK, split, record={"history": alone})
    with pytest.raises(UnknownName):
        PGA().unlearn(model, TASK, split, record={"history": history.without([1])})


# --- FedAF-style


def test_new_memories_are_distributions_and_many_teachers_agree():
    parts = dealt()
    task, view = TASK.inner, parts.test.data
    batch = task.elements(view, view)

    def drawn(first, count):
        return memories([task.teacher(task.fresh(network(), first + n), view) for n in range(count)], batch)

    few, other = drawn(0, 5), drawn(100, 5)
    many, more = drawn(0, 60), drawn(100, 60)
    torch.testing.assert_close(few.sum(1), torch.ones(len(few)))
    assert (many - more).abs().mean() < 0.5 * (few - other).abs().mean()
    entropy = -(few * few.log()).sum(1).mean() / np.log(10)
    assert 0.9 < entropy < 1  # near uniform: one teacher would have a favourite


def test_the_fisher_information_of_a_logistic_model_is_the_closed_form():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(30, 3)), rng.integers(0, 2, 30)
    with seeded(0):
        model = nn.Linear(3, 2).double()
    view = Samples(torch.from_numpy(x), torch.from_numpy(y))
    weight, bias = fedaf.fisher(ImageClassification(), model, view, 1000)
    p = torch.softmax(model(view.x), 1).detach().numpy()
    error = p - np.eye(2)[y]
    np.testing.assert_allclose(weight, (error[:, :, None] ** 2 * x[:, None] ** 2).mean(0), rtol=1e-10)
    np.testing.assert_allclose(bias, (error**2).mean(0), rtol=1e-10)


def one_holder() -> tuple[nn.Module, Clients[Samples], ForgetSplit[Clients[Samples]]]:
    """All digits with one client, class 3 to go: FedAF without the federation."""
    parts = digits()
    clients = Clients(parts.train, "sample", {0: parts.train.rows()})
    task = federated(ImageClassification(), replace(ROUNDS, epochs=1, local_epochs=8, eval_every=1))
    model = task.fit(network(), clients, clients.over(parts.val), seed=0)
    return model, clients.over(parts.test), ForgetSplit.of(clients, ForgetRequest.of("class", [3]), clients)


def test_the_anchor_holds_the_rest_and_what_must_go():
    """Without it the class goes and so does much else; the larger it is, the more of both stays."""
    model, test, split = one_holder()
    task = federated(ImageClassification(), replace(ROUNDS, lr=1e-5))  # the client's usual training hardly moves

    def figures(anchor):
        found = FedAFStyle(anchor=anchor, rounds=1, lr=3e-3).unlearn(model, task, split, seed=1).model
        answers = task.teacher(found, test)(task.elements(test, test)).argmax(1)
        label = test.data.y[test.data.rows()]
        gone = label == 3
        return float((answers == label)[gone].float().mean()), float((answers == label)[~gone].float().mean())

    free, held, stiff = (figures(anchor) for anchor in (0.0, 1e3, 1e5))
    assert free[0] < 0.15
    assert free[0] <= held[0] <= stiff[0]
    assert free[1] <= held[1] <= stiff[1]


def test_a_class_goes_in_rounds_and_the_others_stay():
    model, _, parts, split = world("class")
    found = FedAFStyle(anchor=1e3, rounds=5).unlearn(model, TASK, split, seed=1)
    label = parts.test.data.y[parts.test.data.rows()]

    def figures(model):
        answers = TASK.teacher(model, parts.test)(TASK.elements(parts.test, parts.test)).argmax(1)
        return float((answers == label)[label == 3].float().mean()), float(
            (answers == label)[label != 3].float().mean()
        )

    before, after = figures(model), figures(found.model)
    assert after[0] < 0.2
    assert after[1] > before[1] - 0.03


def test_fedaf_says_what_it_is_and_checks_its_settings():
    assert "reconstruction" in FedAFStyle.__doc__
    for fields in ({"teachers": 0}, {"fisher": 0}, {"rounds": 0}):
        with pytest.raises(InputError, match="must be at least 1"):
            FedAFStyle(**fields)
    with pytest.raises(InputError, match="anchor must not be negative"):
        FedAFStyle(anchor=-1.0)


def test_an_untrained_record_is_refused():
    model, record, _, split = world()
    empty = History(record["history"].start)
    for method in (FedEraser(), PGA()):
        with pytest.raises(InputError, match="needs the record of federated training"):
            method.unlearn(model, TASK, split, record={"history": empty})
    assert isinstance(TrainRecord().notes, dict)
