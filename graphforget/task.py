"""The domain seam: how a model is run, trained and scored on data.

A method never knows whether it unlearns a GNN, a recommender or an image model. It asks a :class:`Task`. Two words
carry the weight: the *context* is what a model may see (message-passing edges, known positives), the *view* is what it
is asked about. After unlearning the context is always the retain part.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Protocol, TypeVar, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphforget import metrics, parallel
from graphforget.errors import InputError
from graphforget.forget import ForgetSplit
from graphforget.fresh import fresh
from graphforget.train import Recipe, TrainRecord, fit, seeded

D = TypeVar("D")


@dataclass(frozen=True, eq=False)
class Batch:
    """Elements a model is asked about.

    Args:
        index: what is asked: [2, B] pairs, [B] nodes or rows, or a task's own form; the last axis is the batch.
        label: [B] class (1 true edge, 0 negative), or [B, D] targets of a regression.
        input: a context that replaces the one the model runs on (forgotten nodes are asked about in isolation).
    """

    index: Tensor
    label: Tensor
    input: Any = None

    @property
    def size(self) -> int:
        """B."""
        return int(self.label.shape[0])

    def take(self, rows: Tensor) -> Batch:
        """Return some of the elements; rows is [n] int64 or [B] bool."""
        return Batch(self.index[..., rows], self.label[rows], self.input)


Ask = Callable[[Batch], Tensor]


@dataclass(frozen=True)
class Task(ABC, Generic[D]):
    """How models of one domain are run, trained and scored.

    Args:
        recipe: how original and gold are trained, or the user's own callable
            ``(model, context, held_out, seed) -> model``.
        factory: builds a never-trained model where re-initialisation by rules is not possible.
    """

    recipe: Recipe | Callable[[nn.Module, Any, Any, int], nn.Module] = Recipe()  # noqa: RUF009 - frozen
    factory: Callable[[], nn.Module] | None = None

    score_name: ClassVar[str]

    @property
    def weight_decay(self) -> float:
        """The recipe's L2 term: whoever goes on training goes on with it."""
        return self.recipe.weight_decay if isinstance(self.recipe, Recipe) else 0.0

    @abstractmethod
    def batches(self, context: D, view: D, rng: torch.Generator | None) -> Iterator[Batch]:
        """Yield the elements of a view.

        With ``rng``: shuffled, in mini-batches by the recipe, with fresh negatives where the domain has them (never a
        positive of context or view). With None: the view's own elements in their order, without negatives, each once.
        """

    @abstractmethod
    def bind(self, model: nn.Module, context: D) -> Ask:
        """Run the model on a context once and return a function from batches to outputs.

        Outputs are [B, C] logits with C >= 2, or [B, D] values of a regression. Call it anew after each step.
        """

    def begin_epoch(self, model: nn.Module, context: D, rng: torch.Generator) -> None:
        """Do what a model wants done before each training epoch (FREEDOM draws its edges); nothing by default."""
        return

    def outputs(self, model: nn.Module, context: D, batch: Batch) -> Tensor:
        """[B, C] logits, C >= 2; [B, D] for regression."""
        return self.bind(model, context)(batch)

    def teacher(self, model: nn.Module, context: D) -> Ask:
        """Return a frozen model as a function of batches: no gradient, run once a context in eval mode."""
        with evaluating(model), torch.no_grad():
            ask = self.bind(model, context)

        def answer(batch: Batch) -> Tensor:
            with evaluating(model), torch.no_grad():
                return ask(batch)

        return answer

    def criterion(self, outputs: Tensor, batch: Batch) -> Tensor:
        """[B] the task's own loss of each element; cross-entropy by default."""
        return F.cross_entropy(outputs, batch.label.to(outputs.device), reduction="none")

    def loss(self, model: nn.Module, context: D, batch: Batch) -> Tensor:
        """Mean loss of a batch."""
        return self.criterion(self.outputs(model, context, batch), batch).mean()

    def divergence(self, teacher: Tensor, student: Tensor, temperature: float) -> Tensor:
        """[B] T^2 KL(teacher || student) of softened class distributions, in logit space without clamping.

        Its gradient T (p_student - p_teacher) is exactly zero where they agree: Adam would make a full step of the
        rounding error that the plain formula leaves.
        """
        t, s = teacher / temperature, student / temperature
        level, reached = t.logsumexp(1), s.logsumexp(1)
        p = (t - level[:, None]).exp()
        value = (p * (t - s.detach())).sum(1) - (level - reached.detach())
        path = reached - (p * s).sum(1)  # differs from KL by a constant in s
        return temperature**2 * (value + path - path.detach())

    def elements(self, context: D, view: D) -> Batch:
        """All elements of a view in order, without negatives, as one batch.

        Raises:
            InputError: the view speaks for no element of this task.
        """
        batches = list(self.batches(context, view, None))
        if not batches:
            raise InputError(
                f"the view holds nothing that {type(self).__name__} can ask about; check the request's kind"
            )
        if len(batches) == 1:
            return batches[0]
        index = torch.cat([batch.index for batch in batches], dim=-1)
        return Batch(index, torch.cat([batch.label for batch in batches]), batches[0].input)

    @abstractmethod
    def evaluate(self, model: nn.Module, context: D, view: D, reference: Tensor | None = None) -> dict[str, float]:
        """Score a model on a view; with the gold's outputs on the view's elements, its distance to gold as well."""

    def to_gold(self, outputs: Tensor, gold: Tensor, batch: Batch) -> dict[str, float]:
        """Mean distances of outputs [B, C] to gold's on the same elements; of class distributions by default."""
        return metrics.to_gold(outputs, gold, batch.label.to(outputs.device))

    def posterior(self, outputs: Tensor, batch: Batch) -> Tensor:
        """[B, C >= 2] what a membership attack sees of each element, as logits; the outputs by default."""
        return outputs

    def held_out_score(self, model: nn.Module, context: D, held_out: D) -> float:
        """The figure that training watches on held-out data; higher is better."""
        return self.evaluate(model, context, held_out)[self.score_name]

    def fit(
        self, model: nn.Module, context: D, held_out: D, *, seed: int, record: TrainRecord | None = None
    ) -> nn.Module:
        """Train a model in place by THE recipe (original and gold use the same) and return it."""
        if not isinstance(self.recipe, Recipe):
            return self.recipe(model, context, held_out, seed)
        parallel.check_batch(self.recipe.batch_size)
        with seeded(seed) as rng:

            def steps(epoch: int) -> Iterator[Tensor]:
                self.begin_epoch(model, context, rng)
                for batch in self.batches(context, context, rng):
                    yield self.loss(model, context, batch)

            def score() -> float:
                return self.held_out_score(model, context, held_out)

            return fit(model, steps, score, self.recipe, record=record, title=f"train {type(model).__name__}")

    def fresh(self, model: nn.Module, seed: int) -> nn.Module:
        """Return a never-trained model of the same architecture; see :func:`graphforget.fresh.fresh`."""
        return fresh(model, seed, self.factory)

    def check(self, model: nn.Module, split: ForgetSplit[Any]) -> None:
        """Raise InputError when the model or the request does not fit the task; called before any work."""
        batch = self.elements(split.retain, split.forget)
        kept = next(iter(self.batches(split.retain, split.retain, None)), None)
        if kept is None:
            raise InputError(f"the request leaves {type(self).__name__} nothing to learn from in the retain part")
        out = self.teacher(model, split.retain)(batch)
        if out.dim() != 2 or out.shape[0] != batch.size:
            raise InputError(
                f"the model's outputs must have shape [{batch.size}, C] for {type(self).__name__} "
                f"(got {list(out.shape)}); check what its forward returns"
            )
        for labels in (batch.label, kept.label):
            if not labels.is_floating_point():
                check_labels(labels, out.shape[1])
        if not bool(torch.isfinite(out).all()):
            raise InputError("the model's outputs on the forget part hold NaN or infinity; check its weights")


