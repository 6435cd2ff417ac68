"""UniCLUN: continual learning and unlearning by controlled distillation (arXiv:2408.11374).

=================  ====================================================================================
S, T, B            student; its exponential moving average; a network that was never trained
M                  a batch of the buffer
w(x)               weight of an element of the buffer: softmax(T(x) / rho) at its label
============================================================================================================

::

    (4)   L_od  = mean_M  w(x) mean_c (S(x) - T(x))^2
    (5)   L_cd  = supervised contrast of the projected features of S with those of T on M
    (7)   L_scd = supervised contrast of S's projected features of M and of its second view
    (8)   L_cl  = L_ce + e L_er + a1 L_od + a2 L_cd + a3 L_scd
    (9)   L_cu  = KL( softmax(B(x)) || softmax(S(x)) ) on what is to be forgotten
    (11)  L     = gamma L_cl + (1 - gamma) L_cu;  the released code has no gamma: L = L_cl + L_cu

After each step, with probability ``ema``: T <- m T + (1 - m) S with m = min(1 - 1 / (step + 1), .999).

Losses, weights and the cross-entropy L_er on the buffer are those of the released code as a specification describes it;
equation numbers are those of a public re-implementation; we have not read the paper. rho is our default, and so are the
size of the projection (linear, 64) and, on a graph, the second view (a fifth of the edges left out). The released
code's rotation prediction is left out. A request purges the buffer before the first step; L_od and L_cd are never
computed on what is to be forgotten, which T still remembers; once the student has forgotten, T starts anew as its copy,
so that it cannot teach the forgotten later.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from graphforget.classes import ClassTask
from graphforget.continual.features import contrast, second_view, watched
from graphforget.continual.stream import Learner, State
from graphforget.errors import InputError, unknown
from graphforget.task import Batch, Layered, evaluating

FORMS = ("sum", "gamma")
PROJECTED = 64


@dataclass(frozen=True)
class UniCLUN(Learner):
    """Learn beside a moving average of the student, forget towards a network that knows nothing.

    Args:
        replay: e, weight of the buffer's cross-entropy.
        distil: a1, weight of L_od.
        contrastive: a2, weight of L_cd.
        supervised: a3, weight of L_scd.
        form: ``sum`` as the code, or ``gamma`` as equation (11).
        gamma: of equation (11).
        rho: temperature of w(x).
        temperature: of both contrasts.
        ema: probability that T follows after a step.
    """

    replay: float = 1.0
    distil: float = 0.1
    contrastive: float = 0.1
    supervised: float = 0.3
    form: str = "sum"
    gamma: float = 0.5
    rho: float = 1.0
    temperature: float = 0.07
    ema: float = 0.2

    paper: ClassVar[str] = "arXiv:2408.11374"
    needs: ClassVar[tuple[type, ...]] = (ClassTask, Layered)
    unlearns: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.form not in FORMS:
            raise unknown("form", self.form, FORMS)
        if not 0 <= self.gamma <= 1 or not 0 <= self.ema <= 1:
            raise InputError(f"gamma and ema must lie in [0, 1] (got {self.gamma}, {self.ema})")
        if not self.rho > 0 or not self.temperature > 0:
            raise InputError(f"rho and temperature must be positive (got {self.rho}, {self.temperature})")

    def begin(self, state: State, view: Any, seed: int) -> None:
        """Make the projection, the teacher and the network that knows nothing."""
        batch = next(iter(state.task.batches(state.context, view, state.rng)), None)
        if batch is None:
            raise InputError("the first part holds no labelled element; let some come first")
        with evaluating(state.model), torch.no_grad():
            features = watched(state.task, state.model, state.context)(batch)[1]
        state.nets["head"] = nn.Linear(features.shape[1], PROJECTED).to(features.device)
        state.nets["teacher"] = copy.deepcopy(state.model).requires_grad_(False)
        state.nets["teacher_head"] = copy.deepcopy(state.nets["head"]).requires_grad_(False)
        state.nets["random"] = state.task.fresh(state.model, seed + 1).requires_grad_(False)

    def parameters(self, state: State) -> Iterator[nn.Parameter]:
        """Student and projection."""
        return chain(state.model.parameters(), state.nets["head"].parameters())

    def loss(self, state: State, new: Batch | None, flagged: Batch | None) -> Tensor:
        """Equation (11), or the plain sum."""
        ask = watched(state.task, state.model, state.context)
        learned = self.replayed(state, ask)
        if new is not None:
            learned = learned + state.task.criterion(ask(new)[0], new).mean()
        if flagged is None:
            return self.gamma * learned if self.form == "gamma" else learned
        forgotten = self.unlearned(state, flagged, ask(flagged)[0])
        if self.form == "gamma":
            return self.gamma * learned + (1 - self.gamma) * forgotten
        return learned + forgotten

    def replayed(self, state: State, ask: Any) -> Tensor:
        """E L_er + a1 L_od + a2 L_cd + a3 L_scd on a batch of the buffer; 0 while it is empty."""
        drawn = state.replay(self.minibatch)
        if drawn is None:
            return torch.zeros(())
        batch, label = drawn[0], drawn[0].label
        answers, features = ask(batch)
        teacher = state.nets["teacher"]
        with evaluating(teacher), torch.no_grad():
            taught, known = watched(state.task, teacher, state.context)(batch)
            target = state.nets["teacher_head"](known)
        own = state.nets["head"](features)
        same = (label[:, None] == label[None]).float()
        total: Tensor = self.replay * state.task.criterion(answers, batch).mean()
        weight = (taught / self.rho).softmax(1).gather(1, label[:, None].to(taught.device)).squeeze(1)  # (3)
        total = total + self.distil * (weight * (answers - taught).square().mean(1)).mean()  # (4)
        total = total + self.contrastive * contrast(own, target, same, self.temperature)  # (5)
        views = [own]
        if other := second_view(state.context, batch, state.rng):
            views.append(state.nets["head"](watched(state.task, state.model, state.context)(other)[1]))
        both = torch.cat(views)
        same = same.repeat(len(views), len(views)).fill_diagonal_(torch.nan)
        return total + self.supervised * contrast(both, both, same, self.temperature)  # (7)

    def unlearned(self, state: State, flagged: Batch, answers: Tensor) -> Tensor:
        """L_cu: equation (9)."""
        ignorant = state.task.teacher(state.nets["random"], state.context)(flagged)
        return state.task.divergence(ignorant, answers, 1.0).mean()

    def after_step(self, state: State) -> None:
        """Let T follow, now and then."""
        if float(torch.rand((), generator=state.rng)) < self.ema:
            follow(state, min(1 - 1 / state.steps, 0.999))

    def after_request(self, state: State) -> None:
        """Let T start anew as the student's copy."""
        follow(state, 0.0)


@torch.no_grad()
def follow(state: State, momentum: float) -> None:
    """T <- m T + (1 - m) S, running statistics of batch norm included; counters are copied."""
    for mean, now in (("teacher", "student"), ("teacher_head", "head")):
        for old, new in zip(state.nets[mean].state_dict().values(), state.nets[now].state_dict().values(), strict=True):
            if old.is_floating_point():
                old.mul_(momentum).add_(new, alpha=1 - momentum)
            else:
                old.copy_(new)
