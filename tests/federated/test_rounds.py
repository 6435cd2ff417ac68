"""FedAvg and FedProx rounds, what they write down, and updates that cannot be used."""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from graphforget.errors import Diverged, InputError
from graphforget.federated import rounds
from graphforget.federated.clients import Clients, iid
from graphforget.federated.history import History, Upload
from graphforget.federated.rounds import Local, Rounds, average, usable
from graphforget.federated.task import Federated, federated
from graphforget.samples import Samples
from graphforget.train import TrainRecord, seeded
from graphforget.vision.task import ImageClassification
from tests.federated.small import ROUNDS, TASK, dealt, made, network, trained
from tests.small import equal_states, same_random_state, state

SHORT = replace(ROUNDS, epochs=2, eval_every=2)


def fit(recipe: Rounds, seed: int = 0) -> tuple[nn.Module, TrainRecord]:
    parts, record = dealt(), TrainRecord()
    task = federated(ImageClassification(), recipe)
    with same_random_state():
        return task.fit(network(), parts.train, parts.val, seed=seed, record=record), record


def test_a_federation_learns_and_the_same_seed_gives_the_same():
    model, record, parts = trained()
    learnt, blank = (TASK.evaluate(each, parts.train, parts.test)["accuracy"] for each in (model, network()))
    assert learnt > 0.6 > 0.2 > blank  # ten rounds on skewed clients; forty reach .88
    assert [number for number, _, _ in record.curve] == [9]
    one, other, third = (fit(SHORT, seed)[0] for seed in (0, 0, 1))
    assert equal_states(state(one), state(other))
    assert not equal_states(state(one), state(third))


def test_one_client_is_plain_local_training():
    """FedAvg of one client in one round is Adam on its data."""
    rows = dealt().train.part(0)
    task = federated(ImageClassification(), replace(ROUNDS, epochs=1, eval_every=1))
    alone = Clients(rows, "sample", {0: rows.rows()})
    found = task.fit(network(), alone, alone, seed=4)
    with seeded(4) as rng:
        torch.randperm(1, generator=rng)  # the draw of who takes part
        plain = network()
        Local(task.inner, task.recipe, rng)(plain, rows)
    assert equal_states(state(found), state(plain))


def test_the_average_equals_numpy():
    rng = np.random.default_rng(0)
    values, weights = rng.normal(size=(4, 3)), rng.uniform(1, 5, 4)
    sent = {n: Upload({"w": torch.from_numpy(values[n])}, float(weights[n])) for n in range(4)}
    found = average({"w": torch.zeros(3, dtype=torch.float64)}, sent)["w"].numpy()
    np.testing.assert_allclose(found, (weights[:, None] * values).sum(0) / weights.sum(), rtol=1e-12)


def test_counters_are_averaged_and_rounded_and_what_nobody_moved_stays():
    before = {"n": torch.tensor(3), "w": torch.tensor([1.0, 1.0, 1.0])}
    sent = {
        0: Upload({"n": torch.tensor(5), "w": torch.tensor([1.0, 3.0, 1.0])}, 1.0),
        1: Upload({"n": torch.tensor(8), "w": torch.tensor([1.0, 1.0, 2.0])}, 1.0),
    }
    assert average(before, sent)["n"].dtype == torch.int64
    assert average(before, sent)["w"].tolist() == [1.0, 2.0, 1.5]
    assert average(before, sent, moved=True)["w"].tolist() == [1.0, 3.0, 2.0]


def test_fedprox_stays_nearer_to_the_round_before():
    """Its first step is FedAvg's: the term's gradient is zero there; a large mu then holds the clients back."""

    def moved(proximal):
        record = fit(replace(SHORT, proximal=proximal))[1]
        return sum(float(each["0.weight"].sum()) for each in record.notes["history"].contributions["round"].values())

    assert moved(0.0) > 1.2 * moved(1.0) > 1.2 * moved(10.0)


def test_a_share_of_the_clients_takes_part():
    record = fit(replace(SHORT, fraction=0.3))[1]
    assert [len(uploads) for uploads in record.notes["history"].updates] == [3, 3]


def test_patience_ends_the_rounds_and_the_last_weights_are_kept():
    record = fit(replace(ROUNDS, epochs=8, lr=1e-9, eval_every=1, patience=2))[1]
    assert record.converged
    assert record.notes["history"].rounds == len(record.curve) < 8


