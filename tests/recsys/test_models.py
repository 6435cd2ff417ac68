"""The reference recommenders against plain numpy, on two users and three items, and what their graphs must never do."""

import copy
import gc
import pickle

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from graphforget.errors import InputError, UnknownName
from graphforget.forget import ForgetRequest
from graphforget.fresh import fresh
from graphforget.graph import Graph
from recsys import derived
from recsys.models import MODELS, MULTIMODAL, build
from recsys.models.bm3 import BM3
from recsys.models.bpr import BPR, embedding_norm
from recsys.models.freedom import FREEDOM, modal_weights
from recsys.models.lightgcn import LightGCN
from recsys.models.mgcn import MGCN, info_nce
from recsys.models.vbpr import VBPR
from tests import naive_recsys as naive

EDGES = [(0, 0), (0, 1), (1, 1), (1, 2)]
TRIPLES = [(0, 0, 2), (1, 1, 0), (1, 2, 0), (0, 1, 2), (0, 0, 2)]
INDEX = torch.tensor(TRIPLES).T
WIDTHS = {"image": 2, "text": 3}
IMAGE = [[1.0, 0.5], [0.25, 2.0], [1.5, 0.125]]
TEXT = [[1.0, 2.0, 0.5], [-1.0, 0.25, 3.0], [0.75, 1.0, -0.5]]
K = 2  # neighbours an item, itself among them


