"""RecBole's data sets as graphs, and its models wrapped: messages pass on the graph that is given, nothing is stale."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref

import numpy as np
import pytest
import torch

pytest.importorskip("recbole", reason="needs RecBole: pip install --no-deps recbole==1.2.1")

from graphforget.errors import InputError
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.fresh import fresh
from recsys.recbole import Wrapped, compatible, evaluate, splits_of, to_graph, unlearn
from recsys.recbole.convert import with_graph
from recsys.task import Recommendation
from tests.recsys.recbole_small import QUICK, own_scores, run, settings, write_small
from tests.small import same_random_state


def test_graphs_have_recboles_ids_and_padding_is_removed(whole):
    dataset = whole.train.dataset
    graph = to_graph(dataset).validate()
    assert graph.size == (dataset.user_num, dataset.item_num)
    assert graph.bipartite
    assert not graph.undirected
    assert graph.removed.nonzero().flatten().tolist() == [0, dataset.user_num]
    assert graph.edge_index.min() >= 1
    assert graph.num_edges == dataset.inter_num
    assert set(graph.edge_attrs) == {"rating", "time"}
    assert to_graph(dataset) is graph
    back = with_graph(dataset, graph).inter_feat
    assert all(back[field].equal(dataset.inter_feat[field]) for field in dataset.inter_feat)
    parts = splits_of(whole.train, whole.valid, whole.test)
    assert parts.train is graph
    assert parts.val.size == parts.test.size == graph.size
    assert sum(part.num_edges for part in parts) == sum(
        part.dataset.inter_num for part in (whole.train, whole.valid, whole.test)
    )


def test_a_data_set_that_is_not_built_or_none_at_all_is_refused(root):
    with compatible():
        from recbole.config import Config
        from recbole.data import create_dataset

        raw = create_dataset(Config(model="BPR", dataset="small", config_dict=settings("BPR", root)))
    with pytest.raises(InputError, match="not built yet"):
        to_graph(raw)
    with pytest.raises(InputError, match=r"data loader or a dataset of RecBole \(got list\)"):
        splits_of([], [], [])


def test_a_graph_of_other_numbers_is_refused(whole):
    graph = to_graph(whole.train.dataset)
    wrapped = Wrapped(whole.model, whole.train)
    smaller = graph.with_edges(graph.edge_index[1] < 9, size=(graph.size[0], 9), removed=None)
    with pytest.raises(InputError, match="users and items"):
        wrapped(smaller)
    with pytest.raises(InputError, match="no interaction"):
        wrapped(graph.with_edges(torch.zeros(graph.num_edges, dtype=torch.bool)))


def test_the_given_model_is_left_alone_and_the_wrapper_holds_no_data(whole):
    state, adjacency = copy.deepcopy(whole.model.state_dict()), whole.model.norm_adj_matrix
    wrapped = Wrapped(whole.model, whole.train)
    assert whole.model.norm_adj_matrix is adjacency
    graph = to_graph(whole.train.dataset)
    users, items = wrapped(graph)
    wrapped.loss(graph, Recommendation().triples(graph, graph, graph.edge_index[:, :9], 1)).backward()
    torch.optim.SGD(wrapped.parameters(), 1.0).step()
    for name in ("norm_adj_matrix", "interaction_matrix", "restore_user_e", "restore_item_e"):
        assert getattr(wrapped.inner, name) is None
    assert all(state[key].equal(value) for key, value in whole.model.state_dict().items())
    assert whole.model.norm_adj_matrix is adjacency
    assert not users.equal(wrapped(graph)[0])
    assert items.shape == (graph.size[1], 16)


def test_messages_pass_on_the_graph_that_is_given(whole):
    """Against LightGCN in plain numpy: no forgotten edge, in either direction."""
    graph = to_graph(whole.train.dataset)
    split = ForgetSplit.of(graph, ForgetRequest.of("node", [3, graph.size[0] + 7]), to_graph(whole.valid.dataset))
    wrapped = Wrapped(whole.model, whole.train).eval()
    weights = whole.model.state_dict()
    table = torch.cat([weights["user_embedding.weight"], weights["item_embedding.weight"]]).double().numpy()
    for part in (graph, split.retain, graph):
        users, items = part.edge_index.numpy()
        adjacency = np.zeros((sum(graph.size), sum(graph.size)))
        adjacency[users, graph.size[0] + items] = adjacency[graph.size[0] + items, users] = 1
        scale = 1 / np.sqrt(np.maximum(adjacency.sum(1), 1e-7))
        adjacency = scale[:, None] * adjacency * scale
        expected = (table + adjacency @ table + adjacency @ adjacency @ table) / 3
        with torch.no_grad():
            found = torch.cat(wrapped(part)).double().numpy()
        np.testing.assert_allclose(found, expected, atol=1e-5)
        with wrapped.bound(part) as inner:
            assert inner.norm_adj_matrix._nnz() == 2 * part.num_edges


def test_what_a_graph_gave_goes_with_it(whole):
    graph = to_graph(whole.train.dataset)
    wrapped = Wrapped(whole.model, whole.train)
    other = graph.with_edges(torch.arange(graph.num_edges) > 9)
    wrapped(other)
    adjacency = weakref.ref(wrapped.source.table[other]["norm_adj_matrix"])
    twin = copy.deepcopy(wrapped)
    assert twin.source is wrapped.source
    assert len(wrapped.source.table) == 2
    del other
    gc.collect()
    assert adjacency() is None
    assert len(wrapped.source.table) == 1


def test_an_epoch_state_is_never_that_of_another_graph(root):
    done = run("SGL", root, fit=False)
    graph = to_graph(done.train.dataset)
    other = graph.with_edges(graph.edge_index[0] != 3)
    wrapped = Wrapped(done.model, done.train)
    wrapped.begin_epoch(graph, torch.Generator().manual_seed(0))
    views = wrapped._cached_epoch[1]
    index = Recommendation().triples(other, other, other.edge_index[:, :50], 1)
    wrapped.loss(other, index)
    drawn = wrapped._cached_epoch
    assert drawn[0]() is other
    assert drawn[1]["sub_graph1"] is not views["sub_graph1"]
    assert not bool((drawn[1]["sub_graph1"].coalesce().indices() == 3).any())
    with same_random_state():
        wrapped.begin_epoch(other, torch.Generator().manual_seed(0))


def test_a_never_trained_model_comes_from_its_seed(whole):
    wrapped = Wrapped(whole.model, whole.train)
    with same_random_state():
        first, again, second = fresh(wrapped, 1), fresh(wrapped, 1), fresh(wrapped, 2)
    key = "inner.user_embedding.weight"
    assert first.state_dict()[key].equal(again.state_dict()[key])
    assert not first.state_dict()[key].equal(second.state_dict()[key])
    bound = np.sqrt(6 / (to_graph(whole.train.dataset).size[0] + 16))
    assert 0.9 * bound < float(first.state_dict()[key].max()) <= bound  # RecBole's Xavier of the full table


def test_a_wrapped_model_can_be_pickled(whole):
    wrapped = Wrapped(whole.model, whole.train).eval()
    again = pickle.loads(pickle.dumps(wrapped))
    graph = to_graph(whole.train.dataset)
    with torch.no_grad():
        assert again(graph)[0].equal(wrapped(graph)[0])


def test_the_data_of_another_run_is_refused(whole, root, tmp_path):
    other = run("LightGCN", write_small(tmp_path, users=30), fit=False)
    with pytest.raises(InputError, match="was built on another dataset"):
        Wrapped(whole.model, other.train)
    with pytest.raises(InputError, match="was built on another dataset"):
        unlearn(whole.model, other.train, other.valid, users=["1"], method=QUICK)


def test_recbole_alone_scores_by_the_old_weights_and_we_do_not(whole):
    model = copy.deepcopy(whole.model)
    before = evaluate(model, whole.train, whole.test)
    users = torch.arange(1, 20)
    own_scores(model, users, model.n_items)
    assert model.restore_user_e is not None
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0)))
    from recbole.data.interaction import Interaction

    stale = model.full_sort_predict(Interaction({"user_id": users}))
    assert stale.equal(own_scores(whole.model, users, model.n_items).view(-1))  # RecBole's cache: the trained scores
    after = evaluate(model, whole.train, whole.test)
    assert after != before
    assert model.restore_user_e is None
    assert model.restore_item_e is None
