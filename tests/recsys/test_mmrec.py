"""The bridge to MMRec against its published names, shapes and equations, in plain numpy; MMRec is on no registry."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch

from graphforget.errors import InputError, UnknownName
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.graph import Graph
from graphforget.splits import Splits
from graphforget.train import Recipe
from recsys import mmrec
from recsys.data import to_splits
from recsys.models import build
from recsys.readers import read_mmrec
from recsys.row_reset import RowReset
from recsys.task import Recommendation
from recsys.writers import write_mmrec

USERS, ITEMS, DIM, WIDTHS, K = 9, 14, 4, {"image": 6, "text": 5}, 3
CONFIG = {  # a run's config, more than any one model looks at
    "reg_weight": 0.01,
    "n_layers": 2,
    "n_ui_layers": 2,
    "n_mm_layers": 1,
    "knn_k": K,
    "mm_image_weight": 0.1,
    "dropout": 0.5,
    "cl_weight": 2.0,
    "cl_loss": 0.01,
    "learning_rate": 0.001,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A data set in MMRec's raw format."""
    rng = np.random.default_rng(0)
    base = tmp_path_factory.mktemp("mmrec") / "tiny"
    base.mkdir()
    pairs = [(u, i) for u in range(USERS) for i in range(ITEMS) if rng.random() < 0.6 or i - u in (0, 5)]
    lines = [f"{u}\t{i}\t{[0, 0, 0, 1, 2][n % 5] if i - u not in (0, 5) else 0}" for n, (u, i) in enumerate(pairs)]
    (base / "tiny.inter").write_text("\n".join(["userID\titemID\tx_label", *lines, ""]))
    for name, width in WIDTHS.items():
        np.save(base / f"{name}_feat.npy", rng.normal(size=(ITEMS, width)).astype(np.float16))
    return base


@pytest.fixture(scope="module")
def splits(folder):
    return to_splits(read_mmrec(folder))


def state(name: str) -> dict[str, torch.Tensor]:
    """Weights with the names and shapes of MMRec's class (its README's models; bias last in every layer)."""
    rng = torch.Generator().manual_seed(1)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=rng)

    tables = {"user_embedding.weight": draw(USERS, DIM), "item_id_embedding.weight": draw(ITEMS, DIM)}
    modal = dict(tables)
    for modality, width in WIDTHS.items():
        modal[f"{modality}_embedding.weight"] = draw(ITEMS, width)
        modal |= {f"{modality}_trs.weight": draw(DIM, width), f"{modality}_trs.bias": draw(DIM)}
    gates = {}
    for each in ("query_common.0", "gate_v.0", "gate_t.0", "gate_image_prefer.0", "gate_text_prefer.0"):
        gates |= {f"{each}.weight": draw(DIM, DIM), f"{each}.bias": draw(DIM)}
    width = sum(WIDTHS.values())
    return {
        "bpr": {"user_embedding.weight": draw(USERS, DIM), "item_embedding.weight": draw(ITEMS, DIM)},
        "lightgcn": {"embedding_dict.user_emb": draw(USERS, DIM), "embedding_dict.item_emb": draw(ITEMS, DIM)},
        "vbpr": {
            "u_embedding": draw(USERS, 2 * DIM),
            "i_embedding": draw(ITEMS, DIM),
            "item_linear.weight": draw(DIM, width),
            "item_linear.bias": draw(DIM),
        },
        "freedom": modal,
        "bm3": {**modal, "predictor.weight": draw(DIM, DIM), "predictor.bias": draw(DIM)},
        "mgcn": {**modal, **gates, "query_common.2.weight": draw(1, DIM)},
    }[name]


