"""U-LiRA: can the unlearned be told from the never seen, by an attacker who repeats the whole pipeline?

Candidates are the forgotten edges, or rows, and as many of the test part. Each shadow trains on the retained data plus
a random half of the candidates, forgets that half with the method under attack, and never sees the other half. The
target's own forgotten elements are then told from its test elements by a Gaussian likelihood ratio an element
(:func:`graphforget.attack.u_lira`). Gold's value is the same attack with shadows retrained without their half.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor, nn

from benchmarks.bench import Bench
from graphforget.attack import AttackResult, u_lira
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.graph import Graph
from graphforget.methods.retrain import Retrain
from graphforget.samples import Samples
from graphforget.task import Batch
from graphforget.train import bar
from graphforget.unlearner import Unlearned, Unlearner

KINDS = {"link": "edge", "image": "sample"}  # what can be attacked, by task


class Candidates(Protocol):
    """Elements that each shadow either forgets or never sees: the target's forgotten first, then as many others."""

    count: int

    def split(self, seen: Tensor) -> ForgetSplit[Any]:
        """The request of a shadow that was trained on the candidates ``seen`` [2 count] and forgets them."""

    def scores(self, result: Unlearned) -> Tensor:
        """[2 count] a model's belief in each candidate."""


class Edges:
    """Candidates of link prediction.

    Args:
        bench: an edge cell.
    """

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        split, test = bench.whole, bench.splits.test
        self.count = min(split.forget.pairs().shape[1], test.num_edges)
        self.pairs = torch.cat([split.forget.pairs()[:, : self.count], test.edge_index[:, : self.count]], dim=1)

    def split(self, seen: Tensor) -> ForgetSplit[Graph]:
        """Retained edges beside the seen ones, which go."""
        retain = self.bench.whole.retain
        edges = torch.cat([retain.pairs(), self.pairs[:, seen]], dim=1)
        data = Graph.from_edges(edges, retain.num_nodes, features=retain.features, y=retain.y)
        return ForgetSplit.of(data, ForgetRequest.of("edge", self.pairs[:, seen]), self.bench.splits.val)

    def scores(self, result: Unlearned) -> Tensor:
        """Log-odds of a link."""
        batch = Batch(self.pairs, torch.ones(self.pairs.shape[1], dtype=torch.int64))
        return self.bench.task.teacher(result.model, result.context)(batch)[:, 1].detach().cpu()


class Rows:
    """Candidates of a classifier of rows.

    Args:
        bench: a cell that forgets random rows; train and test are views of the same arrays.
    """

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        own, other = bench.whole.forget.rows(), bench.splits.test.rows()
        self.count = min(len(own), len(other))
        self.rows = torch.cat([own[: self.count], other[: self.count]])

    def split(self, seen: Tensor) -> ForgetSplit[Samples]:
        """Retained rows beside the seen ones, which go."""
        retain = self.bench.whole.retain
        mask = retain.mask_of(retain.rows()) | retain.mask_of(self.rows[seen])
        return ForgetSplit.of(retain.view(mask), ForgetRequest.of("sample", self.rows[seen]), self.bench.splits.val)

    def scores(self, result: Unlearned) -> Tensor:
        """Log-odds of the row's own label."""
        rows = self.rows.to(result.context.y.device)
        batch, task = Batch(rows, result.context.y[rows]), self.bench.task
        found: Tensor = task.scores(task.teacher(result.model, result.context)(batch), batch)  # type: ignore[attr-defined]
        return found.detach().cpu()


class Lira:
    """The shadows of one cell: their originals are trained once and serve every method.

    Args:
        bench: a cell whose task and kind are in :data:`KINDS`.
        shadows: how many.
    """

    def __init__(self, bench: Bench, shadows: int) -> None:
        self.bench = bench
        self.asked: Candidates = Edges(bench) if bench.cell.task == "link" else Rows(bench)
        count = self.asked.count
        self.forgot = torch.arange(2 * count) < count
        rng = torch.Generator().manual_seed(bench.cell.seed)
        halves = [torch.randperm(2 * count, generator=rng) < count for _ in range(shadows // 2)]
        self.seen = torch.stack([side for half in halves for side in (half, ~half)])  # each is seen half of the time
        self.splits = [self.asked.split(seen) for seen in self.seen]
        self.originals: list[nn.Module] = []
        with bar("shadow originals", len(self.splits)) as advance:
            for number, shadow in enumerate(self.splits):
                seed = 1000 * bench.cell.seed + 500 + number
                model = bench.task.fit(bench.blank(seed), shadow.data, bench.splits.val, seed=seed)
                self.originals.append(model)
                advance()

    def attack(self, method: Unlearner, target: Unlearned) -> AttackResult:
        """Attack a method's result with shadows that ran the same method."""
        scores = []
        with bar("shadows", len(self.splits)) as advance:
            for number, (original, split) in enumerate(zip(self.originals, self.splits, strict=True)):
                result = method.unlearn(original, self.bench.task, split, seed=number)
                scores.append(self.asked.scores(result))
                advance()
        return u_lira(torch.stack(scores), self.seen, self.asked.scores(target), self.forgot).result

    def gold(self, target: Unlearned) -> AttackResult:
        """The same attack on gold."""
        return self.attack(Retrain(), target)