def test_online_contributions_equal_those_from_kept_models():
    states = [
        {0: [1.0, 0.0, 2.0], 1: [0.5, 0.0, -1.0], 2: [0.0, 0.0, 1.0]},
        {0: [2.0, 0.0, 1.0], 2: [-1.0, 0.0, 0.5]},
        {0: [0.0, 0.0, 1.0], 1: [1.0, 0.0, 3.0], 2: [0.5, 0.0, 0.5]},
    ]
    start = [0.1, 0.0, 0.2]
    history, before = made(states, start)
    for client in range(3):
        models = [(np.array(each[client]), now) for each, now in zip(states, before, strict=True) if client in each]
        init = sum(np.abs(np.array(start) - w) for w, _ in models)
        own = sum(np.abs(w - now) for w, now in models)
        np.testing.assert_allclose(history.contributions["init"][client]["w"], init, rtol=1e-12)
        np.testing.assert_allclose(history.contributions["round"][client]["w"], own, rtol=1e-12)
    assert set(history.last) == {0, 1, 2}
    assert history.rounds == 3


def test_the_record_of_training_is_that_of_its_updates():
    """The kept updates, replayed from the start, give the contributions and the model."""
    model, record, _ = trained()
    history = record.notes["history"]
    now, total = dict(history.start), dict.fromkeys(history.clients, 0.0)
    for uploads in history.updates:
        for client, upload in uploads.items():
            total[client] = total[client] + upload.state["0.weight"].abs()
        mean = {name: torch.stack([each.state[name] for each in uploads.values()]).mean(0) for name in now}
        now = {name: now[name] + mean[name] for name in now}
    for client, value in total.items():
        torch.testing.assert_close(history.contributions["round"][client]["0.weight"], value)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(now[name], value, atol=1e-5, rtol=1e-4)


def test_a_record_without_a_client_leaves_the_first_record_alone():
    history, _ = made([{0: [1.0], 1: [2.0]}, {0: [2.0], 1: [1.0]}], [0.0])
    before = history.contributions["init"][0]["w"].clone()
    rest = history.without([1])
    assert rest.clients == (0,)
    assert set(rest.last) == {0}
    assert all(set(uploads) == {0} for uploads in rest.updates)
    rest.add({"w": torch.zeros(1, dtype=torch.float64)}, {0: Upload({"w": torch.ones(1, dtype=torch.float64)}, 1.0)})
    assert history.contributions["init"][0]["w"].equal(before)
    assert history.clients == (0, 1)


def test_a_record_survives_a_file(tmp_path):
    history = trained()[1].notes["history"]
    history.quarantined.append(rounds.Quarantined(3, 2, "w holds NaN or infinity"))
    history.save(tmp_path / "rounds.safetensors")
    found = History.load(tmp_path / "rounds.safetensors")
    history.quarantined.pop()
    assert found.clients == history.clients
    assert found.rounds == history.rounds
    assert found.quarantined[0].reason == "w holds NaN or infinity"
    for reference, table in history.contributions.items():
        assert all(equal_states(found.contributions[reference][n], each) for n, each in table.items())
    for one, other in zip(history.updates, found.updates, strict=True):
        assert all(equal_states(one[n].state, other[n].state) and one[n].weight == other[n].weight for n in one)
    (tmp_path / "broken.safetensors").write_bytes(b"nothing")
    with pytest.raises(InputError, match="holds no record of federated rounds"):
        History.load(tmp_path / "broken.safetensors")
    save_file({"w": torch.zeros(1)}, tmp_path / "other.safetensors", {"history": "{}"})
    with pytest.raises(InputError, match="holds no record of federated rounds"):
        History.load(tmp_path / "other.safetensors")