def expected(name: str, weights: dict[str, torch.Tensor], graph: Graph) -> np.ndarray:
    """[U, I] scores by the published equations, in plain numpy."""
    w = {key: value.double().numpy() for key, value in weights.items()}
    raw = {key: value.double().numpy() for key, value in graph.features.items()}
    adjacency = np.zeros((USERS + ITEMS, USERS + ITEMS))
    users, items = graph.edge_index.numpy()
    adjacency[users, USERS + items] = adjacency[USERS + items, users] = 1
    scale = np.where(adjacency.sum(1) > 0, np.maximum(adjacency.sum(1), 1) ** -0.5, 0)
    adjacency = scale[:, None] * adjacency * scale

    def spread(u: np.ndarray, i: np.ndarray, layers: int) -> tuple[np.ndarray, np.ndarray]:
        table = np.concatenate([u, i])
        total, value = table, table
        for _ in range(layers):
            value = adjacency @ value
            total = total + value
        total = total / (layers + 1)
        return total[:USERS], total[USERS:]

    def near(modality: str, weighted: bool) -> np.ndarray:
        unit = raw[modality] / np.linalg.norm(raw[modality], axis=1, keepdims=True)
        cosine = unit @ unit.T
        graph = np.zeros((ITEMS, ITEMS))
        for row in range(ITEMS):
            best = np.argsort(-cosine[row], kind="stable")[:K]
            graph[row, best] = cosine[row, best] if weighted else 1
        d = graph.sum(1) ** -0.5
        return d[:, None] * graph * d

    def linear(x: np.ndarray, layer: str) -> np.ndarray:
        return x @ w[f"{layer}.weight"].T + w.get(f"{layer}.bias", 0)

    def sigmoid(x: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-x))

    if name == "bpr":
        return w["user_embedding.weight"] @ w["item_embedding.weight"].T
    if name == "vbpr":
        content = linear(np.concatenate([raw["text"], raw["image"]], 1), "item_linear")
        return w["u_embedding"] @ np.concatenate([w["i_embedding"], content], 1).T
    if name == "lightgcn":
        u, i = spread(w["embedding_dict.user_emb"], w["embedding_dict.item_emb"], 2)
        return u @ i.T
    e_u, e_i = w["user_embedding.weight"], w["item_id_embedding.weight"]
    u, i = spread(e_u, e_i, 2)
    if name == "bm3":
        return linear(u, "predictor") @ linear(i + e_i, "predictor").T
    if name == "freedom":
        return u @ (i + (0.1 * near("image", False) + 0.9 * near("text", False)) @ e_i).T
    views = {}
    for modality, gate in (("image", "gate_v.0"), ("text", "gate_t.0")):
        content = linear(w[f"{modality}_embedding.weight"], f"{modality}_trs")
        x = e_i * sigmoid(linear(content, gate))
        for _ in range(2):  # n_layers
            x = near(modality, True) @ x
        views[modality] = np.concatenate([adjacency[:USERS, USERS:] @ x, x])
    att = [linear(np.tanh(linear(view, "query_common.0")), "query_common.2") for view in views.values()]
    att = np.exp(att) / np.exp(att).sum(0)
    common = sum(a * view for a, view in zip(att, views.values(), strict=True))
    behaviour = np.concatenate([u, i])
    side = common.copy()
    for modality, view in views.items():
        side += sigmoid(linear(behaviour, f"gate_{modality}_prefer.0")) * (view - common)
    both = behaviour + side / 3
    return both[:USERS] @ both[USERS:].T


@pytest.mark.parametrize("name", sorted(mmrec.KEYS))
def test_weights_load_score_as_published_and_come_back(name, splits):
    weights = state(name)
    model = mmrec.load_state(name, weights, splits.train, CONFIG)
    with torch.no_grad():
        users, items = model(splits.train)
    found = (users @ items.T).detach().numpy()
    np.testing.assert_allclose(found, expected(name, weights, splits.train), rtol=1e-4, atol=1e-4)
    back = mmrec.state_of(model, splits.train)
    assert {key: value.shape for key, value in back.items()} == {key: value.shape for key, value in weights.items()}
    for key, value in weights.items():
        torch.testing.assert_close(back[key], value)


@pytest.mark.parametrize("name", ["bpr", "freedom", "mgcn"])
def test_a_model_forgets_and_goes_back_with_its_data(name, folder, splits, tmp_path):
    torch.save(state(name), tmp_path / "model.pth")
    model = mmrec.load_state(name, tmp_path / "model.pth", splits.train, CONFIG)
    request = ForgetRequest({"user": torch.tensor([USERS - 1]), "item": torch.tensor([2, ITEMS - 1])})
    split = ForgetSplit.of(splits.train, request, splits.val)
    task = Recommendation(recipe=Recipe(epochs=1, patience=1, lr=1e-3, batch_size=16))
    result = RowReset(epochs=1).unlearn(model, task, split)
    back = mmrec.state_of(result.model, result.context)
    assert {key: value.shape for key, value in back.items()} == {key: v.shape for key, v in state(name).items()}

    # MMRec's data set of what is retained: ids and numbers as before, no withdrawn row, nothing of the forgotten
    target = mmrec.write_retained(split, splits.test, tmp_path / "tiny_retained")
    rows = [line.split("\t") for line in (target / "tiny_retained.inter").read_text().splitlines()]
    at = {title: n for n, title in enumerate(rows[0])}
    of_part = [row for row in rows[1:] if int(row[at["x_label"]]) in (0, 1, 2)]
    assert max(int(row[at["userID"]]) for row in rows[1:]) + 1 == USERS  # as MMRec counts them
    assert max(int(row[at["itemID"]]) for row in rows[1:]) + 1 == ITEMS
    assert not {int(row[at["userID"]]) for row in of_part} & {USERS - 1}
    assert not {int(row[at["itemID"]]) for row in of_part} & {2, ITEMS - 1}
    for modality in WIDTHS:
        values, raw = np.load(target / f"{modality}_feat.npy"), np.load(folder / f"{modality}_feat.npy")
        left = np.delete(np.arange(ITEMS), [2, ITEMS - 1])
        assert (values[left] == raw[left]).all()
        np.testing.assert_allclose(values[2], raw[left].astype(np.float64).mean(0), atol=1e-3)
        assert (np.linalg.norm(values, axis=1) > 0).all()  # MMRec's cosine divides by it
    again = to_splits(read_mmrec(target))
    assert again.train.size == splits.train.size
    assert again.train.num_edges == split.retain.num_edges
    if name == "bpr":  # no graph of its own: the same scores on either data
        loaded = mmrec.load_state(name, back, again.train, CONFIG)
        assert loaded(again.train)[0].equal(result.model(result.context)[0])