def check_labels(labels: Tensor, classes: int) -> None:
    """Raise InputError where a label [B] is none of a model's outputs."""
    if len(labels) and int(labels.max()) >= classes:
        raise InputError(
            f"labels must lie in [0, {classes}), the model's outputs (got {int(labels.max())}); "
            "give the model as many outputs as there are classes"
        )


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put a model in eval mode inside the block; every module has its own mode back after it."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


@runtime_checkable
class Layered(Protocol):
    """A task that can show a model's hidden layers."""

    def layers(self, model: nn.Module, context: Any, view: Any) -> dict[str, Tensor]:
        """{name: [rows, d]} outputs of the model's layers for the rows the view speaks for, with gradient."""


@runtime_checkable
class Sequenced(Protocol):
    """A task whose elements are tokens of whole answers."""

    def of_rows(self, view: Any, rows: Tensor) -> Batch:
        """All answer tokens of some rows [n] of a view, as one batch."""

    def answers(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """(logits [R, T, V], labels [R, T]) of the rows that a batch's tokens stand in, shifted by one."""

    def answer_nll(self, model: nn.Module, batch: Batch) -> Tensor:
        """[R] summed negative log-likelihood of each row's answer."""


@runtime_checkable
class Scored(Protocol):
    """A task whose elements have one belief each, and a structure that can be seen without the element."""

    def scores(self, outputs: Tensor, batch: Batch) -> Tensor:
        """[B] the model's belief in each element, a logit."""

    def shift(self, outputs: Tensor, batch: Batch, delta: Tensor) -> Tensor:
        """[B, C] outputs whose scores are lowered by delta [B]."""

    def structure(self, context: Any, batch: Batch) -> npt.NDArray[np.float64]:
        """[B, K] what the context shows of each element without the element itself."""

    def sample(self, view: Any, count: int, rng: torch.Generator) -> Batch:
        """A random sample of the view's elements, without negatives."""

    def unlinked(self, split: Any, batch: Batch) -> Any:
        """The retain context without the elements of the batch; the identity where there is no graph."""


@runtime_checkable
class Local(Protocol):
    """A task whose elements lie near to or far from a request."""

    def near(self, split: Any, batch: Batch, hops: int) -> Tensor:
        """[B] bool: does an element touch the rows within ``hops`` of the request."""

    def region(self, split: Any, hops: int) -> float:
        """Share of the rows within ``hops`` of the request."""


@runtime_checkable
class Profiled(Protocol):
    """A task with figures of whole models beside those of single elements: the rankings of a recommender."""

    def profile(self, model: nn.Module, context: Any, split: Any, test: Any) -> Any:
        """What the figures need of one model, computed once."""

    def figures(self, profile: Any) -> dict[tuple[str, str], float]:
        """{(part, metric): value} of one model."""

    def apart(self, profile: Any, other: Any) -> dict[tuple[str, str], float]:
        """{(part, metric): distance} of two models."""
