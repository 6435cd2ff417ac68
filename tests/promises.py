"""What every method on independent rows keeps, as the conformance suite has it for graphs."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from graphforget.errors import InputError
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.samples import Samples
from graphforget.task import Task
from graphforget.unlearner import Unlearned, Unlearner
from tests.small import equal_states, same_random_state, state, storages


def keeps_its_promises(
    method: Unlearner, task: Task[Samples], model: nn.Module, split: ForgetSplit[Samples]
) -> Unlearned:
    """Check one method on one request and return its result."""
    before, modes = state(model), {name: module.training for name, module in model.named_modules()}
    parts = {name: getattr(split, name).rows() for name in ("data", "forget", "retain", "held_out")}
    arrays = split.data.x.clone(), split.data.y.clone()
    with same_random_state():
        found = method.unlearn(model, task, split, seed=5)
    assert equal_states(state(model), before)
    assert {name: module.training for name, module in model.named_modules()} == modes
    assert all(getattr(split, name).rows().equal(rows) for name, rows in parts.items())
    assert split.data.x.equal(arrays[0])
    assert split.data.y.equal(arrays[1])
    assert not storages(found.model) & storages(model)
    assert not equal_states(state(found.model), before)
    assert equal_states(state(method.unlearn(model, task, split, seed=5).model), state(found.model))
    assert not set(found.context.rows().tolist()) & set(parts["forget"].tolist())
    ask = task.elements(split.data, split.forget)
    assert not torch.allclose(
        task.teacher(found.model, found.context)(ask), task.teacher(model, split.data)(ask), atol=1e-7
    )
    for part in ("data", "held_out"):
        if part not in method.reads:
            odd = Samples(torch.zeros_like(split.data.x), torch.zeros_like(split.data.y))
            parts_of = {name: odd if name == part else getattr(split, name) for name in parts}
            other = method.unlearn(model, task, ForgetSplit(**parts_of), seed=5)
            assert equal_states(state(other.model), state(found.model))
    nothing = split.data.view(torch.zeros(len(split.data.x), dtype=torch.bool))
    empty = ForgetSplit(split.data, nothing, split.retain, split.held_out)
    with pytest.raises(InputError, match="holds nothing"):
        method.unlearn(model, task, empty, seed=5)
    two = split.then(ForgetRequest.of("sample", split.retain.rows()[:2]))
    again = method.unlearn(found.model, task, two, record=found.record, seed=5)
    assert again.context.size == split.retain.size - 2
    return found
