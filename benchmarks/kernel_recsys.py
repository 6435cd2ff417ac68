"""Pairs on interactions: the cases of ``python -m benchmarks.kernels`` whose size is a number of interactions.

The interactions are made up, with skewed popularity and activity, in the shapes of ml_posters (44,896), Amazon Sports
(218,409) and Gowalla (810,128). RecBole reads them from files, through its own data sets.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch

from benchmarks.pairing import Pair
from graphforget.kernels import csr
from graphforget.kernels.bpr import Negatives
from graphforget.kernels.csr import IntArray
from graphforget.sparse import of_coo, product, quiet
from recsys.metrics import BLOCK, figures, rank
from recsys.recbole import KernelSampler, compatible, evaluate

SHAPES = {44_896: (597, 1_846), 218_409: (35_598, 18_357), 810_128: (29_858, 40_981)}
TRAIN_BATCH = 2048  # RecBole's default
RANKED = 300  # users who are ranked for: RecBole takes one or two at a time
DIM, LAYERS = 64, 2


@dataclass(frozen=True)
class Skewed:
    """Made-up interactions of about a size, each once."""

    size: int

    @property
    def shape(self) -> tuple[int, int]:
        """(users, items)."""
        return SHAPES.get(self.size, (max(self.size // 20, 2), max(self.size // 20, 60)))

    @cached_property
    def pairs(self) -> tuple[IntArray, IntArray]:
        """Users and items, sorted."""
        draw = np.random.default_rng(0)
        users, items = self.shape
        active = draw.lognormal(0, 1, users)
        liked = (np.arange(items) + 10.0) ** -0.8
        u = draw.choice(users, 2 * self.size, p=active / active.sum())
        i = draw.choice(items, 2 * self.size, p=liked / liked.sum())
        code = draw.permutation(np.unique(u * items + i))[: self.size]
        code.sort()
        return code // items, code % items

    @cached_property
    def recbole(self) -> Any:
        """RecBole's (config, train, valid, test) loaders on the interactions, a tenth each held out."""
        with tempfile.TemporaryDirectory() as folder, compatible():
            from recbole.config import Config
            from recbole.data import create_dataset, data_preparation

            path = Path(folder) / "made"
            path.mkdir()
            part = np.random.default_rng(1).choice(3, len(self.pairs[0]), p=(0.8, 0.1, 0.1))
            for number, name in enumerate(("train", "valid", "test")):
                rows = np.stack(self.pairs, 1)[part == number]
                np.savetxt(
                    path / f"made.{name}.inter", rows, "%d", "\t", header="user_id:token\titem_id:token", comments=""
                )
            values = {
                "data_path": folder,
                "benchmark_filename": ["train", "valid", "test"],
                "load_col": {"inter": ["user_id", "item_id"]},
                "metrics": ["Recall", "NDCG", "Precision"],
                "valid_metric": "Recall@10",
                "metric_decimal_place": 12,
                "checkpoint_dir": folder,
                "show_progress": False,
            }
            config = Config(model="BPR", dataset="made", config_dict=values)
            return config, *data_preparation(config, create_dataset(config))


def bpr(data: Skewed) -> Iterator[Pair]:
    """A negative for each training interaction, in RecBole's batches of 2,048; uniform and by popularity."""
    train = data.recbole[1]
    users = train.dataset.inter_feat[train.dataset.uid_field].numpy()
    batches = np.split(np.random.default_rng(0).permutation(users), range(TRAIN_BATCH, len(users), TRAIN_BATCH))
    from recbole.sampler import Sampler

    for distribution in ("uniform", "popularity"):
        theirs = Sampler(["train"], [train.dataset], distribution).set_phase("train")
        ours = KernelSampler(["train"], [train.dataset], distribution).set_phase("train")

        def draw(sampler: Any) -> Callable[[int], int]:
            def epoch(_: int) -> int:
                return sum(len(sampler.sample_by_user_ids(batch, None, 1)) for batch in batches)

            return epoch

        yield Pair(f"bpr_{distribution}", "recbole", len(users), draw(ours), draw(theirs))
    yield from _implicit(data)


def _implicit(data: Skewed) -> Iterator[Pair]:
    """Against implicit's compiled loop with one factor, where it does little else than draw and check."""
    try:
        from implicit.cpu.bpr import BayesianPersonalizedRanking
    except ImportError:
        return
    users, items = data.pairs
    matrix = sp.csr_matrix((np.ones(len(users), dtype=np.float32), (users, items)), shape=data.shape)
    indptr, indices, _ = csr.from_coo(users, items, *data.shape)
    negatives, epochs = Negatives(indptr, indices, data.shape[1]), 20

    def ours(turn: int) -> int:
        random = np.random.default_rng(turn)
        for epoch in range(epochs):
            negatives.draw(users[random.integers(len(users), size=len(users))], turn * epochs + epoch)
        return epochs

    def theirs(turn: int) -> int:
        model = BayesianPersonalizedRanking(
            factors=1, iterations=epochs, num_threads=torch.get_num_threads(), random_state=turn
        )
        model.fit(matrix, show_progress=False)
        return epochs

    yield Pair("bpr_epochs_20", "implicit", len(users), ours, theirs)


