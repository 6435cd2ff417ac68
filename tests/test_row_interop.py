"""Rows in and out: pairs of arrays and data sets, and one call that unlearns on them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import Dataset, IterableDataset, Subset, TensorDataset

import graphforget
from graphforget.errors import InputError
from graphforget.methods.d2dgn_calibrated import CalibratedD2DGN
from graphforget.methods.finetune import FineTune
from graphforget.row_interop import to_samples
from graphforget.samples import Samples
from graphforget.train import seeded
from tests.small import equal_states, state


def arrays(count: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    y = torch.arange(count) % 2
    return torch.randn(count, 3, generator=rng) + y[:, None], y


class Squares(Dataset):
    """A user's own data set of two columns."""

    def __len__(self):
        return 30

    def __getitem__(self, row):
        return np.array([row, row**2], dtype=np.float32), float(row)


@pytest.mark.parametrize("kind", ["tensors", "numpy", "data set", "samples"])
def test_one_call_unlearns_rows_and_gives_back_the_same_kind(kind):
    x, y = arrays()
    data = {"tensors": (x, y), "numpy": (x.numpy(), y.numpy()), "data set": TensorDataset(x, y), "samples": None}[kind]
    data = Samples(x, y) if data is None else data
    model = nn.Linear(3, 2)
    before = state(model)
    found = graphforget.unlearn(model, data, samples=[3, 7], method=FineTune(epochs=2))
    assert equal_states(state(model), before)
    assert not equal_states(state(found.model), before)
    kept = [row for row in range(40) if row not in (3, 7)]
    if kind == "samples":
        assert found.data.rows().tolist() == kept
    elif kind == "data set":
        assert isinstance(found.data, Subset)
        assert list(found.data.indices) == kept
    else:
        assert type(found.data[0]) is type(data[0])
        assert np.array_equal(np.asarray(found.data[0]), x.numpy()[kept])
        assert np.array_equal(np.asarray(found.data[1]), y.numpy()[kept])
    assert found.split.forget.rows().tolist() == [3, 7]


def test_a_key_takes_the_usual_settings_for_rows_with_labels():
    x, y = arrays()
    with seeded(0):
        model = nn.Linear(3, 2)
    own = torch.arange(30, 40)
    by_key = graphforget.unlearn(model, (x, y), samples=[3, 7], held_out=own)
    usual = CalibratedD2DGN(refresh=0, epochs=3, lr=1e-3, forget_weight=1.0)
    named = graphforget.unlearn(model, (x, y), samples=[3, 7], held_out=own, method=usual)
    assert equal_states(state(by_key.model), state(named.model))
    assert not equal_states(state(by_key.model), state(model))


def test_a_users_data_set_of_real_targets_is_a_regression():
    model = nn.Linear(2, 1)
    found = graphforget.unlearn(model, Squares(), samples=[0], method=FineTune(epochs=1, lr=1e-4))
    assert len(found.data) == 29
    assert found.data[0][1] == 1.0
    assert found.split.data.y.shape == (30, 1)


def test_masked_values_do_not_come_back_with_the_data_set():
    x, y = arrays()
    request = graphforget.ForgetRequest.of("feature", [[5, 1]])
    found = graphforget.unlearn(nn.Linear(3, 2), TensorDataset(x, y), request, method=FineTune(epochs=1))
    assert isinstance(found.data, TensorDataset)
    assert found.data[5][0][1] == 0
    assert len(found.data) == 40


def test_held_out_rows_are_ids_of_the_data_or_data_of_their_own():
    x, y = arrays(200)
    model = nn.Linear(3, 2)
    inside = graphforget.unlearn(model, (x, y), samples=[0, 1], method="retrain", held_out=torch.arange(150, 200))
    assert inside.split.held_out.rows().tolist() == list(range(150, 200))
    assert inside.split.retain.rows().tolist() == list(range(2, 150))
    for ids in (list(range(150, 200)), range(150, 200), np.arange(150, 200)):
        listed = graphforget.unlearn(model, (x, y), samples=[0, 1], method="retrain", held_out=ids)
        assert listed.split.held_out.rows().tolist() == list(range(150, 200))
    beside = graphforget.unlearn(model, (x, y), samples=[0, 1], method="retrain", held_out=arrays(30))
    assert beside.split.held_out.size == 30
    assert beside.split.retain.size == 198


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x, y: graphforget.unlearn(nn.Linear(3, 2), (x, y)), "nothing to forget was named"),
        (lambda x, y: graphforget.unlearn(nn.Linear(3, 2), (x, y), samples=[40]), r"must lie in \[0, 40\) .got 40"),
        (lambda x, y: graphforget.unlearn(nn.Linear(3, 2), (x, y[:5]), samples=[0]), "y must have 40 rows"),
        (
            lambda x, y: graphforget.unlearn(nn.Linear(3, 2), (x, y), samples=[0], held_out=torch.tensor([41])),
            r"row ids must lie in \[0, 40\) \(got 41\)",
        ),
        (lambda x, y: to_samples(x), "rows must be Samples, a pair"),
        (lambda x, y: to_samples((x, y - 3)), r"labels must be at least 0, or -1 where unknown \(got -3 in row 0\)"),
        (lambda x, y: to_samples(Subset(TensorDataset(x), [0, 1])), r"must yield \(x, y\)"),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call(*arrays())


def test_a_stream_is_refused():
    class Stream(IterableDataset):
        def __iter__(self):
            yield from ()

    with pytest.raises(InputError, match="map-style"):
        to_samples(Stream())
