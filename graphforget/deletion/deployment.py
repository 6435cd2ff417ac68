"""What is deployed: the model's factory, its task, and the policy of the store, as one small JSON file.

``deployment.json`` holds names and numbers only: no weights, no ids, no key. It is read by pydantic, which refuses what
it does not know.
"""

from __future__ import annotations

import importlib
import os
import pickle
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from graphforget import catalog
from graphforget.deletion.bridge import is_recbole, load_run, wrapped
from graphforget.deletion.verdict import Thresholds
from graphforget.errors import InputError, unknown
from graphforget.graph import Graph
from graphforget.splits import Splits
from graphforget.task import Task
from graphforget.train import Recipe
from graphforget.unlearner import Unlearner

Scalar = bool | int | float | str | None

MOST_RANKED = 2000  # users: on Gowalla's thirty thousand a verification would take minutes


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DriftBudget(_Strict):
    """When a batch is retrained instead of unlearned.

    Args:
        requests: at most so many requests unlearned since the last training from scratch (our default).
        distance: at most so much drift since then: the sum, over the batches, of the mean root of the Jensen-Shannon
            divergence of the outputs on held-out data before and after. The root is a metric, so the sum bounds the
            distance to the last model that was trained from scratch. None: no bound.
    """

    requests: int = Field(default=1000, ge=1)
    distance: float | None = Field(default=None, gt=0)


