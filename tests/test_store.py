"""The store: reads, cuts and samples equal those of the graph; a folder gives the same; bad folders are refused."""

import json

import numpy as np
import pytest
import torch
from torch_geometric.data import Data

from graphforget.errors import InputError
from graphforget.forget import ForgetRequest
from graphforget.gnn.interop import to_graph
from graphforget.gnn.loaders import NeighborLoader
from graphforget.gnn.stores import stores
from graphforget.graph import Graph
from graphforget.mapped import compact, open_store, write, write_edge_list, write_edges, write_parquet
from graphforget.store import Store, mapping
from tests.small import both_ways, sbm


@pytest.fixture(params=["memory", "files"])
def store(request, tmp_path):
    return Store.of(sbm()) if request.param == "memory" else open_store(write(sbm(), tmp_path / "graph"))


def test_what_is_read_is_the_graph(store):
    graph = sbm()
    assert both_ways(store.graph().edge_index) == both_ways(graph.edge_index)
    assert torch.equal(store.graph().x, graph.x)
    nodes = np.array([5, 0, 71])
    assert store.degree(nodes).tolist() == graph.degree[nodes].tolist()
    owner, found = store.neighbors(nodes, -1, 0)
    assert {(int(nodes[o]), int(v)) for o, v in zip(owner, found, strict=True)} == {
        edge for edge in both_ways(graph.edge_index) if edge[0] in nodes
    }
    assert torch.equal(store.rows("x", nodes), graph.x[nodes])


def test_a_cut_is_seen_by_every_reader_and_copies_nothing(store):
    graph = sbm()
    pairs = graph.pairs()[:, ::3]
    cut = store.without(pairs)
    assert cut.indices is store.indices
    assert cut.indptr is store.indptr
    want = graph.unlinked(pairs)
    assert both_ways(cut.graph().edge_index) == both_ways(want.edge_index)
    assert cut.num_edges == want.num_edges
    assert store.num_edges == graph.num_edges
    every = np.arange(graph.num_nodes)
    assert cut.degree(every).tolist() == want.degree.tolist()
    owner, found = cut.neighbors(every, -1, 0)
    assert set(zip(owner.tolist(), found.tolist(), strict=True)) == both_ways(want.edge_index)
    assert not cut.has(*pairs.numpy()).any()
    assert not cut.has(*pairs.flip(0).numpy()).any()
    drawn = set(map(tuple, cut.sample(5000, 1).T.tolist()))
    assert drawn == set(map(tuple, want.pairs().T.tolist()))
    again = cut.without(want.pairs()[:, :2])
    assert again.num_edges == want.num_edges - 4
    with pytest.raises(InputError, match="1 of the edges do not exist"):
        cut.without(pairs[:, :1])


def test_samples_are_within_the_fan_out_and_uniform(store):
    nodes = np.arange(store.num_nodes)
    owner, found = store.neighbors(nodes, 3, 7)
    assert np.bincount(owner, minlength=72).tolist() == np.minimum(store.degree(nodes), 3).tolist()
    assert store.has(nodes[owner], found).all()
    hits = np.zeros(72)
    for seed in range(600):
        hits[store.neighbors(np.array([0]), 2, seed)[1]] += 1
    degree = int(store.degree(np.array([0]))[0])
    seen = hits[hits > 0]
    assert len(seen) == degree
    assert ((seen - 1200 / degree) ** 2 / (1200 / degree)).sum() < 2.5 * degree


def test_interactions():
    graph = Graph(torch.tensor([[0, 0, 1, 2], [0, 1, 1, 0]]), (3, 2), bipartite=True)
    store = Store.of(graph).without(torch.tensor([[0], [1]]))
    assert both_ways(store.graph().edge_index) == {(0, 0), (1, 1), (2, 0), (1, 1)} | {(0, 2)}
    assert store.degree(np.array([0, 3, 4])).tolist() == [1, 2, 1]


def test_edges_in_pieces(tmp_path):
    draw = np.random.default_rng(0)
    pieces = [draw.integers(0, 50, (2, 200)) for _ in range(4)]
    rows = [np.ones((30, 2)), np.zeros((20, 2))]
    path = write_edges(lambda: iter(pieces), (50, 50), tmp_path / "g", features={"x": (2, lambda: iter(rows))})
    store, want = open_store(path), Graph.from_edges(torch.from_numpy(np.concatenate(pieces, axis=1)), 50)
    assert both_ways(store.graph().edge_index) == both_ways(want.edge_index)
    assert store.num_edges == want.num_edges
    assert store.rows("x", np.array([29, 30])).tolist() == [[1, 1], [0, 0]]
    assert mapping(store.indices) is not None
    assert not (path / "raw.npy").exists()


