"""The columns of a DGL graph, shared both ways."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from graphforget import kernels
from graphforget.errors import InputError
from graphforget.gnn.interop import csc_of_dgl, dgl_of_csc

dgl = pytest.importorskip("dgl", reason="needs DGL")


def test_columns_are_the_graphs_own_memory():
    rows, cols = np.random.default_rng(0).integers(0, 50, (2, 300))
    graph = dgl.graph((torch.from_numpy(rows), torch.from_numpy(cols)), num_nodes=50)
    indptr, indices, ids = csc_of_dgl(graph)
    assert np.shares_memory(indices, graph.adj_tensors("csc")[1].numpy())
    targets = np.repeat(np.arange(50), np.diff(indptr))
    assert np.array_equal(rows[ids], indices)
    assert np.array_equal(cols[ids], targets)
    nodes, sources, places, slots = kernels.sample_neighbors(indptr, indices, [3, 4], [5, 5], seed=0)
    assert np.array_equal(rows[ids[slots]], nodes[sources])
    assert np.array_equal(cols[ids[slots]], nodes[places])


def test_a_graph_is_made_on_our_arrays_and_back():
    indptr, indices, _ = kernels.from_coo([0, 1, 1, 2], [1, 0, 2, 1], 3, 3)
    graph = dgl_of_csc(indptr, indices)
    assert graph.num_edges() == 4
    again = csc_of_dgl(graph)
    assert np.shares_memory(again[0], indptr)
    assert np.shares_memory(again[1], indices)
    assert graph.in_degrees().tolist() == [1, 2, 1]
    items = dgl_of_csc(np.array([0, 1]), np.array([4]), num_src=5)
    assert (items.num_nodes("src"), items.num_nodes("dst")) == (5, 1)
    assert csc_of_dgl(items)[1].tolist() == [4]


def test_what_would_need_a_copy_is_refused():
    with pytest.raises(InputError, match="int64 on the CPU"):
        csc_of_dgl(dgl.graph((torch.tensor([0]), torch.tensor([1]))).int())
    two = dgl.heterograph({("a", "x", "b"): ([0], [0]), ("b", "y", "a"): ([0], [0])})
    with pytest.raises(InputError, match="one relation"):
        csc_of_dgl(two)
    with pytest.raises(InputError, match=r"\[0, 1\)"):
        dgl_of_csc(np.array([0, 1]), np.array([7]))
