"""A withdrawn modality has no influence left: noise in its place moves no score, not by the last bit."""

from __future__ import annotations

import pytest
import torch

from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.graph import Graph
from graphforget.methods.finetune import FineTune
from graphforget.methods.retrain import Retrain
from graphforget.train import Recipe
from graphforget.unlearner import Unlearned
from recsys.data import load_splits
from recsys.mmrecun_calibrated import CalibratedMMRecUN
from recsys.modality import largest_change, noise_shift, with_noise
from recsys.models import MULTIMODAL, build
from recsys.row_reset import RowReset
from recsys.task import Recommendation
from tests.recsys.small import checkerboard

METHODS = {
    "retrain": Retrain(),
    "row_reset": RowReset(epochs=1),
    "mmrecun_calibrated": CalibratedMMRecUN(epochs=1),
    "finetune": FineTune(epochs=1, lr=1e-3),
}


def small() -> Graph:
    rng = torch.Generator().manual_seed(3)
    features = {"image": torch.randn(16, 6, generator=rng), "text": torch.randn(16, 4, generator=rng)}
    board = checkerboard(users=24, items=16)
    keep = torch.rand(board.num_edges, generator=rng) < 0.8
    return Graph(board.edge_index[:, keep], board.size, bipartite=True, features=features)


def test_noise_replaces_the_withdrawn_rows_alone():
    data, request = small(), ForgetRequest.of("modality:image", [1, 5]) + ForgetRequest.of("user", [3])
    noisy = with_noise(data, request, seed=1)
    changed = (noisy.features["image"] != data.features["image"]).any(1)
    assert changed.nonzero().flatten().tolist() == [1, 5]
    assert noisy.features["text"] is data.features["text"]
    assert noisy.edge_index is data.edge_index
    assert noisy.features["image"].equal(with_noise(data, request, seed=1).features["image"])
    assert not noisy.features["image"].equal(with_noise(data, request, seed=2).features["image"])


@pytest.mark.parametrize("name", sorted(MULTIMODAL))
def test_noise_moves_the_original_and_a_model_that_goes_on_seeing_it(name):
    data, request = small(), ForgetRequest.of("modality:image", [1, 5, 6])
    split = ForgetSplit.of(data, request, data)
    model = build(name, data, dim=6)
    seen = noise_shift(Unlearned(model, data, {}), split, request)
    assert seen > 0 or name == "bm3"  # BM3 scores without features, once it is trained
    assert noise_shift(Unlearned(model, split.retain, {}), split, request) == 0
    assert largest_change(model, data, data) == 0


def check(data: Graph, held_out: Graph, name: str, request: ForgetRequest, epochs: int) -> dict[str, float]:
    """{method: largest change of a score}, of models that learned on data with noise in the place of the withdrawn."""
    task = Recommendation(recipe=Recipe(epochs=epochs, patience=epochs, lr=5e-3, batch_size=4096, eval_every=epochs))
    model = task.fit(build(name, data), data, held_out, seed=0)
    split = ForgetSplit.of(data, request, held_out)
    noisy = ForgetSplit.of(with_noise(data, request), request, held_out)
    found = {}
    for method, each in METHODS.items():
        result = each.unlearn(model, task, split, seed=1)
        shift = noise_shift(result, split, request)
        again = each.unlearn(model, task, noisy, seed=1)  # nor did unlearning look at them
        with torch.no_grad():
            (users, items), (more, others) = result.model(result.context), again.model(again.context)
        found[method] = max(shift, float((users @ items.T - more @ others.T).detach().abs().max()))
    return found


@pytest.mark.parametrize("name", sorted(MULTIMODAL))
def test_no_score_moves_and_unlearning_did_not_look_at_them(name):
    data = small()
    assert check(data, data, name, ForgetRequest.of("modality:image", [1, 5, 6]), epochs=2) == dict.fromkeys(METHODS, 0)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(MULTIMODAL))
def test_no_score_moves_on_real_posters(name, data_root):
    splits = load_splits("ml_posters", root=data_root)
    rows = torch.randperm(splits.train.size[1], generator=torch.Generator().manual_seed(1))[:92]
    found = check(splits.train, splits.val, name, ForgetRequest.of("modality:image", rows), epochs=2)
    assert found == dict.fromkeys(METHODS, 0)
