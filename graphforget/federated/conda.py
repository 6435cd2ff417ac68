"""ConDa, contribution dampening (arXiv:2410.04144): forget a client without training, and without anybody's data.

The weights to which the leaving clients contributed more than the others are shrunk::

    ratio_i = mean_{n in C_r} c_n,i / mean_{n in C_f} c_n,i       ``docstring``: of the released code; its stated intent
            = mean_{all n}    c_n,i / mean_{n in C_f} c_n,i       ``paper``: Algorithm 1
    beta_i  = min(lambda ratio_i, U)                                                                            (1)
    theta_i <- beta_i theta_i, where ratio_i < alpha                                                            (2)

==========  ======================================================================
symbol      here
==========  ======================================================================
c_n,i       ``History.contributions``: of client n to weight i, over all rounds
lambda      ``dampening``
U           ``upper``
alpha       ``alpha``
==========  ======================================================================

``ConDaReleased`` is what the released code does: the function is declared (forget, retain) and called (retain, forget),
so that its ratio is inverted and it shrinks the weights that the leaving client touched least; and its average over
"the others" leaves out the first leaving client only.

With ``reference="init"``, as in the code, everybody's contribution also holds what the others have put into the global
model before: a weight that only the leaving client ever moved has ratio 0 with ``reference="round"`` alone.

Algorithm 1 as printed tests beta_i < alpha ratio_i, which for entries below U reads lambda < alpha: all weights or
none. The code tests ratio_i < alpha, and so do we. Where neither group ever moved a weight, 0/0 counts as 1: it stays.
Integer buffers stay; running statistics of batch norm are touched only with ``damp_buffers`` (our default; the released
code damps them). lambda = U = 1 and alpha = .7 are our defaults; the released command line has .5 for all three.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from graphforget.errors import InputError, unknown
from graphforget.federated.history import REFERENCES, History, State, group_mean, history_of, leaving
from graphforget.federated.task import Federated
from graphforget.unlearner import Job, Unlearned, Unlearner

log = logging.getLogger(__name__)

VARIANTS = ("docstring", "paper", "released")


@dataclass(frozen=True)
class ConDa(Unlearner):
    """Dampen the weights to which the leaving clients contributed most.

    Args:
        dampening: lambda.
        upper: U, the largest factor; there is no smallest.
        alpha: weights whose ratio lies below it are shrunk.
        variant: ``docstring`` or ``paper``, see above.
        reference: contributions by the distance to the model at the start (``init``, as the code) or of the round.
        damp_buffers: shrink running statistics too.
    """

    dampening: float = 1.0
    upper: float = 1.0
    alpha: float = 0.7
    variant: str = "docstring"
    reference: str = "init"
    damp_buffers: bool = False

    paper: ClassVar[str] = "arXiv:2410.04144"
    needs: ClassVar[tuple[type, ...]] = (Federated,)
    reads: ClassVar[frozenset[str]] = frozenset()

    def __post_init__(self) -> None:
        if self.variant not in VARIANTS[:2]:
            raise unknown("variant", self.variant, VARIANTS[:2])
        _check(self)

    def _unlearn(self, job: Job) -> Unlearned:
        return _damped(job, self)


@dataclass(frozen=True)
class ConDaReleased(Unlearner):
    """What ConDa's released code does: the ratio is inverted. Read it beside ConDa, do not use it.

    Args:
        dampening: lambda.
        upper: U.
        alpha: weights whose ratio lies below it are shrunk.
        reference: as in :class:`ConDa`.
        damp_buffers: as in :class:`ConDa`.
    """

    dampening: float = 0.5
    upper: float = 0.5
    alpha: float = 0.5
    reference: str = "init"
    damp_buffers: bool = True

    paper: ClassVar[str] = "arXiv:2410.04144"
    needs: ClassVar[tuple[type, ...]] = (Federated,)
    reads: ClassVar[frozenset[str]] = frozenset()

    def __post_init__(self) -> None:
        _check(self)

    def _unlearn(self, job: Job) -> Unlearned:
        return _damped(job, self)


def ratio(table: Mapping[int, State], gone: Sequence[int], variant: str) -> dict[str, Tensor]:
    """How much the others contributed to each weight, beside the leaving clients.

    Args:
        table: client -> its contributions.
        gone: the leaving clients.
        variant: ``docstring``, ``paper`` or ``released``.

    Returns:
        {name: ratio}; 0/0 is 1, anything over 0 is infinite.

    Example:
        >>> table = {n: {"w": torch.tensor(c)} for n, c in enumerate([[0.0, 2.0, 1.0], [0.0, 0.0, 3.0]])}
        >>> ratio(table, [0], "docstring")["w"].tolist()
        [1.0, 0.0, 3.0]
        >>> ratio(table, [0], "released")["w"].tolist()
        [1.0, inf, 0.3333333432674408]
    """
    forget = group_mean(table, gone)
    first = {"docstring": set(gone), "paper": set(), "released": {gone[0]}}[variant]  # who is not of "the others"
    others = group_mean(table, [client for client in table if client not in first])
    over, under = (forget, others) if variant == "released" else (others, forget)
    return {name: torch.where((over[name] == 0) & (under[name] == 0), 1.0, over[name] / under[name]) for name in over}


def damp(state: State, ratios: State, dampening: float, upper: float, alpha: float) -> dict[str, Tensor]:
    """Equations (1) and (2) on the weights that have a ratio; the others stay.

    Example:
        >>> damp({"w": torch.ones(3)}, {"w": torch.tensor([0.0, 0.5, 0.9])}, 1.0, 1.0, 0.7)["w"].tolist()
        [0.0, 0.5, 1.0]
    """
    found = dict(state)
    for name, value in ratios.items():
        factor = (dampening * value).clamp(max=upper)  # (1)
        found[name] = torch.where(value < alpha, factor.to(state[name]) * state[name], state[name])  # (2)
    return found


def dampened(
    state: State,
    history: History,
    gone: Sequence[int],
    method: ConDa | ConDaReleased,
    buffers: Collection[str] = (),
) -> tuple[dict[str, Tensor], int]:
    """Unlearn at the server, from weights and record alone.

    Args:
        state: the global model's weights; left as they are.
        history: the record of its rounds.
        gone: the leaving clients.
        method: with its settings.
        buffers: names in ``state`` that are no parameters.

    Returns:
        The new weights, and how many of them were dampened.

    Raises:
        InputError: the record is another model's.
    """
    variant = method.variant if isinstance(method, ConDa) else "released"
    if method.dampening * method.alpha > 1 and method.upper > 1:
        log.warning("%s: dampening * alpha > 1 with upper > 1 makes some weights larger", type(method).__name__)
    table = history.contributions[method.reference]
    for name, value in next(iter(table.values())).items():
        if name not in state or state[name].shape != value.shape:
            shape = list(value.shape)
            raise InputError(f"the record is another model's: it has {name} {shape}; hand on the model's own record")
    ratios = {
        name: value.to(state[name].device)
        for name, value in ratio(table, gone, variant).items()
        if name not in buffers or (method.damp_buffers and state[name].dim() > 0)
    }
    found = damp(state, ratios, method.dampening, method.upper, method.alpha)
    return found, sum(int((value < method.alpha).sum()) for value in ratios.values())


def _check(method: ConDa | ConDaReleased) -> None:
    for name in ("dampening", "upper", "alpha"):
        if not getattr(method, name) > 0:
            raise InputError(f"{name} must be positive (got {getattr(method, name)})")
    if method.reference not in REFERENCES:
        raise unknown("reference", method.reference, REFERENCES)


def _damped(job: Job, method: ConDa | ConDaReleased) -> Unlearned:
    history = history_of(job.record, type(method).__name__)
    gone = leaving(job.split, history, type(method).__name__)
    state = job.model.state_dict()
    buffers = state.keys() - {name for name, _ in job.model.named_parameters(remove_duplicate=False)}
    found, job.notes["dampened"] = dampened(state, history, gone, method, buffers)
    job.model.load_state_dict(found)
    return Unlearned(job.model, job.split.retain, {"history": history.without(gone)})
