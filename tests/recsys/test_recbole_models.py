"""Every general recommender of RecBole: wrapped with its own scores, or excluded for a reason."""

from __future__ import annotations

import copy

import pytest
import torch

pytest.importorskip("recbole", reason="needs RecBole: pip install --no-deps recbole==1.2.1")

from graphforget.errors import InputError
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.fresh import fresh
from graphforget.methods.finetune import FineTune
from graphforget.train import Recipe
from recsys.recbole import Wrapped, compatible, evaluate, excluded, filtered, supported, to_graph, unlearn
from recsys.recbole.models import KINDS, general_recommenders, main
from recsys.recbole.wrap import _get
from recsys.task import Recommendation
from tests.recsys.recbole_small import own_scores, run

TASK = Recommendation(recipe=Recipe(epochs=1, patience=1, lr=1e-3, batch_size=2048))


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    """RecBole's trainers write to the current folder."""
    monkeypatch.chdir(tmp_path)


def test_every_class_of_recbole_is_supported_or_excluded_for_a_reason():
    assert {*supported(), *excluded()} == {*general_recommenders()}
    assert not {*supported()} & {*excluded()}
    assert all(len(reason) > 20 and "does not know it" not in reason for reason in excluded().values())


def test_the_list_is_printed(capsys):
    main()
    printed = capsys.readouterr().out
    for name in general_recommenders():
        assert name in printed


@pytest.mark.parametrize("name", sorted(KINDS))
def test_a_supported_model_keeps_its_scores_and_unlearns(name, root):
    done = run(name, root, fit=name != "NCL")  # RecBole's trainer of NCL needs faiss
    graph = to_graph(done.train.dataset)
    users = torch.arange(1, graph.size[0])

    # its own scores
    wrapped = Wrapped(done.model, done.train).eval()
    with torch.no_grad():
        found = wrapped(graph)
    dots = found[0][users] @ found[1].T
    expected = own_scores(done.model, users, graph.size[1])
    torch.testing.assert_close(dots.sigmoid() if KINDS[name].monotone else dots, expected, rtol=1e-4, atol=1e-6)

    # its own loss, with gradient
    index = Recommendation().triples(graph, graph, graph.edge_index[:, :300], seed=1)
    wrapped.train()
    wrapped.begin_epoch(graph, torch.Generator().manual_seed(1))
    loss = wrapped.loss(graph, index)
    loss.backward()
    assert torch.isfinite(loss)
    gradients = [p.grad for p in wrapped.parameters() if p.grad is not None]
    assert gradients
    assert any(bool(g.any()) for g in gradients)
    assert all(torch.isfinite(g).all() for g in gradients)

    # data that it looks at is that of the graph
    wrapped.eval()
    split = ForgetSplit.of(graph, ForgetRequest.of("node", [3, 5]), to_graph(done.valid.dataset))
    with torch.no_grad():
        other = wrapped(split.retain)
    looks = name not in ("BPR", "LINE", "ENMF")
    assert bool((other[0][3] != found[0][3]).any()) == looks

    # never trained
    new = fresh(wrapped, seed=1)
    drawn = [key for key, value in wrapped.named_parameters() if value.requires_grad and value.unique().numel() > 1]
    assert drawn
    assert not any(new.get_parameter(key).equal(wrapped.get_parameter(key)) for key in drawn)

    # rows drawn anew: every axis of the length of users or items, and nothing else
    sizes = {"user": graph.size[0], "item": graph.size[1], "both": sum(graph.size)}
    listed = {(id(_get(wrapped.inner, path)), axis): whose for whose, axis, path in KINDS[name].rows}
    for key, value in wrapped.named_parameters():
        for axis, length in enumerate(value.shape):
            whose = next((each for each, size in sizes.items() if size == length), None)
            assert listed.get((id(value), axis)) == whose, (key, axis)
    rows = copy.deepcopy(wrapped)
    rows.reset_rows(torch.tensor([3]), torch.tensor([4, 6]))
    for key, value in wrapped.named_parameters():
        new_value, change = rows.get_parameter(key), torch.zeros(value.shape, dtype=torch.bool)
        for axis in range(value.dim()):
            whose = listed.get((id(value), axis))
            ids = {"user": [3], "item": [4, 6], "both": [3, graph.size[0] + 4, graph.size[0] + 6], None: []}[whose]
            change.index_fill_(axis, torch.tensor(ids, dtype=torch.int64), True)
        assert not bool((new_value != value)[~change].any())
        constant = value.dim() == 1  # biases start at zero
        assert constant or not change.any() or bool((new_value != value)[change].any())

    # forgotten, and still a model that RecBole scores
    tokens = done.train.dataset.id2token("user_id", [3, 5])
    before = copy.deepcopy(done.model.state_dict())
    result = unlearn(
        done.model, done.train, done.valid, done.test, users=[*map(str, tokens)], method=FineTune(1, 1e-3), task=TASK
    )
    assert type(result.model) is type(done.model)
    assert all(before[key].equal(value) for key, value in done.model.state_dict().items())
    left = [user for user in users.tolist() if user not in (3, 5)]
    after = own_scores(result.model, torch.tensor(left), graph.size[1])
    assert torch.isfinite(after).all()
    assert not torch.allclose(after, expected[[user - 1 for user in left]])
    assert result.dataset.inter_num == split.retain.num_edges
    scores = evaluate(result.model, result.train_data, result.test_data)
    assert 0 <= scores["recall@10"] <= 1


@pytest.mark.parametrize("name", ["EASE", "NeuMF", "MacridVAE"])
def test_an_excluded_model_is_refused_with_its_reason(name, root):
    done = run(name, root, fit=False)
    with pytest.raises(InputError, match=rf"{name} cannot be unlearned here"):
        Wrapped(done.model, done.train)


def test_a_model_computed_from_the_data_forgets_when_it_is_built_on_filtered_data(root):
    done = run("EASE", root, fit=False)
    tokens = [str(token) for token in done.train.dataset.id2token("user_id", [3, 5])]
    data = filtered(done.train, done.valid, done.test, users=tokens)
    with compatible():
        gold = type(done.model)(done.config, data.train_data.dataset)
    assert done.model.interaction_matrix[[3, 5]].nnz > 0
    assert gold.interaction_matrix[[3, 5]].nnz == 0
    assert gold.interaction_matrix.shape == done.model.interaction_matrix.shape
    assert (gold.item_similarity != done.model.item_similarity).any()
    assert evaluate(gold, data.train_data, data.test_data)["recall@10"] > 0
    assert gold.item_similarity is not None
    without_test = filtered(done.train, done.valid, users=[*tokens, "nobody"], skip_missing=True)
    assert without_test.test_data is None
    assert without_test.train_data.dataset.inter_num == data.train_data.dataset.inter_num


def test_a_model_of_ones_own_is_run_as_the_class_it_extends(root):
    from recbole.model.general_recommender import LightGCN

    class Deeper(LightGCN):
        pass

    done = run("LightGCN", root, fit=False)
    done.model.__class__ = Deeper
    graph = to_graph(done.train.dataset)
    assert Wrapped(done.model, done.train)(graph)[0].shape == (graph.size[0], 16)


def test_dmf_on_ratings_is_refused(root):
    done = run("DMF", root, fit=False, inter_matrix_type="rating")
    with pytest.raises(InputError, match=r"DMF on ratings"):
        Wrapped(done.model, done.train)