@pytest.fixture
def double():
    """Compute in float64: tables and adjacencies are made in the default type."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def tiny(features: tuple[str, ...] = ("image", "text")) -> Graph:
    values = {"image": torch.tensor(IMAGE), "text": torch.tensor(TEXT), "audio": torch.tensor(TEXT)[:, :1] + 2}
    held = {name: values[name] for name in features}
    return Graph(torch.tensor(EDGES).T, (2, 3), bipartite=True, features=held)


def random_graph(users: int = 12, items: int = 15, edges: int = 60, seed: int = 0) -> Graph:
    rng = torch.Generator().manual_seed(seed)
    codes = torch.randperm(users * items, generator=rng)[:edges].sort().values
    features = {name: torch.randn(items, width, generator=rng) for name, width in WIDTHS.items()}
    return Graph(torch.stack([codes // items, codes % items]), (users, items), bipartite=True, features=features)


def randomised(model: nn.Module, seed: int = 1) -> nn.Module:
    """Draw every parameter anew, so that no term of a loss is zero by initialisation."""
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in model.parameters():
            value.copy_(torch.randn(value.shape, generator=rng, dtype=value.dtype) * 0.7)
    return model


def values(model: nn.Module) -> dict[str, naive.Array]:
    return {name: value.detach().numpy() for name, value in model.named_parameters()}


def linear(state: dict[str, naive.Array], name: str) -> naive.Linear:
    return state[f"{name}.weight"], state[f"{name}.bias"]


def contents(state: dict[str, naive.Array]) -> list[naive.Array]:
    """W_m X_m with the trained shift of X_m, image first."""
    raw = {"image": np.array(IMAGE), "text": np.array(TEXT)}
    return [
        naive.apply(linear(state, f"modalities.{name}.linear"), raw[name] + state[f"modalities.{name}.shift"])
        for name in WIDTHS
    ]


def assert_agrees(found: tuple[Tensor, ...], expected: tuple[naive.Array | float, ...]) -> None:
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == torch.float64
        np.testing.assert_allclose(a.detach().numpy(), b, rtol=1e-10, atol=1e-12)


def test_bpr_equals_the_oracle(double: None) -> None:
    model = randomised(BPR(2, 3, dim=4, reg=0.3))
    users, items = values(model).values()
    loss = naive.bpr(users, items, TRIPLES) + 0.3 * naive.embedding_norm(users, items, TRIPLES)
    assert_agrees((*model(tiny()), model.loss(tiny(), INDEX)), (users, items, loss))


def test_lightgcn_equals_the_oracle(double: None) -> None:
    model = randomised(LightGCN(2, 3, dim=4, layers=3, reg=0.3))
    users, items = values(model).values()
    z = naive.lightgcn(naive.adjacency(EDGES, 2, 3), users, items, 3)
    loss = naive.bpr(*z, TRIPLES) + 0.3 * naive.embedding_norm(users, items, TRIPLES)
    assert_agrees((*model(tiny()), model.loss(tiny(), INDEX)), (*z, loss))


def test_vbpr_equals_the_oracle(double: None) -> None:
    model = randomised(VBPR(2, 3, WIDTHS, dim=4, reg=0.3))
    state = values(model)
    items = naive.vbpr_items(state["item_embedding"], linear(state, "linear"), np.array(TEXT), np.array(IMAGE))
    users = state["user_embedding"]
    loss = naive.bpr(users, items, TRIPLES) + 0.3 * naive.embedding_norm(users, items, TRIPLES)
    assert_agrees((*model(tiny()), model.loss(tiny(), INDEX)), (users, items, loss))


def test_freedom_equals_the_oracle(double: None) -> None:
    model = randomised(FREEDOM(2, 3, WIDTHS, dim=4, k=K, modal_weight=0.3))
    state, graph = values(model), tiny()
    s = 0.1 * naive.knn(np.array(IMAGE), K, False) + 0.9 * naive.knn(np.array(TEXT), K, False)
    parts = (s, state["user_embedding"], state["item_embedding"], contents(state), TRIPLES, 0.3)
    assert_agrees((*model(graph), model.loss(graph, INDEX)), naive.freedom(naive.adjacency(EDGES, 2, 3), *parts))


def test_freedom_trains_on_the_drawn_edges_normalised_by_their_own_degrees(double: None) -> None:
    model = randomised(FREEDOM(2, 3, WIDTHS, dim=4, k=K, rho=0.25, modal_weight=0.3)).train()
    state, graph = values(model), tiny()
    s = 0.1 * naive.knn(np.array(IMAGE), K, False) + 0.9 * naive.knn(np.array(TEXT), K, False)
    parts = (s, state["user_embedding"], state["item_embedding"], contents(state), TRIPLES, 0.3)
    losses = [naive.freedom(naive.adjacency(EDGES[:j] + EDGES[j + 1 :], 2, 3), *parts)[2] for j in range(4)]
    seen = set()
    for seed in range(40):
        model.begin_epoch(graph, torch.Generator().manual_seed(seed))
        gaps = [abs(model.loss(graph, INDEX).item() - loss) for loss in losses]
        assert min(gaps) < 1e-12
        seen.add(gaps.index(min(gaps)))
    assert seen == {0, 1, 2, 3}


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_bm3_equals_the_oracle(double: None, dropout: float) -> None:
    model = randomised(BM3(2, 3, WIDTHS, dim=4, layers=2, dropout=dropout, reg=0.3, modal_weight=1.5)).train()
    state, graph = values(model), tiny()
    torch.manual_seed(5)
    masks = [torch.dropout(torch.ones(rows, 4), dropout, True).numpy() for rows in (2, 3, 3, 3)]
    tables = (state["user_embedding"], state["item_embedding"], contents(state), linear(state, "predictor"))
    pairs = [(u, p) for u, p, _ in TRIPLES]
    expected = naive.bm3(naive.adjacency(EDGES, 2, 3), *tables, pairs, masks, 2, 0.3, 1.5)
    torch.manual_seed(5)
    assert_agrees((*model(graph), model.loss(graph, INDEX)), expected)


def test_bm3_sends_no_gradient_through_its_targets() -> None:
    """Behind a constant predictor the online side teaches the tables nothing; so must the targets."""
    graph, model = tiny(), randomised(BM3(2, 3, WIDTHS, dim=8, reg=0.0)).train()
    nn.init.zeros_(model.predictor.weight)
    model.loss(graph, INDEX).backward()
    assert bool(model.predictor.bias.grad.any())
    for name, value in model.named_parameters():
        assert name.startswith("predictor") or not bool(value.grad.any())


def test_bm3_ignores_negatives_and_drops_nothing_in_evaluation() -> None:
    graph, model = tiny(), randomised(BM3(2, 3, WIDTHS, dim=8)).eval()
    other = torch.stack([INDEX[0], INDEX[1], INDEX[1]])
    assert model.loss(graph, INDEX).item() == model.loss(graph, other).item() == model.loss(graph, INDEX[:2]).item()
    model.train()
    assert model.loss(graph, INDEX).item() != model.loss(graph, INDEX).item()


def test_bm3_divides_its_norm_by_the_items() -> None:
    graph = tiny()
    model = randomised(BM3(2, 3, WIDTHS, dim=4, dropout=0, reg=0.0))
    bare = model.loss(graph, INDEX)
    model.reg = 1.0
    state = values(model)
    u, i = naive.lightgcn(naive.adjacency(EDGES, 2, 3), state["user_embedding"], state["item_embedding"], 1)
    norms = np.linalg.norm(u) + np.linalg.norm(i + state["item_embedding"])
    assert (model.loss(graph, INDEX) - bare).item() == pytest.approx(norms / 3, rel=1e-5)


def test_embedding_norm_divides_by_the_rows_of_the_last_part() -> None:
    assert embedding_norm(torch.full((1, 4), 3.0), torch.ones(4, 1)).item() == pytest.approx((6 + 2) / 4)


def test_mgcn_equals_the_oracle(double: None) -> None:
    model = randomised(MGCN(2, 3, WIDTHS, dim=4, k=K, reg=0.2, contrast_weight=0.3))
    state, graph = values(model), tiny()
    c, side = naive.mgcn_views(
        naive.adjacency(EDGES, 2, 3),
        [naive.knn(np.array(IMAGE), K, True), naive.knn(np.array(TEXT), K, True)],
        state["user_embedding"],
        state["item_embedding"],
        contents(state),
        [linear(state, f"gates.{name}") for name in WIDTHS],
        (linear(state, "query.0"), state["query.2.weight"]),
        [linear(state, f"preferences.{name}") for name in WIDTHS],
    )
    loss = naive.mgcn_loss(c, side, 2, TRIPLES, 0.2, 0.3)
    assert_agrees((*model(graph), model.loss(graph, INDEX)), ((c + side)[:2], (c + side)[2:], loss))


def test_info_nce_counts_what_a_batch_repeats(double: None) -> None:
    rng = np.random.default_rng(0)
    one, other, ids = rng.normal(size=(5, 3)), rng.normal(size=(5, 3)), [4, 1, 1, 0, 1, 4]
    found = info_nce(torch.from_numpy(one), torch.from_numpy(other), torch.tensor(ids), 0.2)
    assert_agrees((found,), (naive.info_nce(one, other, ids, 0.2),))


def test_freedom_item_graph_has_the_value_of_one_over_k() -> None:
    matrix = derived.of(random_graph()).knn("text", 5).matrix
    assert matrix.values().shape == (15 * 5,)
    torch.testing.assert_close(matrix.values(), torch.full((75,), 1 / 5))
    assert bool((matrix.to_dense().diagonal() > 0).all())  # the item is its own neighbour


@pytest.mark.parametrize(
    ("rho", "edges", "count"), [(0.8, 60, 12), (0.8, 45, 9), (0.9, 10, 1), (0.0, 7, 7), (0.8, 59, 11)]
)
def test_freedom_draws_the_floor_of_its_share(rho: float, edges: int, count: int) -> None:
    graph = random_graph(edges=edges)
    model = FREEDOM(*graph.size, WIDTHS, dim=4, rho=rho)
    model.begin_epoch(graph, torch.Generator().manual_seed(0))
    assert model._drawn is not None
    dense = model._drawn[1].matrix.to_dense()
    block = dense[:12, 12:]
    assert int((block > 0).sum()) == count
    assert bool((dense == dense.T).all())
    whole = torch.zeros(graph.size)
    whole[graph.edge_index[0], graph.edge_index[1]] = 1
    assert bool((whole[block > 0] == 1).all())
    kept = (block > 0).float()
    expected = kept / (kept.sum(1, keepdim=True) * kept.sum(0)).clamp(min=1).sqrt()
    torch.testing.assert_close(block, expected)


def test_freedom_prefers_edges_of_low_degree() -> None:
    """One edge is drawn of four: the chance of each is in proportion to (d_u d_i)^-1/2."""
    graph = Graph(torch.tensor([[0, 0, 0, 1], [0, 1, 2, 3]]), (2, 4), bipartite=True, features={"image": torch.eye(4)})
    model = FREEDOM(2, 4, {"image": 4}, rho=0.75)
    rng, hits = torch.Generator().manual_seed(0), torch.zeros(4)
    for _ in range(2000):
        model.begin_epoch(graph, rng)
        assert model._drawn is not None
        hits += model._drawn[1].matrix.to_dense()[:2, 2:][tuple(graph.edge_index)]
    chance = torch.tensor([3**-0.5] * 3 + [1.0])
    expected = 2000 * chance / chance.sum()
    assert float(((hits - expected) ** 2 / expected).sum()) < 16.3  # chi-square, 3 degrees of freedom, p = .001


def test_freedom_evaluates_on_the_whole_graph_and_shows_no_other_graph_the_draw() -> None:
    graph, model = random_graph(), FREEDOM(12, 15, WIDTHS, dim=4)
    other = graph.with_edges(torch.ones(graph.num_edges, dtype=torch.bool))  # equal, but not the same
    index = torch.stack([graph.edge_index[0], graph.edge_index[1], graph.edge_index[1].flip(0)])
    before, whole = model(graph), model.loss(graph, index)
    model.begin_epoch(graph, torch.Generator().manual_seed(0))
    assert model.loss(graph, index).item() != whole.item()
    assert model.loss(other, index).item() == pytest.approx(whole.item(), rel=1e-6)
    for a, b in zip(before, model(graph), strict=True):
        assert a.equal(b)
    model.eval()
    assert model.loss(graph, index).item() == whole.item()
    assert all(a.equal(b) for a, b in zip(before, model(graph), strict=True))


def test_freedom_holds_no_graph_alive_and_gives_no_copy_its_draw() -> None:
    graph, model = random_graph(), FREEDOM(12, 15, WIDTHS, dim=4)
    model.begin_epoch(graph, torch.Generator().manual_seed(0))
    assert copy.deepcopy(model)._drawn is None
    assert pickle.dumps(model)  # a weak reference cannot be written
    assert model._drawn is not None
    watched = model._drawn[0]
    del graph
    gc.collect()
    assert watched() is None


def test_freedom_draws_the_same_from_the_same_generator() -> None:
    graph, drawn = random_graph(), []
    for seed in (3, 3, 4):
        model = FREEDOM(12, 15, WIDTHS, dim=4)
        state = torch.random.get_rng_state()
        model.begin_epoch(graph, torch.Generator().manual_seed(seed))
        assert torch.random.get_rng_state().equal(state)
        assert model._drawn is not None
        drawn.append(model._drawn[1].matrix.to_dense())
    assert drawn[0].equal(drawn[1])
    assert not drawn[0].equal(drawn[2])


def test_rho_outside_its_range_is_refused() -> None:
    with pytest.raises(InputError, match="rho is the share of edges to leave out"):
        FREEDOM(2, 3, WIDTHS, rho=1.0)


def test_image_weighs_w_v_against_the_others() -> None:
    assert modal_weights(("image",), 0.1) == {"image": 1.0}
    assert modal_weights(("text", "audio"), 0.1) == {"text": 0.5, "audio": 0.5}
    three = modal_weights(("audio", "image", "text"), 0.1)
    assert three == pytest.approx({"audio": 0.45, "image": 0.1, "text": 0.45})


def zeroed(graph: Graph, rows: list[int], names: tuple[str, ...]) -> Graph:
    features = {name: value.clone() for name, value in graph.features.items()}
    for name in names:
        features[name][rows] = 0
    return Graph(graph.edge_index, graph.size, bipartite=True, features=features)


@pytest.mark.parametrize("name", MULTIMODAL)
@pytest.mark.parametrize("rows", [[4], list(range(15))], ids=["one item", "every item"])
@pytest.mark.parametrize("names", [("image",), ("image", "text")])
def test_zero_features_give_no_nan(name: str, rows: list[int], names: tuple[str, ...]) -> None:
    graph = zeroed(random_graph(), rows, names)
    model = build(name, graph, dim=4).train()
    if hasattr(model, "begin_epoch"):
        model.begin_epoch(graph, torch.Generator().manual_seed(0))
    index = torch.stack([graph.edge_index[0], graph.edge_index[1], graph.edge_index[1].flip(0)])
    optimiser = torch.optim.Adam(model.parameters(), lr=0.1)
    for _ in range(3):
        optimiser.zero_grad()
        loss = model.loss(graph, index)
        loss.backward()
        assert all(bool(value.grad.isfinite().all()) for value in model.parameters() if value.grad is not None)
        optimiser.step()
    assert bool(loss.isfinite())
    assert all(bool(part.isfinite().all()) for part in model(graph))


@pytest.mark.parametrize("name", MULTIMODAL)
@pytest.mark.parametrize("names", [("text",), ("image", "text"), ("audio", "image", "text"), ("audio",)])
def test_any_modalities_will_do_in_any_order(name: str, names: tuple[str, ...]) -> None:
    graph = tiny(names)
    model = build(name, graph, dim=8)
    model.loss(graph, INDEX).backward()
    assert [part.shape[0] for part in model(graph)] == [2, 3]
    turned = Graph(graph.edge_index, graph.size, bipartite=True, features=dict(reversed(graph.features.items())))
    assert all(torch.allclose(a, b) for a, b in zip(model(graph), model(turned), strict=True))


@pytest.mark.parametrize("name", MODELS)
def test_fresh_covers_every_parameter(name: str) -> None:
    graph = tiny()
    model = randomised(build(name, graph, dim=8))
    new, same, other = fresh(model, 0), fresh(model, 0), fresh(model, 1)
    old, kept = dict(model.named_parameters()), dict(same.named_parameters())
    for key, value in new.named_parameters():
        assert value.equal(kept[key])
        assert not value.equal(old[key])
        assert value.data_ptr() != old[key].data_ptr()
        assert key.endswith("shift") == bool((value == 0).all()) or key == "linear.bias"
    assert any(not a.equal(b) for a, b in zip(new.parameters(), other.parameters(), strict=True))
    assert all(bool(part.isfinite().all()) for part in new(graph))


@pytest.mark.parametrize("name", MODELS)
def test_reset_parameters_alone_covers_every_parameter(name: str) -> None:
    model = build(name, tiny(), dim=8)
    with torch.no_grad():
        for value in model.parameters():
            value.fill_(torch.nan)
    model.reset_parameters()
    assert not any(bool(value.isnan().any()) for value in model.parameters())


@pytest.mark.parametrize("name", MULTIMODAL)
def test_no_raw_feature_is_kept_in_the_model(name: str) -> None:
    """Features come from the graph at each call; what a never-trained model adds to them is zero."""
    graph = random_graph()
    model = build(name, graph, dim=8)
    assert not dict(model.named_buffers())
    for key, value in model.named_parameters():
        assert not key.endswith("shift") or not bool(value.any())
    request = ForgetRequest.of("modality:image", [4])
    retain = graph.partition(request.parts)[1]
    index = torch.stack([graph.edge_index[0], graph.edge_index[1], graph.edge_index[1].flip(0)])
    model.eval()
    assert model.loss(retain, index).item() != model.loss(graph, index).item()
    never = zeroed(graph, [4], ("image",))
    assert model.loss(retain, index).item() == model.loss(never, index).item()
    assert all(a.equal(b) for a, b in zip(model(retain), model(never), strict=True))


@pytest.mark.parametrize("name", MULTIMODAL)
def test_a_graph_without_the_features_of_the_model_is_refused(name: str) -> None:
    model = build(name, tiny(), dim=8)
    with pytest.raises(UnknownName, match=r"unknown modality \(got 'text'\)|unknown modality \(got 'image'\)"):
        model.loss(tiny(("audio",)), INDEX)
    wide = Graph(
        torch.tensor(EDGES).T, (2, 3), bipartite=True, features={"image": torch.ones(3, 7), "text": torch.ones(3, 3)}
    )
    with pytest.raises(InputError, match=r"features\['image'\] must have 2 columns, as the model was built \(got 7\)"):
        model.loss(wide, INDEX)


@pytest.mark.parametrize("kind", [VBPR, FREEDOM, MGCN, BM3])
@pytest.mark.parametrize("name", ["vis.emb", "", "keys", "training"])
def test_names_that_cannot_name_parameters_are_refused(kind: type[nn.Module], name: str) -> None:
    with pytest.raises(InputError, match="use a plain word"):
        kind(2, 3, {name: 4})
    with pytest.raises(InputError, match="needs at least one modality"):
        kind(2, 3, {})


@pytest.mark.parametrize("name", MODELS)
def test_training_ranks_each_block_its_own_items(name: str) -> None:
    """Checkerboard: even users like even items; the features say which items are even."""
    users, items = torch.meshgrid(torch.arange(16), torch.arange(20), indexing="ij")
    like = (users + items) % 2 == 0
    seen = like & ((users + 3 * items) % 7 != 0)  # the rest is held out
    parity = torch.arange(20) % 2
    features = {"image": torch.stack([parity + 0.1, 1.1 - parity], dim=1), "text": torch.rand(20, 3)}
    graph = Graph(torch.stack([users[seen], items[seen]]), (16, 20), bipartite=True, features=features)
    torch.manual_seed(0)
    rng, model = torch.Generator().manual_seed(0), build(name, graph, dim=8)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(60):
        if hasattr(model, "begin_epoch"):
            model.begin_epoch(graph, rng)
        negatives = 2 * torch.randint(10, (graph.num_edges,), generator=rng) + (1 - graph.edge_index[0] % 2)
        optimiser.zero_grad()
        model.loss(graph, torch.cat([graph.edge_index, negatives[None]])).backward()
        optimiser.step()
    model.eval()
    user, item = model(graph)
    score = user @ item.T
    held_out = like & ~seen
    assert float((score[held_out][:, None] > score[~like][None]).float().mean()) > 0.95
