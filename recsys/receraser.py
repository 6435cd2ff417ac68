"""RecEraser: shards of similar interactions, retrained where the forgotten lie (Chen et al.; arXiv:2201.06820).

::

    a(x, c) = -||w_u - c_u||^2 ||w_i - c_i||^2 of an interaction x = (u, i) and a centroid c                     (1)
    all (x, c) by descending affinity: x goes to c unless it is placed, or c holds 1.2 |D| / k                  (2)
    c <- mean of its members, per dimension; (1)-(2) again, ``rounds`` times                                    (3)
    e~_s = e_s W_s + b_s;  att = softmax_s( h^T relu(A e~_s + b) );  e = sum_s att_s e~_s, users and items apart  (4)

Shard models have their own tables and are trained on their own interactions; (4) is trained by BPR with the shards
frozen. A request retrains the shards that hold a forgotten interaction, then (4). The paper's w are WMF embeddings;
ours are the original's own. The released code takes one scalar mean in (3), which collapses every centroid: not here.

Shards must exist before the request: :meth:`RecEraser.prepare` builds them, and ``unlearn`` takes them from the record.
Without a record it prepares them first, and says what that took (``prepared_seconds``).
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphforget.errors import InputError, NotApplicable
from graphforget.graph import Graph
from graphforget.task import Task
from graphforget.train import descend, seeded
from graphforget.unlearner import Job, Unlearned, Unlearner
from recsys.task import Recommendation, embed

SLACK = 1.2


@dataclass(frozen=True)
class RecEraser(Unlearner):
    """Partition, train and retrain shards (the product is another model: not drop-in).

    Args:
        shards: k (8 in the authors' code; our default fits small data).
        rounds: T of (3) (our default).
        epochs: of the aggregation (4) (our default).
        lr: Adam's learning rate of (4) (our default; the paper uses Adagrad).
    """

    shards: int = 4
    rounds: int = 5
    epochs: int = 10
    lr: float = 1e-3

    paper: ClassVar[str] = "arXiv:2201.06820"
    needs: ClassVar[tuple[type, ...]] = (Recommendation,)
    drop_in: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.shards < 2:
            raise InputError(f"shards must be at least 2 (got {self.shards})")
        if self.rounds < 1:
            raise InputError(f"rounds must be at least 1 (got {self.rounds})")

    def prepare(
        self, model: nn.Module, task: Task[Any], data: Graph, held_out: Graph, *, seed: int = 0
    ) -> Mapping[str, Any]:
        """Build and train the shards of all the data; the result is the record of the first request.

        Args:
            model: the original, whose embeddings say what is similar; shard models have its architecture.
            task: how models run.
            data: everything.
            held_out: validation data.
            seed: of everything random.
        """
        with seeded(seed) as rng, torch.no_grad():
            users, items = embed(copy.deepcopy(model).eval(), data)
            place = partition(users, items, data.edge_index, self.shards, self.rounds, rng)
        code = data.edge_index[0] * data.size[1] + data.edge_index[1]
        order = code.argsort()
        shards = [task.fresh(model, seed + 1 + s).requires_grad_(True) for s in range(self.shards)]
        ensemble = Ensemble(shards, code[order], place[order], users.shape[1], data.size[1])
        for s in range(self.shards):
            self._train_shard(ensemble, s, task, data, held_out, seed)
        self._aggregate(ensemble, task, data, seed)
        return {"ensemble": ensemble}

    def _unlearn(self, job: Job) -> Unlearned:
        split = job.split
        if not split.gone.num_edges:
            raise NotApplicable("shards hold interactions (got a request for values only); use row_reset")
        record = job.record
        if "ensemble" not in record:
            start = time.perf_counter()
            record = self.prepare(job.original, job.task, split.data, split.held_out, seed=job.seed)
            job.notes["prepared_seconds"] = time.perf_counter() - start
        ensemble: Ensemble = copy.deepcopy(record["ensemble"])
        hit = ensemble.place_of(split.gone.edge_index).unique().tolist()
        for s in hit:
            ensemble.shards[s] = job.task.fresh(ensemble.shards[s], job.seed + 1000 + s).requires_grad_(True)
            self._train_shard(ensemble, s, job.task, split.retain, split.held_out, job.seed)
        ensemble.keep(split.retain)
        self._aggregate(ensemble, job.task, split.retain, job.seed)
        return Unlearned(ensemble, split.retain, {"ensemble": ensemble, "retrained": hit})

    def _train_shard(self, ensemble: Ensemble, s: int, task: Task[Any], data: Graph, held: Graph, seed: int) -> None:
        part = ensemble.part(data, s)
        if part.num_edges:
            task.fit(ensemble.shards[s], part, held, seed=seed + s)

    def _aggregate(self, ensemble: Ensemble, task: Task[Any], data: Graph, seed: int) -> None:
        ensemble.requires_grad_(True).shards.requires_grad_(False)
        ensemble.reset_attention(seed)
        with seeded(seed) as rng:

            def steps(epoch: int) -> Iterator[Tensor]:
                for batch in task.batches(data, data, rng):
                    yield task.loss(ensemble, data, batch)

            descend(ensemble, steps, epochs=self.epochs, lr=self.lr, title="receraser aggregation")


def partition(users: Tensor, items: Tensor, edges: Tensor, k: int, rounds: int, rng: torch.Generator) -> Tensor:
    """[E] the shard of each interaction, balanced to 1.2 E / k, (1)-(3).

    Args:
        users: [U, d].
        items: [I, d].
        edges: [2, E].
        k: number of shards.
        rounds: of (3).
        rng: draws the first centroids.

    Raises:
        InputError: fewer interactions than shards.
    """
    u, i = users[edges[0]], items[edges[1]]
    count = edges.shape[1]
    if count < k:
        raise InputError(f"there must be at least as many interactions as shards (got {count} for {k})")
    first = torch.randperm(count, generator=rng)[:k].to(edges.device)
    centre_u, centre_i = u[first], i[first]
    place = torch.zeros(count, dtype=torch.int64, device=edges.device)
    for _ in range(rounds):
        affinity = -torch.cdist(u, centre_u).square() * torch.cdist(i, centre_i).square()  # (1)
        place = balanced(affinity, int(SLACK * count / k) + 1)  # (2)
        for s in range(k):
            own = place == s
            if bool(own.any()):
                centre_u[s], centre_i[s] = u[own].mean(0), i[own].mean(0)  # (3)
    return place


def balanced(affinity: Tensor, most: int) -> Tensor:
    """[n] a column for each row of affinity [n, k], best pairs first, at most ``most`` rows a column.

    Example:
        >>> balanced(torch.tensor([[3.0, 1.0], [2.0, 1.0], [1.0, 0.5]]), 2).tolist()
        [0, 0, 1]
    """
    rows, columns = affinity.shape
    place = torch.full((rows,), -1, dtype=torch.int64)
    free = [most] * columns
    for pair in affinity.flatten().argsort(descending=True, stable=True).tolist():
        row, column = divmod(pair, columns)
        if place[row] < 0 and free[column]:
            place[row] = column
            free[column] -= 1
    return place.to(affinity.device)


class Ensemble(nn.Module):
    """Shard models and their attention, (4); ``model(graph)`` as any recommender.

    Args:
        shards: one model a shard.
        code: [E] sorted numbers user * I + item of the interactions.
        place: [E] their shards.
        dim: width of the shards' embeddings.
        num_items: I.
    """

    code: Tensor
    place: Tensor

    def __init__(self, shards: list[nn.Module], code: Tensor, place: Tensor, dim: int, num_items: int) -> None:
        super().__init__()
        self.shards = nn.ModuleList(shards)
        self.register_buffer("code", code)
        self.register_buffer("place", place)
        self.map = nn.ModuleList([nn.Linear(dim, dim) for _ in shards])
        self.attend = nn.ModuleDict({side: nn.Linear(dim, max(dim // 2, 1)) for side in ("user", "item")})
        self.query = nn.ModuleDict({side: nn.Linear(max(dim // 2, 1), 1, bias=False) for side in ("user", "item")})
        self.num_items = num_items
        self._parts: WeakKeyDictionary[Graph, dict[int, Graph]] = WeakKeyDictionary()

    def __deepcopy__(self, memo: dict[int, Any]) -> Ensemble:
        shards = [copy.deepcopy(shard) for shard in self.shards]
        dim = int(self.map[0].in_features)  # type: ignore[arg-type]
        new = Ensemble(shards, self.code.clone(), self.place.clone(), dim, self.num_items)
        new.load_state_dict(self.state_dict())
        return new.train(self.training)

    def reset_attention(self, seed: int) -> None:
        """Draw the weights of (4) anew, the maps near the identity, so that it starts as the mean of the shards."""
        with seeded(seed), torch.no_grad():
            for layer in self.map:
                nn.init.eye_(layer.weight)  # type: ignore[arg-type]
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
            for layer in (*self.attend.values(), *self.query.values()):
                layer.reset_parameters()  # type: ignore[operator]

    def place_of(self, pairs: Tensor) -> Tensor:
        """[n] the shard of each interaction, -1 for one that was never seen."""
        code = pairs[0] * self.num_items + pairs[1]
        slot = torch.searchsorted(self.code, code).clamp(max=max(len(self.code) - 1, 0))
        return torch.where(self.code[slot] == code, self.place[slot], torch.full_like(code, -1))

    def keep(self, graph: Graph) -> None:
        """Drop the places of interactions that are not in a graph: the forgotten are no longer listed anywhere."""
        own = torch.isin(self.code, graph.edge_index[0] * self.num_items + graph.edge_index[1])
        self.code, self.place = self.code[own], self.place[own]

    def part(self, graph: Graph, s: int) -> Graph:
        """The interactions of a graph that belong to a shard."""
        found = self._parts.setdefault(graph, {})
        if s not in found:
            found[s] = graph.with_edges(self.place_of(graph.edge_index) == s)
        return found[s]

    def forward(self, graph: Graph) -> tuple[Tensor, Tensor]:
        """Return aggregated [U, d] users and [I, d] items."""
        each = [embed(shard, self.part(graph, s)) for s, shard in enumerate(self.shards)]
        users, items = (self._mix(side, [pair[k] for pair in each]) for k, side in enumerate(("user", "item")))
        return users, items

    def _mix(self, side: str, each: list[Tensor]) -> Tensor:
        mapped = torch.stack([layer(value) for layer, value in zip(self.map, each, strict=True)])  # [k, n, d]
        weight = self.query[side](F.relu(self.attend[side](mapped))).softmax(0)
        mixed: Tensor = (weight * mapped).sum(0)
        return mixed