class Deployment(_Strict):
    """What the store serves.

    Args:
        factory: ``package.module:factory``, called with ``factory_args``, returns the model; or
            ``recbole:CHECKPOINT``, a RecBole checkpoint, whose data folder is ``factory_args["dataset_folder"]``.
        factory_args: keyword arguments of the factory.
        task: key of the catalog, or ``package.module:factory`` of a Task.
        task_args: fields of the task, of those that are scalars.
        recipe: fields of :class:`graphforget.train.Recipe`, how the model was trained; {} takes the task's own.
        method: key of the catalog or ``package.module:Class``; None takes the recommendation for the request.
        settings: fields of the method.
        batch_size: requests a batch.
        batch_days: a smaller batch waits until its oldest request is so many days old, or has a day left to its
            deadline; None runs whatever there is.
        drift: when a retrain is forced.
        golds: models retrained for the evidence of a batch, where they are affordable; 0 for none. Two differ in one
            way only, which says little of how far golds differ: a gold itself may fail beside them.
        gold_seconds: affordable means so many predicted seconds for all golds (our default).
        deadline_days: from receipt to deadline, GDPR art. 12(3) says one month.
        thresholds: of the verdict, declared before any run.
        training_seconds: what the original's training took, where known.
        training_epochs: its epochs, where known: the plan prices a retrain by them.
        key: fingerprint of the controller's key.
        seed: of everything random.
    """

    format: Literal[1] = 1
    factory: str
    factory_args: dict[str, Scalar] = {}
    task: str = "link"
    task_args: dict[str, Scalar] = {}
    recipe: dict[str, Scalar] = {}
    method: str | None = None
    settings: dict[str, Scalar] = {}
    batch_size: int = Field(default=1000, ge=1)
    batch_days: float | None = Field(default=None, ge=0)
    drift: DriftBudget = DriftBudget()
    golds: int = Field(default=3, ge=0)
    gold_seconds: float = Field(default=300.0, ge=0)
    deadline_days: int = Field(default=30, ge=1, le=3650)
    thresholds: Thresholds = Thresholds()
    training_seconds: float | None = None
    training_epochs: int | None = None
    key: str = ""
    seed: int = 0

    @model_validator(mode="after")
    def _in_time(self) -> Deployment:
        if self.batch_days is not None and self.batch_days >= self.deadline_days:
            raise ValueError(f"batch_days must be less than deadline_days, which is {self.deadline_days}")
        return self

    @classmethod
    def parse(cls, text: str | bytes, name: str = "deployment.json") -> Deployment:
        """Read the JSON of a deployment.

        Raises:
            InputError: every wrong field is named.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            wrong = "; ".join(
                f"{'.'.join(map(str, each['loc'])) or 'file'}: {each['msg']} (got {str(each['input'])[:80]!r})"
                for each in error.errors()
            )
            raise InputError(f"{name} cannot be used: {wrong}; correct it") from error


def load_object(path: str) -> Any:
    """Import ``package.module:name``; the current folder counts as it does for ``python -m``.

    Raises:
        InputError: no such module or name.

    Example:
        >>> load_object("graphforget.gnn.models:GCN").__name__
        'GCN'
    """
    module, colon, name = path.partition(":")
    if not colon or not module or not name:
        raise InputError(f"an import path is package.module:name (got {path!r}); name both")
    if (here := os.getcwd()) not in sys.path:
        sys.path.insert(0, here)
    try:
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        raise InputError(f"there is no module {error.name!r} (got {path!r}); run where it can be imported") from error
    except AttributeError as error:
        raise InputError(f"the module {module!r} has no {name!r} (got {path!r}); correct the name") from error


def task_of(deployment: Deployment, model: nn.Module | None = None) -> Task[Any]:
    """Build the task, with the recipe and, for a plain factory, the factory for fresh models.

    Figures of rankings are those of MOST_RANKED users, evenly spaced, unless ``task_args`` says otherwise.
    """
    if ":" in deployment.task:
        made: Task[Any] = load_object(deployment.task)(**deployment.task_args)
        return made
    kind = catalog.task(deployment.task)
    known = {field.name for field in fields(kind)} - {"recipe", "factory"}
    for name in deployment.task_args:
        if name not in known:
            raise unknown("field of the task", name, sorted(known))
    options: dict[str, Any] = ({"max_users": MOST_RANKED} if "max_users" in known else {}) | deployment.task_args
    if deployment.recipe:
        options["recipe"] = recipe_of(deployment.recipe)
    elif _wrapped(model):
        from recsys.recbole.bridge import task_of as recbole_task

        options["recipe"] = recbole_task(model.source.config).recipe  # type: ignore[union-attr]
    task: Task[Any] = kind(**options)
    return task


def recipe_of(values: dict[str, Scalar]) -> Recipe:
    """Build a recipe; unknown fields are named."""
    known = [field.name for field in fields(Recipe)]
    for name in values:
        if name not in known:
            raise unknown("field of the recipe", name, known)
    return Recipe(**values)  # type: ignore[arg-type]


def method_of(name: str, settings: dict[str, Scalar]) -> Unlearner:
    """Build a method from its catalog key or import path, and its settings."""
    kind = load_object(name) if ":" in name else catalog.method(name)
    known = [field.name for field in fields(kind)]
    for field in settings:
        if field not in known:
            raise unknown(f"setting of {name}", field, known)
    method: Unlearner = kind(**settings)
    return method


def blank_model(deployment: Deployment) -> nn.Module:
    """Build the model without its weights.

    Raises:
        InputError: the factory does not take the arguments, or returns something else.
    """
    if is_recbole(deployment.factory):
        return wrapped(load_run(deployment))  # type: ignore[no-any-return]
    factory = load_object(deployment.factory)
    try:
        model = factory(**deployment.factory_args)
    except TypeError as error:
        raise InputError(
            f"the factory {deployment.factory!r} does not take its arguments (got {error}); pass --arg NAME=VALUE"
        ) from error
    if not isinstance(model, nn.Module):
        raise InputError(f"the factory {deployment.factory!r} must return a module (got {type(model).__name__})")
    return model.eval()


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read weights: .safetensors, or a ``state_dict`` that torch loads with ``weights_only=True``.

    Raises:
        InputError: the file is missing, holds something else, or would run code.
    """
    if not path.is_file():
        raise InputError(f"there are no weights {str(path)!r}; check the path")
    try:
        found: Any = (
            load_file(path)
            if path.suffix == ".safetensors"
            else torch.load(path, map_location="cpu", weights_only=True)
        )
    except (SafetensorError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise InputError(
            f"the weights {str(path)!r} cannot be read (got {str(error)[:200]}); save them again"
        ) from error
    except pickle.UnpicklingError as error:
        raise InputError(
            f"the weights {str(path)!r} hold more than tensors (got {type(error).__name__}); save model.state_dict()"
        ) from error
    if isinstance(found, dict) and isinstance(found.get("state_dict"), dict):
        found = found["state_dict"]
    if not isinstance(found, dict) or not found or not all(isinstance(value, Tensor) for value in found.values()):
        raise InputError(f"the weights {str(path)!r} must be a state_dict of tensors (got {type(found).__name__})")
    return found


def with_weights(model: nn.Module, state: dict[str, Tensor], source: str) -> nn.Module:
    """Give a model its weights.

    Raises:
        InputError: other keys or shapes; the first five of each are named.
    """
    own = model.state_dict()
    wrong = {
        "missing": sorted(own.keys() - state.keys()),
        "not in the model": sorted(state.keys() - own.keys()),
        "of another shape": [
            f"{name} {list(state[name].shape)} for {list(own[name].shape)}"
            for name in sorted(own.keys() & state.keys())
            if own[name].shape != state[name].shape
        ],
    }
    if any(wrong.values()):
        told = "; ".join(f"{what}: {', '.join(names[:5])}" for what, names in wrong.items() if names)
        raise InputError(
            f"the weights {source} do not fit the model (got {told}); name the factory they were saved from"
        )
    model.load_state_dict(state)
    for name, value in state.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise InputError(f"the weights {source} hold NaN or infinity (got {name}); save them again")
    return model


def sizes_of(splits: Splits[Graph]) -> dict[str, int]:
    """Rows by subject kind: users and items, or nodes."""
    graph = splits.train
    return {"user": graph.size[0], "item": graph.size[1]} if graph.bipartite else {"node": graph.num_nodes}


def _wrapped(model: nn.Module | None) -> bool:
    return type(model).__name__ == "Wrapped" and type(model).__module__ == "recsys.recbole.wrap"
