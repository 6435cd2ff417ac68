"""Never-trained copies of a model: what gold and the destroyer start from.

Calling ``reset_parameters`` alone silently keeps trained values in bare parameters, attention blocks and norms. Here
every parameter and persistent buffer is first filled with NaN (integers: their largest value), so that whatever no
rule covers is found and named instead of kept.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import nn

from graphforget.errors import InputError
from graphforget.train import seeded


def fresh(model: nn.Module, seed: int, factory: Callable[[], nn.Module] | None = None) -> nn.Module:
    """Return a never-trained model of the same architecture, on the same device, sharing no tensor with ``model``.

    Args:
        model: the trained model; left untouched.
        seed: of the initialisation.
        factory: builds a new model (or one from a base checkpoint); needed where no rule covers a parameter.

    Raises:
        InputError: a parameter or buffer that no rule covers, named; or a factory whose model has other keys or shapes.

    Example:
        >>> layer = nn.Linear(2, 2)
        >>> fresh(layer, 0).weight.equal(fresh(layer, 0).weight), fresh(layer, 0).weight.equal(fresh(layer, 1).weight)
        (True, False)
    """
    with seeded(seed):
        if factory is not None:
            return _from_factory(model, factory)
        new = copy.deepcopy(model)
        state = {**dict(new.named_parameters()), **_buffers(new)}
        with torch.no_grad():
            for value in state.values():
                if value.dtype != torch.bool:
                    value.fill_(_mark(value))
        for module in reversed(list(new.modules())):  # children first: a parent's own rule is the more specific
            rule = getattr(module, "reset_parameters", None) or getattr(module, "_reset_parameters", None)
            if callable(rule):
                rule()
        left = [name for name, value in state.items() if value.dtype != torch.bool and _marked(value)]
        if left:
            raise InputError(
                f"no rule re-initialises {', '.join(sorted(left))}; pass the task a factory that builds a new model, "
                "e.g. factory=lambda: MyModel(...), or give the module a reset_parameters method"
            )
    return new


def _mark(value: torch.Tensor) -> float | int:
    return torch.nan if value.is_floating_point() or value.is_complex() else torch.iinfo(value.dtype).max


def _marked(value: torch.Tensor) -> bool:
    mark = _mark(value)
    return bool((value.isnan() if mark != mark else value == mark).any())


def _from_factory(model: nn.Module, factory: Callable[[], nn.Module]) -> nn.Module:
    new = factory()
    old_state, new_state = model.state_dict(), new.state_dict()
    if old_state.keys() != new_state.keys():
        odd = sorted(old_state.keys() ^ new_state.keys())
        raise InputError(f"the factory's model has other parameters than the trained one (first: {odd[:3]})")
    for name, value in old_state.items():
        if value.shape != new_state[name].shape:
            raise InputError(f"the factory's {name} has shape {list(new_state[name].shape)} (got {list(value.shape)})")
        if value.numel() and value.data_ptr() == new_state[name].data_ptr():
            raise InputError(f"the factory returned the trained model itself ({name} is shared); build a new one")
    if old_state and all(value.equal(new_state[name].to(value.device)) for name, value in old_state.items()):
        raise InputError("the factory's model holds the trained values; build a new one instead of copying it")
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    return new.to(device).train(model.training)


def _buffers(model: nn.Module) -> dict[str, torch.Tensor]:
    saved = model.state_dict(keep_vars=True).keys()
    return {name: value for name, value in model.named_buffers() if name in saved}
