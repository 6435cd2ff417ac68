"""The store under trouble: killed, full, read-only, half-written."""

from __future__ import annotations

import itertools
import os
import random
import resource
import shutil
import tempfile
from pathlib import Path

import pytest

from benchmarks import reliability
from graphforget.deletion.deployment import Deployment, blank_model, load_object, read_weights, with_weights
from graphforget.deletion.receive import receive
from graphforget.deletion.records import MOVES, State, check_move
from graphforget.deletion.service import serve
from graphforget.deletion.setup import deploy
from graphforget.deletion.snapshot import pack, unpack
from graphforget.deletion.sources import Source
from graphforget.deletion.store import Store, create
from graphforget.deletion.vocabulary import Vocabulary, load_vocabulary
from graphforget.errors import InputError, StoreError, UnknownName
from tests.deletion import small


def test_kills_at_random_moments_leave_no_half_and_lose_nothing(tmp_path):
    found = reliability.kills(tmp_path, 6, random.Random(1))
    assert found == {"kills": 6, "half_written": 0, "lost": 0}


def test_malformed_rows_by_the_command(tmp_path):
    found = reliability.bad_rows(tmp_path, 60, random.Random(2))
    assert found == {"bad_rows": 60, "refused": 60, "tracebacks": 0}


def test_one_by_one_equals_one_batch_exactly_for_a_ridge(tmp_path):
    assert reliability.sequential(tmp_path, 5) == 0.0


def test_a_full_disk_is_said_and_loses_nothing(tmp_path):
    store = small.friends_store(tmp_path / "store")
    with store.writing():
        receive(store, small.ask(tmp_path, "r1,node,person-001@home,,"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))  # no file may grow beyond it: the data does not fit
    try:
        with pytest.raises(StoreError, match=r"no space left|cannot be written"), store.writing():
            serve(store, verify=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert store.versions() == [0]
    assert store.problems() == []
    assert sum(store.queue.counts().values()) == 1
    with store.writing():
        serve(store, verify=False)
    assert store.versions() == [0, 1]
    assert store.queue.counts() == {"pending_verification": 1}


def test_a_read_only_store_is_said():
    folder = Path(tempfile.mkdtemp())
    root = folder / "store"
    try:
        small.friends_store(root).close()
        folder.chmod(0o755)
        for path in [root, *root.rglob("*")]:
            path.chmod(0o555 if path.is_dir() else 0o444)
        was = os.geteuid()
        if was == 0:
            os.seteuid(65534)  # root may write anything
        try:
            with pytest.raises(StoreError, match=r"is read-only|cannot be opened"):
                Store(root, small.KEY)
        finally:
            os.seteuid(was)
    finally:
        shutil.rmtree(folder)


def test_what_a_killed_writer_left_is_removed(tmp_path):
    store = small.friends_store(tmp_path / "store")
    half = store.root / "versions" / ".new-000001"
    half.mkdir()
    (half / "model.safetensors").write_bytes(b"half")
    (store.root / ".vocabulary.json.1.part").write_bytes(b"half")
    assert store.versions() == [0]
    with store.writing():
        pass
    assert not half.exists()
    assert not list(store.root.glob(".*.part"))


def test_the_table_of_states_is_the_one_of_the_design():
    forward = ["received", "resolved", "planned", "running", "pending_verification", "deleted"]
    for old, new in itertools.pairwise(forward):
        check_move(State(old), State(new))
    assert {state.value for state in MOVES} == {
        *forward, "rejected", "not_found", "exempt", "opted_out", "deleted_unverified", "failed"
    }  # fmt: skip
    for old, new in [
        ("received", "planned"),
        ("deleted", "running"),
        ("not_found", "resolved"),
        ("planned", "deleted"),
    ]:
        with pytest.raises(InputError, match="cannot go from"):
            check_move(State(old), State(new))


def test_a_move_that_is_not_allowed_moves_nothing(tmp_path):
    store = small.friends_store(tmp_path / "store")
    with store.writing():
        receive(store, small.ask(tmp_path, "r1,node,person-001@home,,", "r2,node,person-002@home,,"))
        store.queue.move(["r1"], State.RESOLVED)
        with pytest.raises(InputError, match="cannot go from received"):
            store.queue.move(["r1", "r2"], State.PLANNED)
    assert store.queue.counts() == {"received": 1, "resolved": 1}


def test_the_same_id_for_another_subject_is_refused(tmp_path):
    store = small.friends_store(tmp_path / "store")
    with store.writing():
        receive(store, small.ask(tmp_path, "r1,node,person-001@home,,"))
        again = receive(store, small.ask(tmp_path, "r1,node,person-002@home,,"))
    assert [(each.line, each.request_id) for each in again.refused] == [(2, "r1")]
    assert store.queue.get("r1").request.subject == "person-001@home"


def test_a_corrected_row_is_taken(tmp_path):
    store = small.friends_store(tmp_path / "store")
    with store.writing():
        receive(store, small.ask(tmp_path, "r1,persn,person-001@home,,"))
        assert store.queue.get("r1").state is State.REJECTED
        receive(store, small.ask(tmp_path, "r1,node,person-001@home,,"))
    assert store.queue.get("r1").state is State.RECEIVED


def test_equal_data_gives_equal_bytes_and_comes_back(tmp_path):
    splits, _ = small.shop()
    path = tmp_path / "data.safetensors"
    path.write_bytes(pack(splits))
    back = unpack(path)
    assert pack(back) == pack(splits) == pack(small.shop()[0])
    for one, two in zip(splits, back, strict=True):
        assert one.edge_index.equal(two.edge_index)
        assert one.edge_attrs["time"].equal(two.edge_attrs["time"])
        assert (one.size, one.bipartite) == (two.size, two.bipartite)
    path.write_bytes(b"something else")
    with pytest.raises(StoreError, match="holds no data"):
        unpack(path)


def test_weights_data_and_model_that_do_not_fit(tmp_path):
    import torch
    from safetensors.torch import save_file

    model = small.tiny_gcn()
    with pytest.raises(InputError, match="there are no weights"):
        read_weights(tmp_path / "none.pt")
    torch.save(model, tmp_path / "pickle.pt")
    with pytest.raises(InputError, match=r"more than tensors|cannot be read"):
        read_weights(tmp_path / "pickle.pt")
    torch.save({"state_dict": model.state_dict(), "epoch": 3}, tmp_path / "good.ckpt")
    with_weights(small.tiny_gcn(), read_weights(tmp_path / "good.ckpt"), "good")
    state = {name: value.clone() for name, value in model.state_dict().items()}
    first = next(iter(state))
    save_file({name: value for name, value in state.items() if name != first}, tmp_path / "less.safetensors")
    with pytest.raises(InputError, match=f"missing: {first}"):
        with_weights(small.tiny_gcn(), read_weights(tmp_path / "less.safetensors"), "less")
    state[first] = torch.full_like(state[first], float("nan"))
    with pytest.raises(InputError, match="NaN"):
        with_weights(small.tiny_gcn(), state, "nan")
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    with pytest.raises(InputError, match="does not run on its data"):
        deploy(tmp_path / "s", small.FRIENDS, tmp_path / "weights.safetensors", Source("digits", "link"), small.KEY)
    assert not (tmp_path / "s").exists()


def test_a_store_is_made_in_an_empty_folder_with_names_that_fit(tmp_path):
    splits, names = small.people()
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="new or empty folder"):
        create(tmp_path, small.FRIENDS, small.tiny_gcn(), splits, names, small.KEY)
    with pytest.raises(InputError, match="must name"):
        create(tmp_path / "s", small.FRIENDS, small.tiny_gcn(), splits, Vocabulary({"node": ("a",)}), small.KEY)


