from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from graphforget.errors import InputError
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.fresh import fresh
from graphforget.graph import Graph
from graphforget.train import Recipe
from recsys.mmrecun_calibrated import CalibratedMMRecUN
from recsys.models import MODELS, build
from recsys.models.bpr import BPR
from recsys.row_reset import RowReset
from recsys.tables import gone, reset_rows, tables, take_peers_rows, withdrawn
from recsys.task import Recommendation
from tests.recsys.small import checkerboard

NONE = torch.empty(0, dtype=torch.int64)


def test_only_the_asked_rows_change_and_they_have_the_scale_of_the_whole_table():
    data = Graph(torch.tensor([[0, 1], [0, 2]]), (500, 300), bipartite=True)
    model = BPR(500, 300)
    with torch.no_grad():
        model.user_embedding.fill_(7.0)
        model.item_embedding.fill_(7.0)
    assert reset_rows(model, fresh(model, 0), data, torch.tensor([3, 4]), torch.tensor([5])) == [
        "item_embedding",
        "user_embedding",
    ]
    changed = (model.user_embedding != 7).all(1)
    assert changed.nonzero().flatten().tolist() == [3, 4]
    assert (model.item_embedding != 7).all(1).nonzero().flatten().tolist() == [5]
    assert float(model.user_embedding[3:5].std()) < 2 * (2 / 564) ** 0.5  # Xavier of a [2, 64] table has twice as much


def test_one_table_of_users_and_items_is_understood():
    class Joint(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.all = nn.Parameter(torch.ones(5, 2))

    data = Graph(torch.tensor([[0], [0]]), (2, 3), bipartite=True)
    model, new = Joint(), Joint()
    with torch.no_grad():
        new.all.zero_()
    reset_rows(model, new, data, torch.tensor([1]), torch.tensor([0]))
    assert model.all.sum(1).tolist() == [2, 0, 0, 2, 2]


def test_as_many_users_as_items_needs_a_name():
    model = nn.ParameterDict({"mystery": torch.ones(4, 2)})
    with pytest.raises(InputError, match="'mystery'"):
        list(tables(model, (4, 4)))
    named = nn.ParameterDict({"item_table": torch.ones(4, 2)})
    assert [side for _, _, side in tables(named, (4, 4))] == ["item"]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("size", [(8, 8), (8, 12), (12, 8)])
def test_our_models_say_themselves_what_their_rows_are(name, size):
    """As many users as items, or as many as a linear map is wide, confuses nobody: no map is drawn anew."""
    features = {"image": torch.ones(size[1], 8), "text": torch.ones(size[1], 3)}
    data = Graph(torch.tensor([[0, 1], [0, 2]]), size, bipartite=True, features=features)
    model = build(name, data, dim=8)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    reset_rows(model, fresh(model, 3), data, torch.tensor([1]), torch.tensor([2]))
    changed = {key for key, value in model.state_dict().items() if not value.equal(before[key])}
    assert changed == {"user_embedding", "item_embedding"}
    sides = {side for _, _, side in tables(model, size)}
    assert sides == {"user", "item"}


def test_a_withdrawn_modality_leaves_the_table_of_another_of_a_longer_name():
    features = {"text": torch.ones(6, 3), "text_long": torch.ones(6, 4)}
    data = replace(checkerboard(8, 6), features=features)
    model = build("freedom", data, dim=4)
    with torch.no_grad():
        for part in model.modalities.values():
            part.shift.fill_(7.0)
    split = ForgetSplit.of(data, ForgetRequest.of("modality:text", [2]), data)
    found = RowReset(epochs=1, lr=1e-9).unlearn(model, Recommendation(recipe=Recipe(epochs=1, batch_size=64)), split)
    assert found.record["reset"] == ["modalities.text.shift"]
    assert float(found.model.modalities["text"].shift[2].abs().max()) < 1
    assert float(found.model.modalities["text_long"].shift.min()) > 6


def test_a_model_without_such_rows_is_refused():
    data = checkerboard(4, 6)
    with pytest.raises(InputError, match="no table with a row a user"):
        reset_rows(nn.Linear(2, 2), nn.Linear(2, 2), data, torch.tensor([0]), NONE)


def test_what_a_request_removed_and_withdrew():
    data = checkerboard(4, 6)
    data = Graph(data.edge_index, data.size, bipartite=True, features={"image": torch.ones(6, 2)})
    request = ForgetRequest.of("user", [1]) + ForgetRequest.of("item", [2]) + ForgetRequest.of("modality:image", [4])
    split = ForgetSplit.of(data, request, data)
    assert [ids.tolist() for ids in gone(split.data, split.retain)] == [[1], [2]]
    assert {name: rows.tolist() for name, rows in withdrawn(split.data, split.retain).items()} == {"image": [4]}
    assert split.retain.features["image"].sum(1).tolist() == [2, 2, 0, 2, 0, 2]
    second = split.then(ForgetRequest.of("user", [3]))
    assert gone(second.data, second.retain)[0].tolist() == [3]


def pushed():
    """Ten users with an interaction each; three planted users push item 4, which one real user has."""
    real = torch.stack([torch.arange(10), torch.tensor([0, 0, 0, 1, 1, 1, 2, 2, 3, 4])])
    planted = torch.stack([torch.arange(10, 13), torch.tensor([4, 4, 4])])
    data = Graph(torch.cat([real, planted], dim=1), (13, 5), bipartite=True)
    held_out = Graph(torch.tensor([[0], [1]]), (13, 5), bipartite=True)
    return ForgetSplit.of(data, ForgetRequest.of("user", torch.arange(10, 13)), held_out)


def test_an_item_that_lost_most_of_its_interactions_takes_the_mean_row_of_its_peers():
    split, model = pushed(), BPR(13, 5)
    before = model.item_embedding.detach().clone()
    users = model.user_embedding.detach().clone()
    assert take_peers_rows(model, split.data, split.retain, share=0.5, peers=2) == {"item": 1}
    assert torch.equal(model.item_embedding[4], before[[3, 2]].mean(0))  # they have 1 and 2 interactions, it has 1
    assert torch.equal(model.item_embedding[:4], before[:4])
    assert torch.equal(model.user_embedding, users)


def test_an_item_that_kept_enough_keeps_its_row():
    split, model = pushed(), BPR(13, 5)
    before = model.item_embedding.detach().clone()
    assert take_peers_rows(model, split.data, split.retain, share=0.8, peers=2) == {}
    assert torch.equal(model.item_embedding, before)


def test_planted_users_no_longer_push_their_item_after_calibrated_mmrecun():
    split, model = pushed(), BPR(13, 5)
    with torch.no_grad():
        model.user_embedding.fill_(1.0)
        model.item_embedding.copy_(torch.tensor([3.0, 3.0, 2.0, 1.0, 9.0])[:, None].expand(5, 64))
    result = CalibratedMMRecUN(peers=1, refit=1).unlearn(model, Recommendation(), split, seed=0)
    users, items = result.model(result.context)
    assert result.record["peers"] == {"item": 1}
    assert (users[:10] @ items.T).argmax(1).ne(4).all()
