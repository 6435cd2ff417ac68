"""U-LiRA on edges: can the unlearned be told from the never seen, by an attacker who repeats the whole pipeline?

Candidates are the forgotten edges and as many test edges. Each shadow trains on the retained graph plus a random half
of the candidates, forgets that half with the method under attack, and never sees the other half. The target's own
forgotten edges are then told from its test edges by a Gaussian likelihood ratio an edge
(:func:`graphforget.attack.u_lira`). Gold's value is the same attack with shadows retrained without their half.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmarks.bench import Bench
from graphforget.attack import AttackResult, u_lira
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.graph import Graph
from graphforget.methods.retrain import Retrain
from graphforget.task import Batch
from graphforget.train import bar
from graphforget.unlearner import Unlearned, Unlearner


class Lira:
    """The shadows of one cell: their originals are trained once and serve every method.

    Args:
        bench: an edge cell of link prediction.
        shadows: how many.
    """

    def __init__(self, bench: Bench, shadows: int) -> None:
        self.bench = bench
        split, test = bench.whole, bench.splits.test
        count = min(split.forget.pairs().shape[1], test.num_edges)
        self.pairs = torch.cat([split.forget.pairs()[:, :count], test.edge_index[:, :count]], dim=1)
        self.forgot = torch.arange(2 * count) < count
        rng = torch.Generator().manual_seed(bench.cell.seed)
        halves = [torch.randperm(2 * count, generator=rng) < count for _ in range(shadows // 2)]
        self.seen = torch.stack([side for half in halves for side in (half, ~half)])  # every edge half of the time
        self.splits = [self._split(seen) for seen in self.seen]
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
                scores.append(self._scores(result))
                advance()
        return u_lira(torch.stack(scores), self.seen, self._scores(target), self.forgot).result

    def gold(self, target: Unlearned) -> AttackResult:
        """The same attack on gold."""
        return self.attack(Retrain(), target)

    def _split(self, seen: Tensor) -> ForgetSplit[Graph]:
        retain = self.bench.whole.retain
        edges = torch.cat([retain.pairs(), self.pairs[:, seen]], dim=1)
        data = Graph.from_edges(edges, retain.num_nodes, features=retain.features, y=retain.y)
        return ForgetSplit.of(data, ForgetRequest.of("edge", self.pairs[:, seen]), self.bench.splits.val)

    def _scores(self, result: Unlearned) -> Tensor:
        batch = Batch(self.pairs, torch.ones(self.pairs.shape[1], dtype=torch.int64))
        return self.bench.task.teacher(result.model, result.context)(batch)[:, 1].detach().cpu()