def test_a_record_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    history = trained()[1].notes["history"]
    history.save(tmp_path / "rounds.safetensors")

    def full(tensors, path, note):
        Path(path).write_bytes(b"half")
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("graphforget.federated.history.save_file", full)
        with pytest.raises(OSError, match="no space"):
            history.without([0]).save(tmp_path / "rounds.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["rounds.safetensors"]
    assert History.load(tmp_path / "rounds.safetensors").clients == history.clients
    with pytest.raises(InputError, match="no folder"):
        history.save(tmp_path / "nowhere" / "rounds.safetensors")


class Fails(nn.Module):
    """A network that one client's data break: a row of huge numbers gives NaN."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 2)

    def forward(self, x):
        return self.inner(x) * torch.where(x.abs().amax(1, keepdim=True) > 1e3, torch.nan, 1.0)


def test_a_client_that_diverges_is_named_and_the_round_goes_on(caplog):
    with seeded(0):
        x, y = torch.randn(40, 4), torch.arange(40) % 2
        model = Fails()
    x[3] = 1e4
    ids = iid(torch.arange(40), 4)
    bad = next(client for client, rows in ids.items() if 3 in rows.tolist())
    clients = Clients(Samples(x, y), "sample", ids)
    quiet = Clients(Samples(x[4:8], y[4:8]), "sample", {0: torch.arange(4)})
    task, record = federated(ImageClassification(), Rounds(epochs=2, eval_every=2)), TrainRecord()
    with caplog.at_level(logging.WARNING, "graphforget"):
        task.fit(model, clients, quiet, seed=0, record=record)
    history = record.notes["history"]
    assert [(each.round, each.client) for each in history.quarantined] == [(0, bad), (1, bad)]
    assert "the loss became nan" in history.quarantined[0].reason
    assert f"round 0: the update of client {bad} is left out" in caplog.text
    assert bad not in history.clients
    assert all(torch.isfinite(value).all() for value in model.state_dict().values())
    alone = Clients(clients.part(bad), "sample", {bad: ids[bad]})
    with pytest.raises(Diverged, match="round 0: no client's update could be used"):
        task.fit(Fails(), alone, quiet, seed=0)


@pytest.mark.parametrize(
    ("sent", "weight", "reason"),
    [
        ({"w": torch.ones(3)}, 1.0, r"w must have shape \[2\] \(got \[3\]\)"),
        ({"w": torch.tensor([1.0, torch.nan])}, 1.0, "w holds NaN or infinity"),
        ({"w": torch.tensor([1.0, -torch.inf])}, 1.0, "w holds NaN or infinity"),
        ({"v": torch.ones(2)}, 1.0, r"other names than the model's \(first: v\)"),
        ({}, 1.0, r"other names than the model's \(first: w\)"),
        ({"w": torch.ones(2)}, 0.0, "its weight must be positive"),
        ({"w": torch.ones(2)}, float("nan"), "its weight must be positive"),
    ],
)
def test_updates_that_cannot_be_used_are_named(sent, weight, reason):
    good, bad = usable({"w": torch.zeros(2)}, {0: Upload({"w": torch.ones(2)}, 1.0), 5: Upload(sent, weight)}, 7)
    assert list(good) == [0]
    assert (bad[0].round, bad[0].client) == (7, 5)
    assert re.search(reason, bad[0].reason)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"local_epochs": 0}, "local_epochs must be at least 1"),
        ({"proximal": -1.0}, "proximal must not be negative"),
        ({"fraction": 0.0}, r"fraction must lie in \(0, 1\]"),
        ({"weighting": "sample"}, "unknown weighting"),
        ({"keep": "update"}, "unknown record"),
        ({"epochs": 0}, "epochs must be at least 1"),
    ],
)
def test_settings_are_checked(fields, message):
    with pytest.raises(InputError, match=message):
        Rounds(**fields)


def test_a_federated_task_wraps_a_task_and_is_trained_in_rounds():
    with pytest.raises(InputError, match="wraps another"):
        Federated(inner=None)
    with pytest.raises(InputError, match="trained in Rounds"):
        federated(ImageClassification(), ImageClassification().recipe)
    parts = dealt()
    with pytest.raises(InputError, match="needs Clients"):
        TASK.check(network(), replace(trained_split(parts), retain=parts.train.data))
    narrow = nn.Linear(64, 9)
    with pytest.raises(InputError, match=r"labels must lie in \[0, 9\)"):
        TASK.check(narrow, trained_split(parts))


def trained_split(parts):
    from graphforget.forget import ForgetRequest, ForgetSplit

    return ForgetSplit.of(parts.train, ForgetRequest.of("client", [0]), parts.val)
