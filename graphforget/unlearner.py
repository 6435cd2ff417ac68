"""The method seam: a frozen dataclass of hyper-parameters with one method, ``unlearn``."""

from __future__ import annotations

import copy
import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, NoReturn, final

import torch
from torch import nn

from graphforget.errors import Diverged, InputError
from graphforget.forget import ForgetSplit
from graphforget.task import Task
from graphforget.train import seeded

log = logging.getLogger(__name__)


class Unlearned(NamedTuple):
    """The product.

    Args:
        model: the unlearned model.
        context: what it may see from now on; for some methods (UtU) that is the whole result.
        record: what the request left for the next one: calibrations, importances, epochs, stop reasons.
    """

    model: nn.Module
    context: Any
    record: Mapping[str, Any]


@dataclass(frozen=True)
class Guarded:
    """Stands for a part of the split that the method has declared it does not read."""

    method: str
    part: str

    def __getattr__(self, name: str) -> NoReturn:
        raise InputError(f"{self.method} declares that it does not read {self.part!r}, yet it asked for its {name!r}")


@dataclass(frozen=True, eq=False)
class Job:
    """What ``_unlearn`` works with.

    Args:
        model: a copy of the original's weights that may be changed (the student).
        original: a frozen copy of the original.
        task: how models run.
        split: the request; parts outside ``reads`` raise when touched.
        record: what the last request left, or {}.
        rng: the request's random stream.
        seed: the request's seed.
    """

    model: nn.Module
    original: nn.Module
    task: Task[Any]
    split: ForgetSplit[Any]
    record: Mapping[str, Any]
    rng: torch.Generator
    seed: int
    notes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Unlearner(ABC):
    """A method. Sub-classes are frozen dataclasses whose fields are plain scalars with defaults."""

    paper: ClassVar[str] = ""
    needs: ClassVar[tuple[type, ...]] = ()
    reads: ClassVar[frozenset[str]] = frozenset({"data", "forget", "retain", "held_out"})
    drop_in: ClassVar[bool] = True
    whole: ClassVar[bool] = False  # needs all that is retained: what it does with a part of it means nothing
    unlinks: ClassVar[bool] = False  # the retained context is the whole result: no weight changes

    @abstractmethod
    def _unlearn(self, job: Job) -> Unlearned:
        """Do the work on ``job.model`` and return it with the context it may see from now on."""

    @final
    def unlearn(
        self,
        model: nn.Module,
        task: Task[Any],
        split: ForgetSplit[Any],
        *,
        record: Mapping[str, Any] | None = None,
        seed: int = 0,
    ) -> Unlearned:
        """Unlearn a request from a trained model.

        Args:
            model: the trained model; left untouched, wrapped models (torch.compile, DataParallel) included.
            task: how such models run.
            split: the request, resolved.
            record: what the last request of a sequence left.
            seed: of everything random; global random state is the same before and after.

        Raises:
            InputError: model, task and request do not fit together; nothing was changed.
            Diverged: a weight became NaN or infinite; nothing is returned.
        """
        for setting in ("epochs", "lr"):
            value = getattr(self, setting, None)
            if isinstance(value, int | float) and not value > 0:
                raise InputError(f"{setting} must be positive (got {value})")
        for need in self.needs:
            if not isinstance(task, need):
                raise InputError(
                    f"{type(self).__name__} needs a task that is {need.__name__} (got {type(task).__name__})"
                )
        inner = unwrap(model)
        with seeded(seed):  # on a copy: a forward may draw random numbers or write to buffers
            task.check(copy.deepcopy(inner), split)
        modes = {name: module.training for name, module in inner.named_modules()}
        frozen = [p.requires_grad for p in inner.parameters()]
        with seeded(seed) as rng:
            student = copy.deepcopy(inner)
            original = copy.deepcopy(inner).eval().requires_grad_(False)
            job = Job(student, original, task, self._guard(split), record or {}, rng, seed)
            result = self._unlearn(job)
        if isinstance(result.context, Guarded):  # a method that does not read the retained part still hands it on
            result = result._replace(context=split.retain)
        result.model.train(inner.training)
        for name, module in result.model.named_modules():
            module.training = modes.get(name, module.training)
            for cache in [key for key in vars(module) if key.startswith("_cached_")]:
                setattr(module, cache, None)  # PyG's layers keep an adjacency there, forgotten edges included
        if self.drop_in:
            self._check_drop_in(inner, result.model)
            for parameter, grad in zip(result.model.parameters(), frozen, strict=True):
                parameter.requires_grad_(grad)
                parameter.grad = None
        for name, value in result.model.state_dict().items():
            if value.is_floating_point() and not bool(torch.isfinite(value).all()):
                raise Diverged(f"{type(self).__name__} made {name} NaN or infinite; lower its learning rate")
        return result._replace(model=rewrap(model, result.model), record={**result.record, **job.notes})

    def _guard(self, split: ForgetSplit[Any]) -> ForgetSplit[Any]:
        name = type(self).__name__
        parts = {
            part: getattr(split, part) if part in self.reads else Guarded(name, part)
            for part in ("data", "forget", "retain", "held_out")
        }
        return ForgetSplit(**parts, digest=split.digest, part_of=split.part_of, request=split.request)

    def _check_drop_in(self, original: nn.Module, result: nn.Module) -> None:
        before = {name: value.shape for name, value in original.state_dict().items()}
        after = {name: value.shape for name, value in result.state_dict().items()}
        if before != after:
            raise InputError(f"{type(self).__name__} must return the model's own parameters (got other keys or shapes)")


def unwrap(model: nn.Module) -> nn.Module:
    """Return the module inside torch.compile, DataParallel or DistributedDataParallel."""
    if isinstance(model, torch.nn.DataParallel | torch.nn.parallel.DistributedDataParallel):
        return unwrap(model.module)
    inner = getattr(model, "_orig_mod", None)
    return unwrap(inner) if isinstance(inner, nn.Module) else model


def rewrap(wrapped: nn.Module, model: nn.Module) -> nn.Module:
    """Wrap an unlearned model as the user's own was wrapped."""
    if isinstance(wrapped, torch.nn.DataParallel):
        parallel = torch.nn.DataParallel(rewrap(wrapped.module, model), device_ids=wrapped.device_ids or None)
        parallel.training = wrapped.training
        return parallel
    if isinstance(wrapped, torch.nn.parallel.DistributedDataParallel):
        ids = wrapped.device_ids or None
        distributed = torch.nn.parallel.DistributedDataParallel(rewrap(wrapped.module, model), device_ids=ids)
        distributed.training = wrapped.training
        return distributed
    if isinstance(getattr(wrapped, "_orig_mod", None), nn.Module):
        compiled: nn.Module = torch.compile(rewrap(wrapped._orig_mod, model))  # type: ignore[arg-type,assignment]
        return compiled
    return model
