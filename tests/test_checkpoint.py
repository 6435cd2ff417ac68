"""Checkpoints: a broken training goes on as if it had not been broken."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from graphforget.checkpoint import checkpoints
from graphforget.errors import InputError
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.gnn.models import GCN
from graphforget.gnn.task import LinkPrediction
from graphforget.methods.d2dgn import D2DGN
from graphforget.methods.retrain import Retrain
from graphforget.train import Recipe, TrainRecord, descend, seeded
from tests.small import equal_states, same_random_state, sbm, state

RECIPE = Recipe(epochs=9, patience=9, batch_size=60, eval_every=1)


class Broken(Exception):
    """Stands for the machine that goes down."""


class Dropping(GCN):
    """Has random numbers of its own, and breaks after so many forwards in training."""

    left = 10**9

    def forward(self, x, edge_index):
        if self.training:
            Dropping.left -= 1
            if Dropping.left == 0:
                raise Broken
        return super().forward(nn.functional.dropout(x, 0.3, self.training), edge_index)


def whole_script(record: TrainRecord):
    """Train an original, a gold and an unlearned model."""
    graph, held, task = sbm(), sbm(seed=1), LinkPrediction(RECIPE)
    with seeded(0):
        model = Dropping(8, 6, 4)
    task.fit(model, graph, held, seed=0, record=record)
    split = ForgetSplit.of(graph, ForgetRequest.of("edge", graph.pairs()[:, :5]), held)
    gold = Retrain().unlearn(model, task, split, seed=7)
    student = D2DGN(epochs=4).unlearn(model, task, split, seed=1)
    return [state(each) for each in (model, gold.model, student.model)], gold.record["curve"]


def forwards() -> int:
    return 10**9 - Dropping.left


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])  # in the original, in the gold, in the unlearned model
def test_a_broken_script_ends_as_an_unbroken_one(tmp_path, share):
    Dropping.left, record = 10**9, TrainRecord()
    expected, curve = whole_script(record)
    total = forwards()
    Dropping.left = int(total * share)
    with pytest.raises(Broken), checkpoints(tmp_path, every=2):
        whole_script(TrainRecord())
    assert list(tmp_path.glob("*.safetensors"))
    Dropping.left, again = 10**9, TrainRecord()
    with same_random_state(), checkpoints(tmp_path, every=2):
        found, found_curve = whole_script(again)
    assert all(equal_states(a, b) for a, b in zip(found, expected, strict=True))
    assert (found_curve, again.curve) == (curve, record.curve)
    assert forwards() < total  # what was finished was not done again
    assert not tmp_path.exists()  # weights that have not forgotten do not stay


def one_loop(folder, lr=0.1, after_epoch=None, breaks=-1, carries=False, start=1.0):
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, start)
    done = []

    def steps(epoch):
        if epoch == breaks:
            raise Broken
        done.append(epoch)
        yield model.weight.square().sum()

    with checkpoints(folder, every=1):
        descend(model, steps, epochs=4, lr=lr, after_epoch=after_epoch, carries=carries)
    return done


def test_a_loop_goes_on_at_its_last_checkpoint(tmp_path):
    with pytest.raises(Broken):
        one_loop(tmp_path, breaks=2)
    assert one_loop(tmp_path) == [0, 2, 3]  # epoch 0: the first loss alone, to compare


@pytest.mark.parametrize("settings", [{"carries": True}, {"after_epoch": lambda epoch, loss: False}])
def test_a_loop_that_remembers_what_cannot_be_written_starts_anew(tmp_path, settings):
    with pytest.raises(Broken):
        one_loop(tmp_path, breaks=2, **settings)
    assert one_loop(tmp_path, **settings) == [0, 1, 2, 3]


def test_a_checkpoint_of_another_training_is_refused(tmp_path):
    with pytest.raises(Broken):
        one_loop(tmp_path, breaks=2)
    with pytest.raises(InputError, match=r"another training.*0\.1.*0\.2"):
        one_loop(tmp_path, lr=0.2)
    with pytest.raises(InputError, match=r"first loss.*data, seed or settings have changed"):
        one_loop(tmp_path, start=1.01)


@pytest.mark.parametrize("cut", [0, 5, 200])
def test_a_damaged_checkpoint_is_named(tmp_path, cut):
    with pytest.raises(Broken):
        one_loop(tmp_path, breaks=2)
    (path,) = tmp_path.glob("*.safetensors")
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(InputError, match=r"000\.safetensors is damaged"):
        one_loop(tmp_path)


def test_a_checkpoint_has_weights_and_random_streams_but_no_data(tmp_path):
    from safetensors.torch import load_file

    with pytest.raises(Broken):
        one_loop(tmp_path, breaks=2)
    (path,) = tmp_path.glob("*.safetensors")
    names = set(load_file(path)) - {f"rng.cuda.{n}" for n in range(torch.cuda.device_count())}
    adam = {f"adam.0.{name}" for name in ("exp_avg", "exp_avg_sq", "step")}
    assert names == {"model.weight", "rng.torch", "rng.numpy"} | adam


def test_every_is_checked(tmp_path):
    with pytest.raises(InputError, match=r"every.*\(got 0\)"), checkpoints(tmp_path, every=0):
        pass
