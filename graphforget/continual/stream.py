"""A model that learns part after part and forgets on request, under a bounded memory.

The data are a domain's own: rows, or a graph that grows. What is here at a moment is what is left when everything that
has not come yet, or has been forgotten, is taken out by the domain's own ``partition``: no edge to a node that is not
here, no row of it. Ids never shift. A learner reads the part that has just come and its buffer, nothing else of the
past; of a graph, messages pass on all that is here.

A request takes the forgotten out of the buffer and out of the context before the first step. What the model then does
is the learner's business.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from graphforget.classes import ClassTask
from graphforget.continual.buffer import Reservoir
from graphforget.elements import existing
from graphforget.errors import GraphforgetError, InputError, unknown
from graphforget.forget import ForgetRequest
from graphforget.graph import Graph
from graphforget.task import Batch, Task
from graphforget.train import Recipe, descend, seeded
from graphforget.unlearner import unwrap

WHOLE = ("sample", "class", "subclass", "node", "node_class")  # requests that take elements as they are
OPTIMISERS = ("sgd", "adam")


@dataclass(eq=False)
class State:
    """What a learner works with.

    Args:
        nets: every network under ``student``, ``teacher``, ...; all are put back if a part fails.
        task: how models run, in batches of the learner's size.
        context: all that is here.
        memory: the buffer.
        rng: the random stream of the part under way.
        labels: [k] labels that are here.
        steps: how many have been made.
        notes: what the learner keeps beside it.
    """

    nets: nn.ModuleDict
    task: Task[Any]
    context: Any
    memory: Reservoir
    rng: torch.Generator
    labels: Tensor
    steps: int = 0
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def model(self) -> nn.Module:
        """The student."""
        return self.nets["student"]

    def replay(self, count: int) -> tuple[Batch, Tensor | None] | None:
        """A batch of the buffer with its notes."""
        return self.memory.draw(count, self.rng)


@dataclass(frozen=True)
class Learner(ABC):
    """How a stream is learned. Sub-classes are frozen dataclasses whose fields are plain scalars with defaults.

    Args:
        buffer: elements kept of the past.
        epochs: passes over a part that has come.
        forget_epochs: passes over a part that is to be forgotten, of a learner that unlearns.
        lr: learning rate.
        momentum: of SGD.
        optimiser: ``sgd``, or ``adam`` where SGD is too slow (a GNN on bags of words).
        batch_size: elements of the part a step.
        minibatch: elements of the buffer a step.
    """

    buffer: int = 500
    epochs: int = 10
    forget_epochs: int = 10
    lr: float = 0.1
    momentum: float = 0.0
    optimiser: str = "sgd"
    batch_size: int = 32
    minibatch: int = 32

    paper: ClassVar[str] = ""
    needs: ClassVar[tuple[type, ...]] = ()
    unlearns: ClassVar[bool] = False  # the loss has a term for what is to be forgotten
    answers: ClassVar[bool] = False  # the model's answers are kept in the buffer

    def __post_init__(self) -> None:
        for name in ("buffer", "epochs", "forget_epochs", "batch_size", "minibatch"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1 (got {getattr(self, name)})")
        if self.optimiser not in OPTIMISERS:
            raise unknown("optimiser", self.optimiser, OPTIMISERS)
        if not self.lr > 0 or not 0 <= self.momentum < 1:
            raise InputError(f"lr must be positive and momentum in [0, 1) (got {self.lr}, {self.momentum})")

    def begin(self, state: State, view: Any, seed: int) -> None:
        """Make what is needed beside the student before the first part is learned; nothing by default."""
        return

    def parameters(self, state: State) -> Iterator[nn.Parameter]:
        """What is trained."""
        return state.model.parameters()

    @abstractmethod
    def loss(self, state: State, new: Batch | None, flagged: Batch | None) -> Tensor:
        """A step's loss: on elements that have come, or on those to be forgotten."""

    def after_step(self, state: State) -> None:
        """Follow the student; nothing by default."""
        return

    def after_part(self, state: State, view: Any) -> None:
        """Note what the part taught; nothing by default."""
        return

    def release(self, state: State, gone: Tensor) -> None:
        """Give up what was derived from the forgotten [n] ids; nothing by default."""
        return

    def after_request(self, state: State) -> None:
        """Do what is left to do once the student has forgotten; nothing by default."""
        return


