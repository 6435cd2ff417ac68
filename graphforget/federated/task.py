"""Any task, federated: the data are held by clients, and models are trained in rounds.

Questions are asked by the wrapped task, of the data that all clients hold together; only ``fit`` differs. Methods of
the base (fine-tuning, ascent, distillation) thus run as if the server held the retained data, which no federation can
do better by. What the wrapped task is capable of (:class:`Layered`, :class:`Scored`, ...) the federated one is too.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, cast
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from graphforget.errors import InputError
from graphforget.federated import rounds
from graphforget.federated.clients import Clients
from graphforget.federated.history import History
from graphforget.federated.rounds import Local, Rounds
from graphforget.forget import ForgetSplit
from graphforget.task import Ask, Batch, Layered, Profiled, Scored, Task
from graphforget.task import Local as Near
from graphforget.train import TrainRecord, seeded
from graphforget.unlearner import Guarded


@dataclass(frozen=True)
class Federated(Task[Clients[Any]]):
    """A task over clients; made by :func:`federated`.

    Args:
        recipe: the rounds.
        factory: see :class:`graphforget.task.Task`.
        inner: the wrapped task; its own recipe gives way to the rounds'.
    """

    recipe: Rounds = Rounds()  # noqa: RUF009 - frozen
    inner: Task[Any] = field(kw_only=True)

    def __post_init__(self) -> None:
        if not isinstance(self.inner, Task):
            raise InputError(f"a federated task wraps another (got {type(self.inner).__name__}); use federated(task)")
        if not isinstance(self.recipe, Rounds):
            raise InputError(f"a federated task is trained in Rounds (got {type(self.recipe).__name__})")

    def batches(self, context: Clients[Any], view: Clients[Any], rng: torch.Generator | None) -> Iterator[Batch]:
        """The wrapped task's, of the data that all clients hold."""
        return self.inner.batches(context.data, view.data, rng)

    def bind(self, model: nn.Module, context: Clients[Any]) -> Ask:
        """The wrapped task's."""
        return self.inner.bind(model, context.data)

    def begin_epoch(self, model: nn.Module, context: Clients[Any], rng: torch.Generator) -> None:
        """The wrapped task's."""
        self.inner.begin_epoch(model, context.data, rng)

    def criterion(self, outputs: Tensor, batch: Batch) -> Tensor:
        """The wrapped task's."""
        return self.inner.criterion(outputs, batch)

    def loss(self, model: nn.Module, context: Clients[Any], batch: Batch) -> Tensor:
        """The wrapped task's."""
        return self.inner.loss(model, context.data, batch)

    def divergence(self, teacher: Tensor, student: Tensor, temperature: float) -> Tensor:
        """The wrapped task's."""
        return self.inner.divergence(teacher, student, temperature)

    def evaluate(
        self, model: nn.Module, context: Clients[Any], view: Clients[Any], reference: Tensor | None = None
    ) -> dict[str, float]:
        """The wrapped task's figures."""
        return self.inner.evaluate(model, context.data, view.data, reference)

    def to_gold(self, outputs: Tensor, gold: Tensor, batch: Batch) -> dict[str, float]:
        """The wrapped task's."""
        return self.inner.to_gold(outputs, gold, batch)

    def posterior(self, outputs: Tensor, batch: Batch) -> Tensor:
        """The wrapped task's."""
        return self.inner.posterior(outputs, batch)

    def held_out_score(self, model: nn.Module, context: Clients[Any], held_out: Clients[Any]) -> float:
        """The wrapped task's."""
        return self.inner.held_out_score(model, context.data, held_out.data)

    def fit(
        self,
        model: nn.Module,
        context: Clients[Any],
        held_out: Clients[Any],
        *,
        seed: int,
        record: TrainRecord | None = None,
    ) -> nn.Module:
        """Train a model in rounds and leave the weights of the last one.

        Args:
            model: trained in place and returned in eval mode.
            context: the clients.
            held_out: what ``patience`` watches.
            seed: of clients, batches and dropout.
            record: filled with the curve; its notes hold the ``history``, which unlearning reads.

        Raises:
            Diverged: a round without a usable update.
            InputError: nobody holds data.
        """
        record = TrainRecord() if record is None else record
        history = History(_state(model), self.recipe.keep)
        start = time.perf_counter()

        def after(number: int, loss: float) -> bool:
            if (number + 1) % self.recipe.eval_every and number + 1 != self.recipe.epochs:
                return False
            score = self.held_out_score(model, context, held_out)
            record.curve.append((number, loss, score))
            if score > record.best_score:
                record.best_score, record.best_epoch = score, number
            return number - record.best_epoch >= self.recipe.patience

        with seeded(seed) as rng:
            train = self.local(context, rng)
            done = rounds.run(
                model, rounds.weights(context), train, self.recipe,
                rng=rng, history=history, after=after, title=f"rounds of {type(model).__name__}",
            )  # fmt: skip
        record.seconds = time.perf_counter() - start
        record.converged = done < self.recipe.epochs
        if self.recipe.keep != "nothing":
            record.notes["history"] = history
        return model.eval()

    def local(self, context: Clients[Any], rng: torch.Generator) -> rounds.Train:
        """What a client does in a round: train on its part."""
        train = Local(self.inner, self.recipe, rng)
        return lambda model, client: train(model, context.part(client))

    def check(self, model: nn.Module, split: ForgetSplit[Any]) -> None:
        """Raise InputError when model and request do not fit; asks the model about a single forgotten element.

        Whoever unlearns at the server sees no client's data, and the model's answers to all of it would take longer
        than ConDa.
        """
        for part in (split.forget, split.retain):
            if not isinstance(part, Clients):
                raise InputError(f"a federated task needs Clients (got {type(part).__name__}); wrap the data in them")
        batch = self.elements(split.retain, split.forget)
        if next(iter(self.batches(split.retain, split.retain, None)), None) is None:
            raise InputError("the request leaves no client anything to learn from")
        out = self.teacher(model, split.retain)(batch.take(torch.arange(1, device=batch.label.device)))
        if out.dim() != 2 or out.shape[0] != 1 or not bool(torch.isfinite(out).all()):
            raise InputError(f"the model's outputs must be finite and of shape [1, C] (got {list(out.shape)})")
        label = batch.label
        if not label.is_floating_point() and int(label.max()) >= out.shape[1]:
            raise InputError(f"labels must lie in [0, {out.shape[1]}), the model's outputs (got {int(label.max())})")


