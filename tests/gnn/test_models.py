"""The reference networks equal PyG's layers, and their cached matrices die with the graph."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch
from torch import nn
from torch_geometric.nn import GATConv, GCNConv, GINConv, SAGEConv

from graphforget.errors import InputError, UnknownName
from graphforget.gnn import models, sparse
from tests.small import equal_states, sbm, state

PYG = {"gcn": GCNConv, "gat": GATConv, "gin": lambda a, b: GINConv(nn.Linear(a, b)), "sage": SAGEConv}


class Pyg(nn.Module):
    """The same two layers, as PyG builds and runs them."""

    def __init__(self, name: str, sizes: tuple[int, int, int] = (9, 8, 4)):
        super().__init__()
        self.conv1, self.conv2 = PYG[name](*sizes[:2]), PYG[name](*sizes[1:])

    def forward(self, x, edge_index):
        return self.conv2(self.conv1(x, edge_index).relu(), edge_index)


def edges(case: str) -> torch.Tensor:
    """12 nodes; nodes 10 and 11 have no edge."""
    found = torch.randint(10, (2, 30), generator=torch.Generator().manual_seed(2))
    found = found[:, found[0] != found[1]].unique(dim=1)
    if case == "undirected":
        return torch.cat([found, found.flip(0)], dim=1).unique(dim=1)
    if case == "self-loops":
        return torch.cat([found, torch.tensor([[0, 4, 10], [0, 4, 10]])], dim=1)
    if case == "parallel":
        return torch.cat([found, found[:, :5]], dim=1)
    return found if case == "directed" else torch.zeros(2, 0, dtype=torch.int64)


@pytest.mark.parametrize("case", ["directed", "undirected", "self-loops", "parallel", "no edge"])
@pytest.mark.parametrize("layout", ["dense", "csr"])
@pytest.mark.parametrize("name", PYG)
def test_outputs_and_gradients_equal_pyg(name, layout, case):
    torch.manual_seed(0)
    x = torch.randn(12, 9) * (torch.rand(12, 9) < 0.4)
    ours, theirs, edge_index = models.build(name, 9, 8, 4), Pyg(name), edges(case)
    theirs.load_state_dict(ours.state_dict())
    given = x.to_sparse_csr() if layout == "csr" else x.clone().requires_grad_(True)
    other = x.clone().requires_grad_(True)
    out, wanted = ours(given, edge_index), theirs(other, edge_index)
    torch.testing.assert_close(out, wanted, atol=1e-5, rtol=0)
    weight = torch.randn(12, 4)
    (out * weight).sum().backward()
    (wanted * weight).sum().backward()
    for (key, a), b in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, atol=1e-5, rtol=1e-5, msg=lambda text, key=key: f"{key}: {text}")
    if layout == "dense":
        torch.testing.assert_close(given.grad, other.grad, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", PYG)
def test_float64_models_run_in_float64(name):
    ours, theirs = models.build(name, 9, 8, 4).double(), Pyg(name).double()
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(12, 9, dtype=torch.float64)
    torch.testing.assert_close(ours(x, edges("directed")), theirs(x, edges("directed")), atol=1e-12, rtol=0)


@pytest.mark.parametrize("name", PYG)
def test_weights_move_to_pyg_and_back(name):
    ours, theirs = models.build(name, 9, 8, 4), Pyg(name)
    before = state(theirs)
    assert ours.state_dict().keys() == before.keys()
    ours.load_state_dict(before)
    assert equal_states(state(ours), before)
    Pyg(name).load_state_dict(ours.state_dict())


@pytest.mark.parametrize("name", PYG)
def test_embeddings_stand_in_for_features(name):
    model = models.build(name, None, 8, 4, num_nodes=12)
    out = model(None, edges("directed"))
    assert out.shape == (12, 4)
    out.sum().backward()
    assert model.embedding.weight.grad.abs().sum() > 0


def test_models_say_what_is_missing():
    with pytest.raises(InputError, match=r"num_nodes \(got None\)"):
        models.GCN(None, 8, 4)
    with pytest.raises(UnknownName, match="did you mean 'gcn'"):
        models.build("gcnn", 4, 8, 2)


def doubles(kind: str) -> sparse.Sparse:
    """A sparse matrix of 12 nodes in float64."""
    return sparse.Sparse(*(part.double() for part in sparse.cached(kind, edges("directed"), 12)))


@pytest.mark.parametrize("kind", ["sym", "mean", "sum"])
def test_products_have_first_and_second_derivatives(kind):
    matrix, dense = doubles(kind), torch.randn(12, 3, dtype=torch.float64, requires_grad=True)

    def function(value):  # nonlinear, so that the second derivative is not zero
        return sparse.product(matrix, value).tanh()

    assert torch.autograd.gradcheck(function, (dense,))
    assert torch.autograd.gradgradcheck(function, (dense,))


def test_pair_products_have_first_and_second_derivatives():
    u, v = torch.tensor([0, 2, 2, 4, 3]), torch.tensor([1, 0, 0, 4, 1])  # a pair twice, a node with itself
    rows = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)

    def function(value):
        return sparse.pair_dot(value, u, v).tanh()

    torch.testing.assert_close(sparse.pair_dot(rows, u, v), (rows[u] * rows[v]).sum(1))
    assert torch.autograd.gradcheck(function, (rows,))
    assert torch.autograd.gradgradcheck(function, (rows,))
    assert sparse.pair_dot(rows, u[:0], v[:0]).shape == (0,)


@pytest.mark.parametrize("kind", ["sym", "mean", "sum"])
def test_transposes_are_transposes(kind):
    matrix = doubles(kind)
    assert matrix.matrix.to_dense().T.equal(matrix.transpose.to_dense())


def test_a_matrix_is_built_once_and_goes_with_its_edges():
    edge_index = edges("undirected")
    found = sparse.cached("sym", edge_index, 12)
    assert sparse.cached("sym", edge_index, 12).matrix is found.matrix
    alive = [weakref.ref(found.matrix), weakref.ref(found.transpose)]
    del found, edge_index
    gc.collect()
    assert [ref() for ref in alive] == [None, None]


def test_no_matrix_of_a_graph_survives_in_a_model():
    graph, model = sbm(20), models.GCN(8, 4, 2)
    out = model(graph.sparse_x, graph.edge_index)
    alive = weakref.ref(sparse.cached("sym", graph.edge_index, 20).matrix)
    features = weakref.ref(sparse.features(graph.sparse_x).transpose)
    assert alive() is not None
    assert features() is not None
    del graph, out
    gc.collect()
    assert alive() is None
    assert features() is None


def test_a_matrix_follows_its_edges_when_they_change_in_place():
    edge_index, model, x = edges("directed"), models.GCN(9, 8, 4), torch.randn(12, 9)
    before = model(x, edge_index)
    edge_index[:, :4] = edge_index[:, 4:8].clone()
    assert not model(x, edge_index).equal(before)
    assert model(x, edge_index).equal(model(x, edge_index.clone()))


def test_a_matrix_knows_the_number_of_nodes():
    edge_index = edges("directed")
    assert sparse.cached("sum", edge_index, 12).matrix.shape == (12, 12)
    assert sparse.cached("sum", edge_index, 13).matrix.shape == (13, 13)
