"""D2DGN, "Distill to Delete" (Sinha, Mandal, Kankanhalli; arXiv:2309.16173), as published.

Forget elements of a graph from a trained GNN by distillation: the preserver teaches what is retained, the destroyer
what must be unknown. Both are frozen; the student starts from the original.

::

    preserver P = f(.; theta*)            destroyer D = same architecture, random initialisation, its own parameters
    everything propagates on the retained graph G_r = (V, E_r), never on E_f
    Loss_r soft = T^2 mean_{e in E_r + N} KL( p_P(e) || p_S(e) )                                        (1)
    Loss_f soft = T^2 mean_{e in E_f}     KL( p_D(e) || p_S(e) )                                        (2)
    Loss_r feat = sum_l mean_{v not in V(E_f)} || h^l_S(v) - h^l_P(v) ||^2                              (3)
    Loss_f feat = sum_l mean_{v in V(E_f)}     || h^l_S(v) - h^l_D(v) ||^2                              (4)
    Loss        = alpha Loss_r + (1 - alpha) Loss_f                                                     (5)

==========  ======================================================
paper       here
==========  ======================================================
alpha       ``alpha``
T           ``temperature``
N           as many non-edges as retained edges, fresh each epoch
==========  ======================================================

What the paper leaves open, or we could not verify, is our default: alpha, temperature, optimiser, epochs, and that the
student starts from the original. Negatives avoid the retained edges only, as in gold (avoiding the forgotten ones
would use them). Under ``weighting="mean"`` a forgotten element weighs |E_r| / |E_f| times a retained one, which is why
this recipe lowers retained edges as well; ``per_element`` weighs them alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from graphforget.distill import combine, layerwise, paired, soft
from graphforget.errors import InputError, unknown
from graphforget.task import Layered
from graphforget.train import descend
from graphforget.unlearner import Job, Unlearned, Unlearner


@dataclass(frozen=True)
class D2DGN(Unlearner):
    """Distil to delete: preserver and destroyer teachers, as published.

    Args:
        alpha: weight of the retain term, in [0, 1] (our default).
        temperature: T of the soft targets (our default).
        distilled: ``soft`` (response), ``feat`` (embeddings) or ``both``.
        weighting: ``mean`` as printed, or ``per_element``.
        start: the student's weights: ``original``, or ``scratch`` for a random initialisation.
        epochs: passes over the retained elements (our default).
        lr: Adam's learning rate (our default).
    """

    alpha: float = 0.5
    temperature: float = 1.0
    distilled: str = "soft"
    weighting: str = "mean"
    start: str = "original"
    epochs: int = 60
    lr: float = 1e-3

    paper: ClassVar[str] = "arXiv:2309.16173"
    reads: ClassVar[frozenset[str]] = frozenset({"forget", "retain"})

    def __post_init__(self) -> None:
        if not 0 <= self.alpha <= 1:
            raise InputError(f"alpha must lie in [0, 1] (got {self.alpha})")
        if self.temperature <= 0:
            raise InputError(f"temperature must be positive (got {self.temperature})")
        for name, value, known in (
            ("distilled", self.distilled, ("soft", "feat", "both")),
            ("weighting", self.weighting, ("mean", "per_element")),
            ("start", self.start, ("original", "scratch")),
        ):
            if value not in known:
                raise unknown(name, value, known)

    def _unlearn(self, job: Job) -> Unlearned:
        task, split, context = job.task, job.split, job.split.retain
        if self.distilled != "soft" and not isinstance(task, Layered):
            raise InputError(f"distilled={self.distilled!r} needs a task with layers (got {type(task).__name__})")
        destroyer = task.fresh(job.original, job.seed + 1).eval().requires_grad_(False)
        student = job.model if self.start == "original" else task.fresh(job.original, job.seed + 2).requires_grad_(True)
        preserve, destroy = task.teacher(job.original, context), task.teacher(destroyer, context)
        forget = task.elements(context, split.forget)
        untouched = split.untouched
        if self.distilled != "soft" and isinstance(task, Layered):
            h_preserver = {name: h.detach() for name, h in task.layers(job.original, context, untouched).items()}
            h_destroyer = {name: h.detach() for name, h in task.layers(destroyer, context, split.forget).items()}

        def steps(epoch: int) -> Iterator[Tensor]:
            for retained, forgotten in paired(task, context, untouched, forget, job.rng):
                loss = next(student.parameters()).new_zeros(())
                if self.distilled != "feat":
                    ask = task.bind(student, context)
                    keep = soft(task, preserve, ask, retained, self.temperature)  # (1)
                    drop = soft(task, destroy, ask, forgotten, self.temperature) if forgotten else None  # (2)
                    loss = combine(keep, drop, alpha=self.alpha, weighting=self.weighting, forget_weight=1.0)  # (5)
                if self.distilled != "soft" and isinstance(task, Layered):
                    keep = layerwise(h_preserver, task.layers(student, context, untouched))  # (3)
                    drop = layerwise(h_destroyer, task.layers(student, context, split.forget))  # (4)
                    loss = loss + self.alpha * keep + (1 - self.alpha) * drop  # (5)
                yield loss

        job.notes["epochs"] = descend(student, steps, epochs=self.epochs, lr=self.lr, title="d2dgn")
        return Unlearned(student, context, {})