def test_settings_that_cannot_be_used():
    with pytest.raises(InputError, match="batch_size"):
        Deployment.parse('{"factory": "a:b", "batch_size": 0}')
    with pytest.raises(InputError, match="colour"):
        Deployment.parse('{"factory": "a:b", "colour": "red"}')
    with pytest.raises(InputError, match=r"package\.module:name"):
        load_object("no_colon")
    with pytest.raises(InputError, match="there is no module"):
        load_object("no_such_module_here:thing")
    with pytest.raises(InputError, match="has no 'nothing'"):
        load_object("graphforget.gnn.models:nothing")
    with pytest.raises(InputError, match="does not take its arguments"):
        blank_model(Deployment(factory="graphforget.gnn.models:GCN"))


def test_vocabularies(tmp_path):
    path = tmp_path / "v.json"
    path.write_text('{"ids": {"node": ["a", 2, "c"]}}')
    names = load_vocabulary(path)
    assert (names.find("node", "2"), names.find("node", "x")) == (1, None)
    hashed = "sha256:2e7d2c03a9507ae265ecf5b5356885a53393a2029d241394997265a1a25aefc6"  # of "c"
    assert names.find("node", hashed) == 2
    hidden = names.hide({"node": [0]}, small.KEY)
    assert hidden.find("node", "a") is None
    assert hidden.find("node", small.KEY.mark("node", "a")) == 0
    with pytest.raises(UnknownName, match="did you mean"):
        names.find("nodes", "a")
    path.write_text('{"ids": {"node": ["a", "a"]}}')
    with pytest.raises(InputError, match="twice"):
        load_vocabulary(path)
    path.write_text("[]")
    with pytest.raises(InputError, match="must be JSON"):
        load_vocabulary(path)
