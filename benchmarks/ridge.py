"""A closed-form ridge regression as a deployment: the one model on which sequential deletions can be compared exactly.

Rows are the nodes of a graph without edges; the last column of ``x`` is the target. All values are small whole numbers,
so that sums in float64 are exact and the downdated Gram matrix is that of the retained rows to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from graphforget.graph import Graph
from graphforget.splits import Splits
from graphforget.task import Ask, Batch, Task
from graphforget.train import TrainRecord
from graphforget.unlearner import Job, Unlearned, Unlearner

ROWS, COLUMNS, PENALTY = 2000, 6, 1.0


class Ridge(nn.Module):
    """``weight = (gram + penalty I)^-1 moment``; the Gram matrix is part of the model."""

    gram: Tensor
    moment: Tensor
    weight: Tensor

    def __init__(self, columns: int = COLUMNS) -> None:
        super().__init__()
        self.register_buffer("gram", torch.zeros(columns, columns, dtype=torch.float64))
        self.register_buffer("moment", torch.zeros(columns, dtype=torch.float64))
        self.register_buffer("weight", torch.zeros(columns, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        """[N, 1] predictions of rows [N, columns + 1], whose last column is not looked at."""
        return (x[:, :-1] @ self.weight)[:, None]

    def add(self, rows: Tensor, sign: float) -> None:
        """Put rows [n, columns + 1] in (sign 1) or take them out (sign -1), and solve anew."""
        x, y = rows[:, :-1], rows[:, -1]
        self.gram += sign * (x.T @ x)
        self.moment += sign * (x.T @ y)
        penalty = PENALTY * torch.eye(len(self.gram), dtype=torch.float64)
        self.weight.copy_(torch.linalg.solve(self.gram + penalty, self.moment))


@dataclass(frozen=True)
class Regression(Task[Graph]):
    """Rows of ``x`` and their last column."""

    score_name: ClassVar[str] = "negative_mse"

    def batches(self, context: Graph, view: Graph, rng: torch.Generator | None) -> Iterator[Batch]:
        """All rows of the view at once."""
        rows = view.nodes()
        if len(rows):
            yield Batch(rows, view.x[rows, -1:])

    def bind(self, model: nn.Module, context: Graph) -> Ask:
        """Predict by the rows of the context."""
        return lambda batch: model(context.x[batch.index])

    def divergence(self, teacher: Tensor, student: Tensor, temperature: float) -> Tensor:
        """[B] squared error."""
        return (teacher - student).pow(2).sum(1)

    def evaluate(
        self, model: nn.Module, context: Graph, view: Graph, reference: Tensor | None = None
    ) -> dict[str, float]:
        """The negative mean squared error."""
        rows = view.nodes()
        return {"negative_mse": -float((model(view.x[rows])[:, 0] - view.x[rows, -1]).pow(2).mean())}

    def fit(
        self, model: nn.Module, context: Graph, held_out: Graph, *, seed: int, record: TrainRecord | None = None
    ) -> nn.Module:
        """Solve from scratch."""
        blank = Ridge(context.x.shape[1] - 1)
        blank.add(context.x[context.nodes()], 1.0)
        model.load_state_dict(blank.state_dict())
        return model


@dataclass(frozen=True)
class Downdate(Unlearner):
    """Take the forgotten rows out of the Gram matrix and solve."""

    needs: ClassVar[tuple[type, ...]] = (Regression,)
    reads: ClassVar[frozenset[str]] = frozenset({"forget", "retain"})

    def _unlearn(self, job: Job) -> Unlearned:
        forget = job.split.forget
        if isinstance(job.model, Ridge):
            job.model.add(forget.x[forget.nodes()], -1.0)
        return Unlearned(job.model, job.split.retain, {})


def data(rows: int = ROWS, columns: int = COLUMNS, seed: int = 0) -> Splits[Graph]:
    """Rows of whole numbers; one in ten is held out for validation and as many for the test."""
    rng = torch.Generator().manual_seed(seed)
    x = torch.randint(-8, 9, (rows, columns + 1), generator=rng).double()
    graph = Graph(torch.empty(2, 0, dtype=torch.int64), (rows, rows), features={"x": x})
    part = torch.arange(rows) % 10
    views = []
    for wanted in (part < 8, part == 8, part == 9):
        views.append(Graph(graph.edge_index, graph.size, features=graph.features, node_mask=wanted))
    return Splits(*views)
