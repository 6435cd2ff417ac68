"""The demo's first half: a GNN on scikit-learn's digits forgets edges, beside gold and the noise floor."""

from __future__ import annotations

from collections.abc import Callable

from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.gnn import selectors
from graphforget.gnn.data import load_splits
from graphforget.gnn.models import GCN
from graphforget.gnn.task import LinkPrediction
from graphforget.gnn.utu import UtU
from graphforget.methods.d2dgn import D2DGN
from graphforget.methods.d2dgn_calibrated import CalibratedD2DGN
from graphforget.methods.finetune import FineTune
from graphforget.report import Report
from graphforget.train import Recipe, seeded
from graphforget.trial import try_out
from graphforget.unlearner import Unlearner

COLUMNS = [
    ("test", "auc"),
    ("forget", "js_to_gold"),
    ("retain", "js_to_gold"),
    ("all", "auc_forget_vs_unseen"),
    ("all", "seconds"),
]
METHODS: dict[str, Unlearner] = {
    "utu": UtU(),
    "finetune": FineTune(),
    "d2dgn": D2DGN(),
    "d2dgn_calibrated": CalibratedD2DGN(),
}


def run_demo(*, ratio: float = 5.0, seed: int = 0, say: Callable[[str], None] = print) -> Report:
    """Train an original, unlearn a share of its edges with four methods, and compare with three golds.

    Args:
        ratio: per cent of the training edges.
        seed: of split, request and models.
        say: receives a line before each step.
    """
    task = LinkPrediction(recipe=Recipe(epochs=400, patience=150, lr=5e-3))
    splits = load_splits("digits", task="link", seed=seed)
    say(f"digits: {splits.train.num_nodes} images, {splits.train.num_edges // 2} training edges")
    request: ForgetRequest = selectors.select_edges(splits, "random", ratio=ratio, seed=seed)
    split = ForgetSplit.of(splits.train, request, splits.val)
    with seeded(seed):
        blank = GCN(splits.train.x.shape[1])
    keys = {"dataset": "digits", "seed": seed}
    edges = f"{split.forget.num_edges // 2} edges"
    return try_out(task, split, splits.test, blank, METHODS, seed=seed, keys=keys, request=edges, say=say).report
