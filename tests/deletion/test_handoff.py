"""Exports that run and agree, hold nothing of the data, and cold-start rows."""

from __future__ import annotations

import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch_geometric.nn import GCNConv

from graphforget.deletion.handoff import ExportFailed, to_onnx, to_program, to_tables
from graphforget.deletion.rows import cold_start, fresh_rows
from graphforget.errors import InputError
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.gnn.models import GAT, GCN, GraphSAGE
from graphforget.gnn.task import LinkPrediction
from graphforget.graph import Graph
from graphforget.methods.finetune import FineTune
from graphforget.train import Recipe
from recsys.models.bpr import BPR
from recsys.models.lightgcn import LightGCN
from recsys.task import Recommendation
from tests.small import equal_states, sbm, state

MODELS = {"gcn": GCN, "sage": GraphSAGE, "gat": GAT}


@pytest.fixture(scope="module", params=MODELS)
def unlearned(request):
    """A model that has really been trained and unlearned, with the graph that it may see."""
    graph = sbm(40)
    task = LinkPrediction(recipe=Recipe(epochs=5))
    model = task.fit(MODELS[request.param](graph.x.shape[1], 8, 4), graph, graph, seed=0)
    split = ForgetSplit.of(graph, ForgetRequest.of("edge", graph.pairs()[:, :3]), graph)
    return FineTune(epochs=2).unlearn(model, task, split)


def test_the_unlearned_model_runs_through_torch_export_and_agrees(unlearned, tmp_path):
    graph = unlearned.context
    done = to_program(unlearned.model, graph.x, graph.edge_index, tmp_path / "model.pt2")
    assert done.difference < 1e-5
    larger = sbm(55, seed=4)  # another number of nodes and edges than it was checked with
    again = torch.export.load(done.path).module()(larger.x, larger.edge_index)
    torch.testing.assert_close(again, unlearned.model.eval()(larger.x, larger.edge_index), rtol=1e-4, atol=1e-5)


def test_the_unlearned_model_runs_as_onnx_and_agrees(unlearned, tmp_path):
    runtime = pytest.importorskip("onnxruntime", reason="needs the extra export")
    graph = unlearned.context
    done = to_onnx(unlearned.model, graph.x, graph.edge_index, tmp_path / "model.onnx")
    assert done.difference < 1e-5
    larger = sbm(55, seed=4)
    session = runtime.InferenceSession(done.path, providers=["CPUExecutionProvider"])
    (again,) = session.run(None, {"x": larger.x.numpy(), "edge_index": larger.edge_index.numpy()})
    wanted = unlearned.model.eval()(larger.x, larger.edge_index).detach().numpy()
    np.testing.assert_allclose(again, wanted, rtol=1e-4, atol=1e-5)


def test_a_program_holds_nothing_of_the_data(tmp_path):
    graph = sbm(40)
    marked = torch.full_like(graph.x, 1234.5678)
    done = to_program(GCN(graph.x.shape[1], 8, 4), marked, graph.edge_index, tmp_path / "model.pt2")
    mark = np.float32(1234.5678).tobytes()
    with zipfile.ZipFile(done.path) as archive:
        assert not [name for name in archive.namelist() if mark * 2 in archive.read(name)]


def test_a_model_with_node_embeddings_needs_no_features(tmp_path):
    graph = sbm(40)
    model = GCN(None, 8, 4, num_nodes=40)
    assert to_program(model, None, graph.edge_index, tmp_path / "model.pt2").difference < 1e-5


def test_pygs_own_layers_export_too(tmp_path):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = GCNConv(8, 4)

        def forward(self, x, edge_index):
            return self.conv(x, edge_index)

    graph = sbm(40)
    assert to_program(Net(), graph.x, graph.edge_index, tmp_path / "net.pt2").difference < 1e-5


def test_a_forward_that_cannot_be_traced_leaves_no_file(tmp_path):
    class Odd(nn.Module):
        def forward(self, x, edge_index):
            return x * 2 if float(x.sum()) > 0 else x

    with pytest.raises(ExportFailed, match="cannot trace Odd"):
        to_program(Odd(), torch.ones(4, 2), torch.tensor([[0, 1], [1, 2]]), tmp_path / "odd.pt2")
    assert list(tmp_path.iterdir()) == []


