"""Against the compiled samplers of torch-sparse and pyg-lib, where they are installed and nothing is random."""

from __future__ import annotations

import pytest
import torch
import torch_geometric.typing
from torch_geometric.sampler import NeighborSampler as PyGSampler

from graphforget.gnn.sampler import NeighborSampler
from tests.gnn.test_sampler import bipartite, nodes, random_graph

PEERS = torch_geometric.typing.WITH_TORCH_SPARSE or torch_geometric.typing.WITH_PYG_LIB
needs_peer = pytest.mark.skipif(not PEERS, reason="neither torch-sparse nor pyg-lib is installed")


@needs_peer
@pytest.mark.filterwarnings("ignore:Using 'NeighborSampler' without")
@pytest.mark.parametrize("subgraph_type", ["directional", "induced"])
def test_equals_the_compiled_sampler_when_nothing_is_random(subgraph_type):
    data = random_graph()
    seeds = nodes([5, 59, 0, 17])
    theirs = PyGSampler(data, [-1, -1], subgraph_type=subgraph_type)
    ours = NeighborSampler(data, [-1, -1], subgraph_type=subgraph_type)
    a, b = theirs.sample_from_nodes(seeds), ours.sample_from_nodes(seeds)
    assert a.node[:4].equal(b.node[:4])
    assert sorted(a.node.tolist()) == sorted(b.node.tolist())
    edges = [
        sorted(zip(out.node[out.row].tolist(), out.node[out.col].tolist(), perm[out.edge].tolist(), strict=True))
        for out, perm in ((a, theirs.edge_permutation), (b, ours.edge_permutation))
    ]
    assert edges[0] == edges[1]
    if a.num_sampled_nodes is not None:
        assert (a.num_sampled_nodes, a.num_sampled_edges) == (b.num_sampled_nodes, b.num_sampled_edges)


@needs_peer
@pytest.mark.filterwarnings("ignore:Using 'NeighborSampler' without")
def test_equals_the_compiled_heterogeneous_sampler_when_nothing_is_random():
    data = bipartite()
    theirs, ours = PyGSampler(data, [-1, -1]), NeighborSampler(data, [-1, -1])
    a, b = (sampler.sample_from_nodes(nodes([1, 7, 19], kind="item")) for sampler in (theirs, ours))
    for kind in a.node:
        assert sorted(a.node[kind].tolist()) == sorted(b.node[kind].tolist())
    for each in data.edge_types:
        found = [
            sorted(sampler.edge_permutation[each][out.edge[each]].tolist()) for sampler, out in ((theirs, a), (ours, b))
        ]
        assert found[0] == found[1]


@needs_peer
@pytest.mark.filterwarnings("ignore:Using 'NeighborSampler' without")
@pytest.mark.parametrize("replace", [False, True])
def test_draws_as_much_as_the_compiled_sampler(replace):
    data = random_graph()
    seeds = nodes([5, 59, 0, 17])
    for sampler in (PyGSampler(data, [3], replace=replace), NeighborSampler(data, [3], replace=replace)):
        out = sampler.sample_from_nodes(seeds)
        assert [len(out.edge), out.row.dtype, out.edge.dtype] == [12, torch.int64, torch.int64]