def federated(inner: Task[Any], recipe: Rounds = Rounds()) -> Any:  # noqa: B008 - frozen
    """Wrap a task: the same questions, models trained in rounds, and every capability of the wrapped task.

    Args:
        inner: any task.
        recipe: the rounds; their batch size and weight decay hold for methods too.

    Returns:
        A :class:`Federated` that is Layered, Scored, Local or Profiled where ``inner`` is.

    Example:
        >>> from graphforget.classes import ClassTask
        >>> from graphforget.samples import Samples, SampleTask
        >>> class Rows(ClassTask[Samples], SampleTask):
        ...     pass
        >>> task = federated(Rows(), Rounds(epochs=2))
        >>> isinstance(task, Federated), isinstance(task, Scored), isinstance(task, Near)
        (True, True, False)
    """
    able = tuple(mixin for protocol, mixin in _CAPABILITIES if isinstance(inner, protocol))
    made = type("Federated", (*able, Federated), {"score_name": inner.score_name})
    return made(recipe=recipe, factory=inner.factory, inner=replace(inner, recipe=recipe))


class _Layered:
    inner: Any

    def layers(self, model: nn.Module, context: Clients[Any], view: Clients[Any]) -> dict[str, Tensor]:
        found: dict[str, Tensor] = self.inner.layers(model, context.data, view.data)
        return found


class _Scored:
    inner: Any

    def scores(self, outputs: Tensor, batch: Batch) -> Tensor:
        return cast(Tensor, self.inner.scores(outputs, batch))

    def shift(self, outputs: Tensor, batch: Batch, delta: Tensor) -> Tensor:
        return cast(Tensor, self.inner.shift(outputs, batch, delta))

    def structure(self, context: Clients[Any], batch: Batch) -> Any:
        return self.inner.structure(context.data, batch)

    def sample(self, view: Clients[Any], count: int, rng: torch.Generator) -> Batch:
        return cast(Batch, self.inner.sample(view.data, count, rng))

    def unlinked(self, split: ForgetSplit[Any], batch: Batch) -> Clients[Any]:
        return cast(Clients[Any], split.retain.over(self.inner.unlinked(unwrapped(split), batch)))


class _Near:
    inner: Any

    def near(self, split: ForgetSplit[Any], batch: Batch, hops: int) -> Tensor:
        return cast(Tensor, self.inner.near(unwrapped(split), batch, hops))

    def region(self, split: ForgetSplit[Any], hops: int) -> float:
        return float(self.inner.region(unwrapped(split), hops))


class _Profiled:
    inner: Any

    def profile(self, model: nn.Module, context: Clients[Any], split: ForgetSplit[Any], test: Clients[Any]) -> Any:
        return self.inner.profile(model, context.data, unwrapped(split), test.data)

    def figures(self, profile: Any) -> Any:
        return self.inner.figures(profile)

    def apart(self, profile: Any, other: Any) -> Any:
        return self.inner.apart(profile, other)


_CAPABILITIES: tuple[tuple[type, type], ...] = (
    (Layered, _Layered),
    (Scored, _Scored),
    (Near, _Near),
    (Profiled, _Profiled),
)
_UNWRAPPED: WeakKeyDictionary[Any, ForgetSplit[Any]] = WeakKeyDictionary()


def unwrapped(split: ForgetSplit[Any]) -> ForgetSplit[Any]:
    """The split of the domain's own data; parts that a method may not read stay guarded. Made once."""
    if split not in _UNWRAPPED:
        parts = {name: getattr(split, name) for name in ("data", "forget", "retain", "held_out")}
        plain = {name: part if isinstance(part, Guarded) else part.data for name, part in parts.items()}
        _UNWRAPPED[split] = ForgetSplit(**plain, digest=split.digest, part_of=split.part_of, request=split.request)
    return _UNWRAPPED[split]


def _state(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}