def test_the_ending_is_checked(tmp_path):
    with pytest.raises(InputError, match=r"must end in .pt2 \(got 'model.bin'\)"):
        to_program(GCN(2, 2, 2), torch.ones(4, 2), torch.tensor([[0, 1], [1, 2]]), tmp_path / "model.bin")


@pytest.fixture
def shop():
    """Four users, three items; user 2 and item 1 are deleted."""
    graph = Graph(torch.tensor([[0, 0, 1, 2, 3], [0, 1, 2, 0, 1]]), (4, 3), bipartite=True)
    split = ForgetSplit.of(graph, ForgetRequest({"user": torch.tensor([2]), "item": torch.tensor([1])}), graph)
    torch.manual_seed(0)
    return BPR(4, 3, dim=5), split.retain


def test_deleted_rows_become_cold_start_rows(shop):
    model, retain = shop
    found = cold_start(model, retain)
    users, served = found["user"]
    own = model.user_embedding.detach().numpy()
    assert served.tolist() == [True, True, False, True]
    np.testing.assert_array_equal(users[served], own[served])
    np.testing.assert_allclose(users[2], own[[0, 1, 3]].mean(0), rtol=1e-6)
    assert found["item"][1].tolist() == [True, False, True]


def test_the_weights_of_deleted_rows_are_drawn_anew_and_no_other_row_moves(shop):
    _, retain = shop
    task = Recommendation()
    split = ForgetSplit(
        replace(retain, removed=None), retain, retain, retain
    )  # what the request of the fixture resolves to, as far as rows go
    torch.manual_seed(1)
    model = LightGCN(4, 3, dim=6)
    new = fresh_rows(model, task, split, seed=3)
    assert (new.user_embedding == model.user_embedding).all(1).tolist() == [True, True, False, True]
    assert (new.item_embedding == model.item_embedding).all(1).tolist() == [True, False, True]
    again = fresh_rows(model, task, split, seed=3)
    assert new.user_embedding.equal(again.user_embedding)


def test_a_deleted_nodes_embedding_is_drawn_anew(tmp_path):
    graph = sbm(30)
    split = ForgetSplit.of(graph, ForgetRequest.of("node", [4]), graph)
    model = GCN(None, 8, 4, num_nodes=30)
    new = fresh_rows(model, LinkPrediction(), split)
    assert (new.embedding.weight == model.embedding.weight).all(1).nonzero().flatten().tolist() == [
        each for each in range(30) if each != 4
    ]
    plain = GCN(graph.x.shape[1], 8, 4)
    assert equal_states(state(fresh_rows(plain, LinkPrediction(), split)), state(plain))
    edge = ForgetSplit.of(graph, ForgetRequest.of("edge", graph.pairs()[:, :2]), graph)
    assert fresh_rows(model, LinkPrediction(), edge) is model


def test_tables_as_npy_and_parquet_agree_and_name_no_deleted_id(shop, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra parquet")
    model, retain = shop
    ids = {"user": ["ann", "bob", "cyd", "dan"], "item": ["x", "y", "z"]}
    written = to_tables(model, retain, tmp_path / "out", ids=ids)
    assert sorted(path.name for path in written) == sorted(path.name for path in (tmp_path / "out").iterdir())
    table = parquet.read_table(tmp_path / "out" / "users.parquet")
    assert table["id"].to_pylist() == ["ann", "bob", None, "dan"]
    np.testing.assert_array_equal(np.stack(table["embedding"].to_pylist()).astype("f4"), np.load(written[0]))
    assert np.load(written[0]).shape == (4, 5)
    assert np.load(tmp_path / "out" / "served.npz")["item"].tolist() == [True, False, True]
    assert not [path.name for path in written if b"cyd" in path.read_bytes()]


def test_tables_refuse_what_does_not_fit(shop, tmp_path):
    pytest.importorskip("pyarrow", reason="needs the extra parquet")
    model, retain = shop
    with pytest.raises(InputError, match="must name 4 rows"):
        to_tables(model, retain, tmp_path, ids={"user": ["ann"]})
    with pytest.raises(InputError, match="use to_onnx"):
        cold_start(model, sbm(10))
    with pytest.raises(InputError, match="must return"):
        cold_start(model, replace(retain, size=(4, 4), removed=None))
