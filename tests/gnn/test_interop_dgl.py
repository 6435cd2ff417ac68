"""DGL: graphs in and out, and its modules as models like any other."""

from __future__ import annotations

import builtins
import copy
import gc

import pytest
import torch
from torch import nn

from graphforget.errors import InputError, MissingExtra
from graphforget.fresh import fresh
from graphforget.gnn import dgl_interop
from graphforget.gnn.interop import (
    DGLModule,
    from_dgl,
    like,
    request_from_masks,
    to_dgl,
    to_graph,
)
from tests.gnn.doors import bipartite, forget, same
from tests.small import equal_states, sbm, state

# --- DGL


@pytest.fixture(scope="module")
def dgl():
    return pytest.importorskip("dgl")


def test_dgl_frames(dgl):
    made = dgl.graph((torch.tensor([0, 1, 1, 2]), torch.tensor([1, 0, 2, 1])), num_nodes=4, idtype=torch.int32)
    made.ndata["feat"], made.ndata["label"] = torch.ones(4, 2), torch.tensor([0, 1, 1, 0])
    made.ndata["train_mask"], made.ndata["extra"] = torch.tensor([1, 1, 0, 0]).bool(), torch.ones(4)
    made.edata["weight"] = torch.arange(4.0)
    graph = to_graph(made)
    assert graph.undirected
    assert graph.edge_index.dtype == torch.int64
    assert (graph.y.tolist(), graph.node_mask.tolist()) == ([0, 1, 1, 0], [True, True, False, False])
    result = like(made, forget(graph, node=[2]))
    assert result.idtype == torch.int32
    assert result.num_nodes() == 4
    assert [part.tolist() for part in result.edges(order="eid")] == [[0, 1], [1, 0]]
    assert result.edata["weight"].tolist() == [0, 1]
    assert result.ndata["feat"].sum(1).tolist() == [2, 2, 0, 2]
    assert result.ndata["label"].tolist() == [0, 1, -1, 0]
    assert result.ndata["train_mask"].tolist() == [True, True, False, False]
    assert result.ndata["extra"].tolist() == [1, 1, 0, 1]
    assert made.ndata["extra"].tolist() == [1, 1, 1, 1]
    made.edata["edge_forget_mask"] = torch.tensor([1, 0, 0, 0]).bool()
    assert request_from_masks(made).parts["edge"].tolist() == [[0], [1]]
    assert set(to_graph(made).edge_attrs) == {"weight"}


def test_dgl_user_item(dgl):
    made = to_dgl(bipartite())
    graph = from_dgl(made)
    assert same(graph, bipartite())
    result = like(made, forget(graph, edge=[[0], [2]]))
    assert result.canonical_etypes == [("user", "interacts", "item")]
    assert [part.tolist() for part in result.edges()] == [[0, 1], [0, 1]]
    two = dgl.heterograph({("a", "x", "b"): ([0], [0]), ("a", "y", "b"): ([0], [0])})
    with pytest.raises(InputError, match="one relation"):
        from_dgl(two)


def test_a_missing_dgl_names_the_extra(monkeypatch):
    real = builtins.__import__

    def without(name, *rest, **more):
        if name.split(".")[0] == "dgl":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtra, match=r"graphforget\[dgl\]"):
        to_dgl(sbm())
    with pytest.raises(MissingExtra, match=r"graphforget\[dgl\]"):
        DGLModule(nn.Linear(2, 2))


def gcn(dgl) -> nn.Module:
    from dgl.nn import GraphConv

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = GraphConv(8, 6), GraphConv(6, 3)
            self.scale = nn.Parameter(torch.ones(1))
            self.register_buffer("shift", torch.zeros(1))
            self.drop = nn.Dropout(0.5)

        def reset_parameters(self):
            nn.init.ones_(self.scale)
            nn.init.zeros_(self.shift)

        def forward(self, graph, x):
            return self.two(graph, self.drop(torch.relu(self.one(graph, x)))) * self.scale + self.shift

    return Net()


def test_a_dgl_module_runs_like_any_other(dgl):
    graph, net = sbm(), gcn(dgl)
    model = DGLModule(net, self_loop=True)
    assert list(model.state_dict()) == list(net.state_dict())
    assert [name for name, _ in model.named_parameters()] == [name for name, _ in net.named_parameters()]
    assert equal_states(state(model), state(net))
    model.eval()
    assert not net.training
    assert not net.drop.training
    out = model(graph.x, graph.edge_index)
    looped = dgl.add_self_loop(to_dgl(graph))
    assert out.equal(net(looped, graph.x))
    out.sum().backward()
    assert net.scale.grad is not None
    model.train()
    assert net.training
    assert net.drop.training
    model.double()
    assert net.scale.dtype == torch.float64
    assert net.shift.dtype == torch.float64


def test_a_dgl_module_can_be_copied_saved_and_made_fresh(dgl, tmp_path):
    model = DGLModule(gcn(dgl), self_loop=True).eval()
    graph = sbm()
    before = model(graph.x, graph.edge_index)
    twin = copy.deepcopy(model)
    assert twin.wrapped is not model.wrapped
    with torch.no_grad():
        twin.wrapped.scale.fill_(7)
    assert float(twin.state_dict()["scale"]) == 7
    assert model(graph.x, graph.edge_index).equal(before)
    assert not twin(graph.x, graph.edge_index).equal(before)
    new = fresh(model, 3)
    assert not any(a.data_ptr() == b.data_ptr() for a, b in zip(new.parameters(), model.parameters(), strict=True))
    assert not new.state_dict()["one.weight"].equal(model.state_dict()["one.weight"])
    torch.save(model.state_dict(), tmp_path / "a.pt")
    other = gcn(dgl)
    other.load_state_dict(torch.load(tmp_path / "a.pt", weights_only=True))  # the user's module takes it as its own
    twin.load_state_dict(other.state_dict())
    assert twin(graph.x, graph.edge_index).equal(before)


def test_no_dgl_graph_outlives_its_edges(dgl):
    model, graph = DGLModule(gcn(dgl), self_loop=True).eval(), sbm()
    table = dgl_interop._DGL_GRAPHS
    gc.collect()
    start = len(table)
    edges = graph.edge_index.clone()
    first = model.graph(edges, graph.num_nodes)
    assert model.graph(edges, graph.num_nodes) is first
    assert len(table) == start + 1
    edges[:, 0] = torch.tensor([0, 0])  # changed in place: the old graph is stale
    assert model.graph(edges, graph.num_nodes) is not first
    retained = graph.unlinked(graph.pairs()[:, :1])
    out = model(graph.x, retained.edge_index)
    assert not out.equal(model(graph.x, graph.edge_index))
    fresh_adapter = DGLModule(model.wrapped, self_loop=True).eval()
    assert out.equal(fresh_adapter(graph.x, retained.edge_index.clone()))
    del edges, first, retained
    gc.collect()
    assert len(table) <= start + 1  # only graph.edge_index is left


def test_a_dgl_module_can_be_unlearned(dgl):
    from graphforget.gnn.task import LinkPrediction, encode

    graph = sbm()
    model = DGLModule(gcn(dgl), self_loop=True)
    assert encode(model.eval(), graph).shape == (graph.num_nodes, 3)
    task = LinkPrediction()
    batch = next(iter(task.batches(graph, graph, torch.Generator().manual_seed(0))))
    assert task.outputs(model, graph, batch).dim() == 2