def test_numbers_of_users_and_items_are_kept_by_a_row_of_no_part(tmp_path):
    view = Graph(torch.tensor([[0, 1], [0, 1]]), (3, 4), bipartite=True)
    path = write_mmrec(Splits(view, view, view), tmp_path, "tiny")
    assert (path / "tiny.inter").read_text().splitlines()[-1] == "2\t3\t9"
    assert to_splits(read_mmrec(path)).train.edge_index.equal(view.edge_index)
    (path / "u_id_mapping.csv").unlink()
    (path / "i_id_mapping.csv").unlink()
    assert read_mmrec(path).size == (3, 4)


def test_stale_graphs_are_listed(tmp_path):
    names = {"mm_adj_freedomdsp_10_1.pt", "image_adj_10_True.pt", "text_adj_10_True.pt", "user_graph_dict.npy"}
    for name in {*names, "tiny.inter", "image_feat.npy"}:
        (tmp_path / name).write_text("")
    assert {path.name for path in mmrec.stale_graphs(tmp_path)} == names
    with pytest.raises(InputError, match="there is no folder"):
        mmrec.stale_graphs(tmp_path / "nowhere")


# --- bad input


def test_an_empty_graph_is_refused(splits):
    empty = splits.train.with_edges(torch.zeros(splits.train.num_edges, dtype=torch.bool))
    with pytest.raises(InputError, match="the graph has no interaction"):
        mmrec.load_state("lightgcn", state("lightgcn"), empty, CONFIG)


def test_what_does_not_fit_is_named(splits, tmp_path):
    graph = splits.train
    with pytest.raises(UnknownName, match="did you mean 'freedom'"):
        mmrec.load_state("fredom", state("freedom"), graph, CONFIG)
    with pytest.raises(InputError, match=r"settings must hold n_layers as in the config"):
        mmrec.load_state("lightgcn", state("lightgcn"), graph, {"reg_weight": 0.01})
    with pytest.raises(InputError, match=r"not those of MMRec's lightgcn \(got i_embedding"):
        mmrec.load_state("lightgcn", state("vbpr"), graph, CONFIG)
    with pytest.raises(InputError, match=r"not those of MMRec's freedom on this data: predictor\.bias"):
        mmrec.load_state("freedom", state("bm3"), graph, CONFIG)
    weights = state("bpr")
    weights["item_embedding.weight"] = weights["item_embedding.weight"][:-1]
    with pytest.raises(InputError, match=r"another data set: item_embedding\.weight must have shape \[14, 4\]"):
        mmrec.load_state("bpr", weights, graph, CONFIG)
    with pytest.raises(InputError, match=r"state_dict\(\) of a model of MMRec"):
        mmrec.load_state("bpr", {"model": weights}, graph, CONFIG)
    with pytest.raises(InputError, match=r"expected one of our models.*\(got Linear\)"):
        mmrec.state_of(torch.nn.Linear(2, 2), graph)


def test_one_modality_is_enough(splits):
    graph = Graph(splits.train.edge_index, splits.train.size, bipartite=True, features={"text": torch.rand(ITEMS, 5)})
    weights = {key: value for key, value in state("freedom").items() if "image" not in key}
    back = mmrec.state_of(mmrec.load_state("freedom", weights, graph, CONFIG), graph)
    assert back.keys() == weights.keys()
    assert build("freedom", graph)(graph)[0].shape == (USERS, 64)
    with pytest.raises(InputError, match=r"image_trs\.bias, image_trs\.weight differ"):
        mmrec.load_state("freedom", weights, splits.train, CONFIG)


class Trap:
    def __reduce__(self):
        return (os.system, ("echo hacked > pwned",))


def test_a_hostile_file_runs_nothing(splits, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"user_embedding.weight": Trap()}, "a.pth")
    with pytest.raises(InputError, match="not on the allow-list"):
        mmrec.load_state("bpr", "a.pth", splits.train, CONFIG)
    assert not (tmp_path / "pwned").exists()
