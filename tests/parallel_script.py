"""What the tests of several processes run: ``torchrun tests/parallel_script.py FOLDER``."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from graphforget.checkpoint import checkpoints
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.gnn.models import GCN, GraphSAGE
from graphforget.gnn.task import LinkPrediction, NodeClassification
from graphforget.graph import Graph
from graphforget.methods.d2dgn import D2DGN
from graphforget.methods.d2dgn_calibrated import CalibratedD2DGN
from graphforget.methods.retrain import Retrain
from graphforget.parallel import workers
from graphforget.train import Recipe, seeded
from recsys.mmrecun_calibrated import CalibratedMMRecUN
from recsys.models.bpr import BPR
from recsys.models.lightgcn import LightGCN
from recsys.task import Recommendation
from tests.small import sbm

DEADLY = 9  # forwards in training after which the second process is killed, once

RECIPE = Recipe(epochs=4, patience=4, lr=1e-2, batch_size=101, eval_every=1)  # 101: shares of uneven size


class Mortal(GCN):
    """A network in which the second process of a training dies, mid-epoch, the first time round."""

    def forward(self, x: Tensor | None, edge_index: Tensor) -> Tensor:
        """[N, d] as GCN."""
        global DEADLY
        DEADLY -= self.training
        if not DEADLY and os.environ.get("RANK") == "1" and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
            Path(sys.argv[1], "killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(x, edge_index)


def trained() -> dict[str, Tensor]:
    """Weights of everything that is trained and unlearned here, by name."""
    found: dict[str, Tensor] = {}

    def keep(name: str, model: torch.nn.Module) -> None:
        found.update({f"{name}.{key}": value.detach().clone() for key, value in model.state_dict().items()})

    graph, held = sbm(60), sbm(60, seed=1)
    edges = ForgetSplit.of(graph, ForgetRequest.of("edge", graph.pairs()[:, :5]), held)
    for name, task in (("link", LinkPrediction(RECIPE)), ("full", LinkPrediction(Recipe(epochs=3, eval_every=1)))):
        with seeded(0):
            model = task.fit(Mortal(8, 8, 4), graph, held, seed=0)
        keep(name, model)
        methods = {"calibrated": CalibratedD2DGN(epochs=2, refresh=2), "gold": Retrain()}
        methods |= {"d2dgn": D2DGN(epochs=2, distilled="both")}
        for key, method in methods.items():
            keep(f"{name}.{key}", method.unlearn(model, task, edges, seed=3).model)
    wide = sbm(150)  # over a thousand elements: two parts and more
    sampled = LinkPrediction(Recipe(epochs=2, batch_size=1100, eval_every=1), fan_outs=(3, 2))
    with seeded(0):
        model = sampled.fit(GCN(8, 8, 4), wide, wide, seed=0)
    keep("sampled", model)
    nodes = ForgetSplit.of(graph, ForgetRequest.of("node", torch.tensor([0, 3])), held)
    task = NodeClassification(Recipe(epochs=4, batch_size=25, eval_every=1))
    with seeded(0):
        model = task.fit(GraphSAGE(8, 8, 3), graph, held, seed=0)
    keep("node", model)
    keep("node.calibrated", CalibratedD2DGN(epochs=2, refresh=2).unlearn(model, task, nodes, seed=3).model)
    pairs = (torch.rand(30, 40, generator=torch.Generator().manual_seed(0)) < 0.3).nonzero().T
    part = torch.arange(pairs.shape[1]) % 5 == 0
    taste, later = (Graph(pairs[:, rows], (30, 40), bipartite=True) for rows in (~part, part))
    gone = ForgetSplit.of(taste, ForgetRequest.of("interaction", taste.edge_index[:, :6]), later)
    for name, kind in (("bpr", BPR), ("lightgcn", LightGCN)):
        ranking = Recommendation(RECIPE)
        with seeded(0):
            model = ranking.fit(kind(30, 40, 8), taste, later, seed=0)
        keep(name, model)
        keep(f"{name}.calibrated", CalibratedMMRecUN(epochs=2).unlearn(model, ranking, gone, seed=3).model)
    return found


def main(folder: Path) -> None:
    """Train under torchrun and leave the weights of every process."""
    with workers("gloo", timeout=60) as group, checkpoints(folder / "checkpoints", every=1):
        weights = trained()
    save_file(weights, folder / f"{group.rank}-of-{group.size}.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