def test_edge_list_and_parquet(tmp_path):
    (tmp_path / "edges.txt").write_text("# a comment\n0 1\n2,1,0.5\n\n1 0\n")
    path = write_edge_list(tmp_path / "edges.txt", (3, 3), tmp_path / "a")
    assert both_ways(open_store(path).graph().edge_index) == {(0, 1), (1, 0), (1, 2), (2, 1)}
    pandas, _ = pytest.importorskip("pandas"), pytest.importorskip("pyarrow")
    pandas.DataFrame({"user": [0, 1], "item": [1, 0]}).to_parquet(tmp_path / "edges.parquet")
    file = tmp_path / "edges.parquet"
    path = write_parquet(file, (2, 2), tmp_path / "b", columns=("user", "item"), bipartite=True)
    assert open_store(path).graph().edge_index.tolist() == [[0, 1], [1, 0]]
    with pytest.raises(InputError, match="no column 'uid'"):
        write_parquet(file, (2, 2), tmp_path / "c", columns=("uid", "item"))
    pandas.DataFrame({"user": [0, None], "item": [1, 0]}).to_parquet(tmp_path / "holes.parquet")
    with pytest.raises(InputError, match="column 'user' holds empty cells"):
        write_parquet(tmp_path / "holes.parquet", (2, 2), tmp_path / "c", columns=("user", "item"))
    with pytest.raises(InputError, match=r"edges.txt cannot be read as Parquet"):
        write_parquet(tmp_path / "edges.txt", (2, 2), tmp_path / "c", columns=("user", "item"))
    with pytest.raises(InputError, match="is no file"):
        write_edge_list(tmp_path / "none.txt", (3, 3), tmp_path / "d")
    (tmp_path / "bad.txt").write_text("0 1\nzero one\n")
    with pytest.raises(InputError, match="two integers"):
        write_edge_list(tmp_path / "bad.txt", (3, 3), tmp_path / "d")


def test_converters_take_features(tmp_path):
    (tmp_path / "edges.txt").write_text("0 1\n2 1\n")
    x = np.arange(6, dtype=np.float32).reshape(3, 2)
    np.save(tmp_path / "x.npy", x)
    for number, given in enumerate((x, tmp_path / "x.npy")):
        folder = write_edge_list(tmp_path / "edges.txt", (3, 3), tmp_path / str(number), features={"x": given})
        assert np.array_equal(open_store(folder).features["x"], x)
    with pytest.raises(InputError, match=r"must be numbers \[N, F\] \(got float32 \[6\]\)"):
        write_edge_list(tmp_path / "edges.txt", (3, 3), tmp_path / "c", features={"x": x.ravel()})
    with pytest.raises(InputError, match="needs 3 rows of 2"):
        write_edge_list(tmp_path / "edges.txt", (3, 3), tmp_path / "c", features={"x": x[:2]})
    with pytest.raises(InputError, match=r"other.npy is missing"):
        write_edge_list(tmp_path / "edges.txt", (3, 3), tmp_path / "c", features={"x": tmp_path / "other.npy"})


def test_a_pyg_graph_becomes_a_folder_and_one_without_edges_too(tmp_path):
    data = Data(x=torch.eye(3), edge_index=torch.tensor([[0, 1], [1, 0]]))
    found = open_store(write(to_graph(data), tmp_path / "pyg"))
    assert torch.equal(found.graph().edge_index, data.edge_index)
    assert torch.equal(found.rows("x", np.arange(3)), data.x)
    bare = open_store(write_edges(lambda: [np.empty((2, 0), dtype=np.int64)], (3, 3), tmp_path / "bare"))
    assert (bare.num_edges, bare.degree(np.arange(3)).tolist()) == (0, [0, 0, 0])
    assert not len(bare.sample(5, 0)[0])
    weighted = Data(edge_index=data.edge_index, edge_weight=torch.tensor([2.0, 2.0]), num_nodes=2)
    with pytest.raises(InputError, match=r"got \['weight'\]\); leave them out"):
        write(to_graph(weighted), tmp_path / "weighted")


def test_nothing_half_written_is_left(tmp_path):
    def pieces():
        yield np.array([[0], [1]])
        yield np.array([[0], [9]])

    with pytest.raises(InputError, match=r"lie in \[0, 3\) \(got 9\)"):
        write_edges(pieces, (3, 3), tmp_path / "g")
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match="exists already"):
        write(sbm(), tmp_path)
    with pytest.raises(InputError, match="needs 3 rows of 2"):
        write_edges(
            lambda: [np.array([[0], [1]])], (3, 3), tmp_path / "g", features={"x": (2, lambda: [np.ones((2, 2))])}
        )


def cut_short(root):
    with (root / "indices.npy").open("r+b") as file:
        file.truncate(400)


def other_shape(root):
    np.save(root / "indptr.npy", np.arange(9))


def unsorted(root):
    indices = np.load(root / "indices.npy")
    indices[:2] = indices[1::-1]
    np.save(root / "indices.npy", indices)


def duplicated(root):
    indptr, indices = np.load(root / "indptr.npy"), np.load(root / "indices.npy")
    row = int(np.flatnonzero(np.diff(indptr) > 1)[5])
    indices[indptr[row] + 1] = indices[indptr[row]]
    np.save(root / "indices.npy", indices)