def propagation(data: Skewed) -> Iterator[Pair]:
    """Two layers of LightGCN, 64 dimensions, forward and backward."""
    users, items = data.pairs
    num = sum(data.shape)
    rows = torch.from_numpy(np.concatenate([users, items + data.shape[0]]))
    cols = torch.from_numpy(np.concatenate([items + data.shape[0], users]))
    degree = torch.bincount(rows, minlength=num).float()
    value = (degree[rows] * degree[cols]).rsqrt()
    sparse = of_coo(rows, cols, value, (num, num))
    coo = torch.sparse_coo_tensor(torch.stack([rows, cols]), value, (num, num)).coalesce()
    plain = sparse.matrix.detach()
    scipy = sp.csr_matrix(
        (plain.values().numpy(), plain.col_indices().numpy(), plain.crow_indices().numpy()), (num, num)
    )

    class Scipy(torch.autograd.Function):
        """The product by scipy, its own transpose."""

        @staticmethod
        def forward(ctx: Any, dense: torch.Tensor) -> torch.Tensor:
            return torch.from_numpy(scipy @ dense.numpy())

        @staticmethod
        def backward(ctx: Any, *grads: torch.Tensor) -> torch.Tensor:
            return torch.from_numpy(scipy @ grads[0].contiguous().numpy())

    def ready(turn: int) -> torch.Tensor:
        return torch.randn(num, DIM, generator=torch.Generator().manual_seed(turn))

    def step(multiply: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[torch.Tensor], torch.Tensor]:
        def run(given: torch.Tensor) -> torch.Tensor:
            table = given.clone().requires_grad_()
            layer, total = table, table
            for _ in range(LAYERS):
                layer = multiply(layer)
                total = total + layer
            (total / (LAYERS + 1)).square().sum().backward()
            assert table.grad is not None
            return table.grad

        return run

    def same(mine: torch.Tensor, theirs: torch.Tensor) -> None:
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)

    ours = step(lambda dense: product(sparse, dense))
    peers: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
        "torch_coo": lambda dense: torch.sparse.mm(coo, dense),
        "torch_csr": lambda dense: plain @ dense,
        "scipy": lambda dense: Scipy.apply(dense),  # type: ignore[no-untyped-call]
    }
    with quiet():
        for name, multiply in peers.items():
            yield Pair("propagation", name, len(users), ours, step(multiply), same, ready)


def evaluation(data: Skewed) -> Iterator[Pair]:
    """All items ranked for 300 users and scored, by the package, by RecBole at its defaults, and the products alone."""
    config, train, valid, test = data.recbole
    with compatible():
        from recbole.data.dataloader import FullSortEvalDataLoader
        from recbole.model.general_recommender import BPR

        asked = np.unique(test.dataset.inter_feat[test.dataset.uid_field].numpy())[:RANKED]
        keep = np.isin(test.dataset.inter_feat[test.dataset.uid_field].numpy(), asked)
        part = test.dataset.copy(test.dataset.inter_feat[torch.from_numpy(np.flatnonzero(keep))])
        loader = FullSortEvalDataLoader(config, part, test._sampler, shuffle=False)
        model = BPR(config, train.dataset).eval()
    user, item = model.user_embedding.weight.detach(), model.item_embedding.weight.detach()
    seen = [
        (one.dataset.inter_feat[one.dataset.uid_field], one.dataset.inter_feat[one.dataset.iid_field])
        for one in (train, valid)
    ]
    everybody = torch.arange(len(user))
    hidden = (
        torch.cat([*(users for users, _ in seen), everybody]),
        torch.cat([*(items for _, items in seen), 0 * everybody]),
    )
    rows, cols = (part.numpy() for part in hidden)
    mask = csr.from_coo(rows, cols, len(user), len(item))[:2]
    truth = csr.from_coo(
        part.inter_feat[part.uid_field].numpy(), part.inter_feat[part.iid_field].numpy(), len(user), len(item)
    )[:2]
    users = torch.from_numpy(asked)

    def ours(_: int) -> dict[str, float]:
        found = figures(rank(user, item, users, mask, 10), truth, (10,))
        return {name: float(value.mean()) for name, value in found.items()}

    def matmul(_: int) -> None:
        for block in users.split(BLOCK):
            user.index_select(0, block) @ item.T

    def same(mine: dict[str, float], theirs: dict[str, float]) -> None:
        if any(abs(mine[name] - value) > 1e-6 for name, value in theirs.items()):
            raise RuntimeError(f"the figures differ: {mine} and {theirs}")

    yield Pair("evaluation", "recbole", len(item) - 1, ours, lambda _: evaluate(model, train, loader), same)
    yield Pair("evaluation", "matmul_alone", len(item) - 1, ours, matmul)


CASES: dict[str, Callable[[Skewed], Iterator[Pair]]] = {
    "bpr": bpr,
    "propagation": propagation,
    "evaluation": evaluation,
}
