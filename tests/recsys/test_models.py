"""What holds for every reference recommender: features, new weights, and a block of items to learn."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from graphforget.errors import InputError, UnknownName
from graphforget.forget import ForgetRequest
from graphforget.fresh import fresh
from graphforget.graph import Graph
from recsys.models import MODELS, MULTIMODAL, build
from recsys.models.bm3 import BM3
from recsys.models.freedom import FREEDOM
from recsys.models.mgcn import MGCN
from recsys.models.vbpr import VBPR
from tests.recsys.models_small import (
    EDGES,
    INDEX,
    random_graph,
    randomised,
    tiny,
)


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