def decreasing(root):
    indptr = np.load(root / "indptr.npy")
    indptr[5] = indptr[7] + 1
    np.save(root / "indptr.npy", indptr)


def out_of_range(root):
    indices = np.load(root / "indices.npy")
    indices[3] = 1000
    np.save(root / "indices.npy", indices)


def another_format(root):
    (root / "header.json").write_text(json.dumps({"format": "something"}))


def no_json(root):
    (root / "header.json").write_text("{")


def no_header(root):
    (root / "header.json").unlink()


def way_out(root):
    header = json.loads((root / "header.json").read_text())
    (root / "header.json").write_text(json.dumps({**header, "features": ["../x"]}))


def short_features(root):
    np.save(root / "feature-x.npy", np.ones((3, 2), dtype=np.float32))


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (cut_short, "cut short"),
        (other_shape, "must be int64"),
        (unsorted, "rows must be sorted"),
        (duplicated, "more than once"),
        (decreasing, "must not decrease|must end with"),
        (out_of_range, "must lie in"),
        (another_format, "must have format"),
        (no_json, "is not JSON"),
        (no_header, "header.json is missing"),
        (way_out, "names a file"),
        (short_features, r"must have shape \[72, F\]"),
    ],
)
def test_bad_folders(tmp_path, harm, message):
    root = write(sbm(), tmp_path / "graph")
    harm(root)
    with pytest.raises(InputError, match=message):
        open_store(root)


def test_what_a_store_does_not_hold():
    with pytest.raises(InputError, match="directed"):
        Store.of(Graph(torch.tensor([[0], [1]]), (2, 2)))
    with pytest.raises(InputError, match=r"got \(0, 3\) more than once"):
        Store.of(Graph(torch.tensor([[0, 0], [1, 1]]), (2, 2), bipartite=True))
    empty = Store.of(Graph(torch.empty(2, 0, dtype=torch.int64), (3, 3), undirected=True))
    assert not empty.sample(5, 0).numel()
    with pytest.raises(InputError, match="do not exist"):
        empty.without(torch.tensor([[0], [1]]))
    store = Store.of(sbm())
    for pairs, message in ((torch.tensor([[0], [99]]), "got 99"), (torch.empty(2, 0), "at least one")):
        with pytest.raises(InputError, match=message):
            store.without(pairs)


def test_forgotten_nodes_stay_forgotten_in_files(store, tmp_path):
    request = ForgetRequest.of("node", [5, 7])
    retained, want = store.forget(request), sbm().partition(request.parts)[1]
    assert not torch.equal(store.rows("x", np.array([5, 7])), torch.zeros(2, store.features["x"].shape[1]))
    for again in (
        retained,
        open_store(compact(retained, tmp_path / "retained")),
        open_store(write(want, tmp_path / "w")),
    ):
        assert again.removed.tolist() == [5, 7]
        assert not again.rows("x", np.array([5, 7])).any()
        assert torch.equal(again.graph().edge_index, want.edge_index)
        assert torch.equal(again.graph().removed, want.removed)
        with pytest.raises(InputError, match="forgotten by an earlier request"):
            again.forget(request)
    alone = Store.of(Graph.from_edges(torch.tensor([[0], [1]]), 3, features={"x": torch.ones(3, 2)}))
    features, _ = stores(alone.forget(ForgetRequest.of("node", [2])))
    assert features["paper", "x", None].tolist() == [[1, 1], [1, 1], [0, 0]]


def test_a_header_with_strange_removed_nodes_is_refused(tmp_path):
    folder = write(sbm(), tmp_path / "graph")
    header = json.loads((folder / "header.json").read_text())
    (folder / "header.json").write_text(json.dumps({**header, "removed": [72]}))
    with pytest.raises(InputError, match=r"in \[0, 72\)"):
        open_store(folder)
    del header["removed"]  # folders of the first version
    (folder / "header.json").write_text(json.dumps(header))
    assert not len(open_store(folder).removed)


def test_pyg_loads_batches_from_a_folder(tmp_path):
    cut = Store.of(sbm()).without(pairs := sbm().pairs()[:, :40])
    with pytest.raises(InputError, match="compact"):
        stores(cut)
    store = open_store(compact(cut, tmp_path / "retained"))
    want = both_ways(sbm().unlinked(pairs).edge_index)
    assert both_ways(store.graph().edge_index) == want
    loader = NeighborLoader(stores(store), num_neighbors=[-1, -1], input_nodes=torch.arange(72), batch_size=8)
    seen = set()
    for batch in loader:
        assert torch.equal(batch.x, sbm().x[batch.n_id])
        seen |= both_ways(batch.n_id[batch.edge_index])
    assert seen == want
    with pytest.raises(InputError, match="read-only"):
        stores(store)[1].put_edge_index((torch.zeros(1), torch.zeros(1)), edge_type=None, layout="csc")