class Continual:
    """A model in a stream of things to learn and things to forget.

    Args:
        learner: how.
        model: not trained yet, or trained; left untouched.
        task: how such models run.
        data: all that may come: rows, or a graph; labels of other views are -1.
        seed: of everything random; global random state stays as it is.

    Raises:
        InputError: a task that the learner cannot use.

    Example:
        >>> from graphforget.continual.replay import ER
        >>> from graphforget.samples import Samples
        >>> from graphforget.vision.task import ImageClassification
        >>> rows = Samples(torch.eye(4).repeat(3, 1), torch.arange(12) % 4)
        >>> pupil = Continual(ER(buffer=8, epochs=1), nn.Linear(4, 4), ImageClassification(), rows)
        >>> pupil.learn(rows.y < 2)
        >>> pupil.learn(rows.y >= 2)
        >>> pupil.forget(ForgetRequest.of("class", [0]))
        >>> pupil.labels, pupil.memory.count((rows.y == 0).nonzero().flatten())
        ([1, 2, 3], 0)
    """

    def __init__(self, learner: Learner, model: nn.Module, task: Task[Any], data: Any, *, seed: int = 0) -> None:
        for need in learner.needs:
            if not isinstance(task, need):
                raise InputError(
                    f"{type(learner).__name__} needs a task that is {need.__name__} (got {type(task).__name__})"
                )
        recipe = task.recipe if isinstance(task.recipe, Recipe) else Recipe()
        sized = replace(task, recipe=replace(recipe, batch_size=learner.batch_size))
        self.learner, self.seed, self.events = learner, seed, 0
        self.kind = "node" if isinstance(data, Graph) else "sample"
        self.whole, self.here = data, torch.empty(0, dtype=torch.int64)
        self.forgotten = torch.empty(0, dtype=torch.int64)
        nets = nn.ModuleDict({"student": copy.deepcopy(unwrap(model))})
        none = torch.empty(0, dtype=torch.int64)
        self._state = State(nets, sized, None, Reservoir(learner.buffer), torch.Generator(), none)

    @property
    def model(self) -> nn.Module:
        """The model as it stands, in eval mode."""
        return self._state.model.eval()

    @property
    def context(self) -> Any:
        """What the model may see: all that is here."""
        return self._state.context

    @property
    def memory(self) -> Reservoir:
        """The buffer."""
        return self._state.memory

    @property
    def labels(self) -> list[int]:
        """The labels that are here."""
        found: list[int] = self._state.labels.tolist()
        return found

    def learn(self, ids: Tensor, data: Any = None) -> None:
        """Learn what has come.

        Args:
            ids: [n] rows or nodes, or [N] bool.
            data: the grown whole, where these elements were not in it before; earlier ids stay as they were.

        Raises:
            InputError: nothing, something that is here or forgotten already, or a buffer smaller than the number of
                classes; nothing was changed.
            Diverged: a loss became NaN; the networks are as before.
        """
        whole = self.whole if data is None else data
        known = existing(whole, self.kind)
        ids = _ids(ids)
        if not len(ids):
            raise InputError("nothing has come (got no ids); name at least one")
        for name, set_ in (("is here already", self.here), ("was forgotten and does not come back", self.forgotten)):
            again = ids[torch.isin(ids, set_)]
            if len(again):
                raise InputError(f"{self.kind} {int(again[0])} {name}; leave it out")
        if not bool(torch.isin(ids, known).all()):
            raise InputError(f"{self.kind} {int(ids[~torch.isin(ids, known)][0])} is not in the data; pass data=")
        here = torch.cat([self.here, ids]).sort().values
        context = _without(whole, self.kind, known[~torch.isin(known, here)])
        view = context if len(here) == len(ids) else context.partition({self.kind: ids})[0]
        state = self._state
        labels = _labels(state.task, context)
        if len(labels) > self.learner.buffer:
            raise InputError(
                f"the buffer must hold an element of each of {len(labels)} classes (got buffer={self.learner.buffer}); "
                "give it more room"
            )
        with self._part(context, labels):
            if not self.events:
                self.learner.begin(state, view, self.seed)
            self._run(view, self.learner.epochs, flagged=False)
            ask = state.task.teacher(state.model, context)
            for batch in state.task.batches(context, view, state.rng):
                state.memory.offer(batch, state.rng, ask(batch) if self.learner.answers else None)
            self.learner.after_part(state, view)
        self.whole, self.here, self.events = whole, here, self.events + 1

    def forget(self, request: ForgetRequest) -> None:
        """Forget elements that are here.

        Args:
            request: of rows (``sample``, ``class``, ``subclass``) or nodes (``node``, ``node_class``).

        Raises:
            InputError: another kind of request, or one that does not fit what is here; nothing was changed.
            Diverged: a loss became NaN; the networks are as before, the buffer and the context without the forgotten.
        """
        if odd := [kind for kind in request.kinds if kind not in WHOLE]:
            raise InputError(f"a stream forgets whole elements: {', '.join(WHOLE)} (got {odd[0]!r})")
        if not self.events:
            raise InputError("nothing has been learned yet, so that nothing can be forgotten; call learn first")
        state = self._state
        forget, retain = state.context.partition(request.parts)
        left = existing(retain, self.kind)
        gone = self.here[~torch.isin(self.here, left)]
        if not len(gone):
            named = {kind: ids.tolist()[:5] for kind, ids in request.parts.items()}
            raise InputError(f"nothing that is here is named by the request (got {named}); labels here: {self.labels}")
        total = state.task.elements(state.context, forget).size
        state.memory.drop(gone, total)  # first of all
        self.here, self.forgotten = left, torch.cat([self.forgotten, gone])
        state.context, state.labels = retain, _labels(state.task, retain)
        with self._part(retain, state.labels):
            self.learner.release(state, gone)
            if self.learner.unlearns:
                self._run(forget, self.learner.forget_epochs, flagged=True)
                self.learner.after_request(state)
        self.events += 1

    def _run(self, view: Any, epochs: int, *, flagged: bool) -> None:
        state, learner = self._state, self.learner

        def steps(epoch: int) -> Iterator[Tensor]:
            for batch in state.task.batches(state.context, view, state.rng):
                yield learner.loss(state, None if flagged else batch, batch if flagged else None)

        def after() -> None:
            state.steps += 1
            learner.after_step(state)

        descend(
            state.nets,
            steps,
            epochs=epochs,
            lr=learner.lr,
            momentum=None if learner.optimiser == "adam" else learner.momentum,
            parameters=learner.parameters(state),
            after_step=after,
            title=f"{'forget' if flagged else 'learn'} {type(learner).__name__}",
        )
        state.nets.eval()

    @contextmanager
    def _part(self, context: Any, labels: Tensor) -> Iterator[None]:
        """Seed the part and show it to the learner; put the networks back if it fails."""
        state = self._state
        before = state.context, state.labels, state.steps, copy.deepcopy(state.nets)
        state.context, state.labels = context, labels
        try:
            with seeded(1000 * self.seed + self.events) as state.rng:
                yield
        except GraphforgetError:
            state.context, state.labels, state.steps, state.nets = before
            raise


def _ids(ids: Tensor) -> Tensor:
    found: Tensor = ids.nonzero().flatten() if ids.dtype == torch.bool else ids.unique()
    return found.cpu()


def _without(data: Any, kind: str, rest: Tensor) -> Any:
    """The data without elements [n], by the domain's own rule."""
    return data.partition({kind: rest})[1] if len(rest) else data


def _labels(task: Task[Any], context: Any) -> Tensor:
    """[k] labels that are here; none where the task has no classes."""
    if not isinstance(task, ClassTask):
        return torch.empty(0, dtype=torch.int64)
    labels: Tensor = task.elements(context, context).label.unique()
    return labels.cpu()
