"""The whole way of a request: taken in, resolved, planned, run, verified, rolled back, purged."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
import torch

from graphforget.deletion.confirm import confirm, waiting
from graphforget.deletion.history import purge, rollback
from graphforget.deletion.plan import plan
from graphforget.deletion.receipt import verify_receipt
from graphforget.deletion.receive import receive
from graphforget.deletion.records import State
from graphforget.deletion.service import serve
from graphforget.deletion.store import Store
from graphforget.deletion.suppress import check_train, replies, suppressed, suppression_lines
from graphforget.deletion.vocabulary import Vocabulary
from graphforget.errors import InputError, StoreError
from tests.deletion import small


def test_five_requests_from_file_to_receipt(tmp_path):
    store = small.friends_store(tmp_path / "store")
    original = {name: value.clone() for name, value in store.model().state_dict().items()}
    u, v = store.head_data().train.pairs()[:, 0].tolist()
    names = store.vocabulary().ids["node"]
    rows = [
        "r1,node,person-007@home,,",
        f"r2,edge,,{names[v]},{names[u]}",  # the other way round: undirected
        "r3,node,nobody@home,,",
        "r4,person,person-008@home,,",
        "r5,feature,person-009@home,,",
    ]
    with store.writing():
        received = receive(store, small.ask(tmp_path, *rows))
        assert (received.taken, [each.line for each in received.refused]) == (4, [5])
        found = plan(store, methods=["finetune"])
        assert found.counts["nodes"] == 1
        assert found.requests == 3
        served = serve(store)
    states = {entry.request.request_id: entry.state for entry in store.queue.entries()}
    deleted = served.confirmed[0].outcome
    assert deleted in ("pass", "inconclusive")
    gone = State.DELETED if deleted == "pass" else State.UNVERIFIED
    assert states == {"r1": gone, "r2": gone, "r3": State.NOT_FOUND, "r4": State.REJECTED, "r5": gone}
    left = store.head_data()
    assert not bool(left.train.has_edges(torch.tensor([[u, v], [v, u]])).any())
    for view in left:
        assert not bool((view.edge_index == 7).any())
        assert not bool(view.x[[7, 9]].any())
    assert any(not value.equal(original[name]) for name, value in store.model().state_dict().items())
    assert served.outcomes[0].predicted is not None
    assert store.problems() == []
    assert verify_receipt(store.root / "receipts" / "000001.json", key=small.KEY, root=store.root) == []


def test_the_same_file_twice_changes_nothing(tmp_path):
    store = small.friends_store(tmp_path / "store")
    file = small.ask(tmp_path, "r1,node,person-001@home,,", "r2,node,person-002@home,,", "r3,nonsense,x,,")
    with store.writing():
        receive(store, file)
        serve(store, verify=False)
        head, events = store.head, store.queue.events("r1")
        again = receive(store, file)
        assert serve(store, verify=False).outcomes == []
    assert (again.taken, again.repeated, len(again.refused)) == (0, 2, 1)
    assert (store.head, store.queue.events("r1")) == (head, events)


def test_no_raw_id_is_left_after_the_deletion(tmp_path):
    store = small.films_store(tmp_path / "store")
    u, i = store.head_data().train.edge_index[:, 5].tolist()
    names = store.vocabulary().ids
    rows = ["r1,user,user-003,,", "r2,item,film-004,,", f"r3,interaction,,{names['user'][u]},{names['item'][i]}"]
    file = small.ask(tmp_path, *rows, "r4,user,user-unknown,,", "r5,user,=cmd|'/c calc'!A1,,")
    with store.writing():
        receive(store, file)
        assert small.contains(store.root, "user-003")
        serve(store)
    store.close()
    assert small.contains(store.root, "user-003", "film-004", "user-unknown", "cmd|") == []
    store = Store(store.root, small.KEY)
    (store.root / "receipts" / "list.jsonl").write_bytes(suppression_lines(store.queue))
    (store.root / "receipts" / "replies.csv").write_text(replies(store.queue))
    assert small.contains(store.root, "user-003", "film-004", "user-unknown", "cmd|") == []
    assert "r1,3," in replies(store.queue)
    assert "r4,5,not_found" in replies(store.queue)


def test_check_train_finds_what_comes_back(tmp_path):
    store = small.films_store(tmp_path / "store")
    splits, names = small.shop()
    u, i = splits.train.edge_index[:, 5].tolist()
    file = small.ask(
        tmp_path, "r1,user,user-003,,", f"r2,interaction,,user-{u:03d},film-{i:03d}", "r3,modality,film-009,,"
    )
    with store.writing():
        receive(store, file)
        serve(store, verify=False)
    back = {
        (each.request_id, each.kind) for each in check_train(store.queue, small.KEY, splits, names, store.vocabulary())
    }
    assert back == {("r1", "user"), ("r2", "pair"), ("r3", "modality")}
    own = store.vocabulary()
    assert check_train(store.queue, small.KEY, store.head_data(), own, own) == []
    numbered = Vocabulary.numbered({"user": small.USERS, "item": small.ITEMS})
    with pytest.raises(InputError, match="no name in common"):
        check_train(store.queue, small.KEY, splits, numbered, own)


def test_a_rollback_queues_again_and_the_next_run_forgets_again(tmp_path):
    store = small.films_store(tmp_path / "store")
    u, i = store.head_data().train.edge_index[:, 5].tolist()
    file = small.ask(
        tmp_path, "r1,user,user-003,,", f"r2,interaction,,user-{u:03d},film-{i:03d}", "r3,modality,film-009,,"
    )
    with store.writing():
        receive(store, file)
        serve(store)
        forgotten = store.head_data()
        back = rollback(store, 0)
        assert set(back.requests) == {"r1", "r2", "r3"}
        assert "holds the data of 3 requests again" in back.warning
        assert bool((store.head_data().train.edge_index[0] == 3).any())
        assert small.contains(store.root, "user-003") == []
        serve(store)
    again = store.head_data()
    assert again.train.edge_index.equal(forgotten.train.edge_index)
    assert again.train.features["text"].equal(forgotten.train.features["text"])
    assert store.problems() == []
    assert store.versions() == [0, 1, 2, 3]


def test_purge_leaves_no_file_of_old_versions(tmp_path):
    store = small.friends_store(tmp_path / "store")
    first = tmp_path / "first.pt"
    first.write_bytes(b"weights")
    with store.writing():
        receive(store, small.ask(tmp_path, "r1,node,person-001@home,,"))
        serve(store, verify=False)
        with pytest.raises(InputError, match="needed to verify version 1"):
            purge(store)
        for version in waiting(store):
            confirm(store, version)
        old = (store.folder(0) / "model.safetensors").read_bytes()
        found = purge(store, also=[first])
    assert found.versions == (0,)
    assert not first.exists()
    assert [path.name for path in (store.root / "versions").iterdir()] == ["000001"]
    assert all(path.read_bytes() != old for path in store.root.rglob("*") if path.is_file())
    assert store.problems() == []
    with pytest.raises(InputError, match="it was purged"):
        store.existing(0)


def test_batches_carry_weights_and_drift_and_the_budget_forces_a_retrain(tmp_path):
    store = small.friends_store(tmp_path / "store", drift={"requests": 4})
    rows = [f"r{row},node,person-{row:03d}@home,," for row in range(6)]
    with store.writing():
        receive(store, small.ask(tmp_path, *rows))
        served = serve(store, batch_size=2, verify=False)
    assert [one.method for one in served.outcomes] == ["finetune", "finetune", "retrain"]
    assert [one.drift.requests for one in served.outcomes] == [2, 4, 0]
    assert served.outcomes[1].drift.distance > served.outcomes[0].drift.distance > 0
    assert "drift budget" in served.outcomes[2].reason


def test_a_distance_budget_forces_a_retrain(tmp_path):
    store = small.friends_store(tmp_path / "store", drift={"distance": 1e-6})
    with store.writing():
        receive(store, small.ask(tmp_path, "r1,node,person-001@home,,", "r2,node,person-002@home,,"))
        served = serve(store, batch_size=1, verify=False)
    assert [one.method for one in served.outcomes] == ["finetune", "retrain"]


def test_a_deleted_user_has_a_row_that_was_never_trained(tmp_path):
    store = small.films_store(tmp_path / "store")
    before = store.model().state_dict()["user_embedding"][3]
    with store.writing():
        receive(store, small.ask(tmp_path, "r1,user,user-003,,"))
        serve(store, method="gradient_ascent", verify=False)
    after = store.model().state_dict()["user_embedding"][3]
    assert float((after - before).abs().min()) > 1e-6


def test_a_hashed_id_is_found_again_after_a_rollback(tmp_path):
    store = small.films_store(tmp_path / "store")
    hashed = "sha256:" + hashlib.sha256(b"user-003").hexdigest()
    splits, names = small.shop()
    with store.writing():
        receive(store, small.ask(tmp_path, f"r1,user,{hashed},,"))
        serve(store, verify=False)
        assert store.queue.get("r1").mark == small.KEY.mark("user", "user-003")
        assert [one.request_id for one in check_train(store.queue, small.KEY, splits, names, store.vocabulary())] == [
            "r1"
        ]
        rollback(store, 0)
        serve(store, verify=False)
    assert not bool((store.head_data().train.edge_index[0] == 3).any())


def test_thresholds_cannot_be_changed_after_the_run(tmp_path):
    store = small.films_store(tmp_path / "store")
    with store.writing():
        receive(store, small.ask(tmp_path, "r1,user,user-003,,"))
        serve(store, verify=False)
        path = store.root / "deployment.json"
        path.write_bytes(path.read_bytes().replace(b'"floors": 2.0', b'"floors": 9.0'))
        with pytest.raises(InputError, match="declared beforehand"):
            confirm(store, 1)


def test_states_that_change_no_model(tmp_path):
    store = small.films_store(tmp_path / "store")
    path = tmp_path / "requests.csv"
    path.write_text(
        "request_id,subject_kind,subject_id,basis\n"
        "r1,user,user-001,exempt:legal hold\nr2,user,user-002,opt_out\nr3,node,user-003,\n"
    )
    with store.writing():
        receive(store, path)
        assert plan(store).requests == 0
        assert serve(store).outcomes == []
    assert store.versions() == [0]
    states = {entry.request.request_id: entry.state for entry in store.queue.entries()}
    assert states == {"r1": State.EXEMPT, "r2": State.OPTED_OUT, "r3": State.REJECTED}
    assert [each.request_id for each in suppressed(store.queue)] == ["r2"]


def test_pairs_that_were_never_trained_on_leave_the_data_and_not_the_weights(tmp_path):
    store = small.films_store(tmp_path / "store")
    u, i = store.head_data().test.edge_index[:, 0].tolist()
    before = store.model().state_dict()
    with store.writing():
        receive(store, small.ask(tmp_path, f"r1,interaction,,user-{u:03d},film-{i:03d}"))
        served = serve(store)
    assert served.confirmed[0].outcome == "pass"
    assert store.manifest().kind == "data_only"
    assert not bool(store.head_data().test.has_edges(torch.tensor([[u], [i]])).any())
    assert all(value.equal(before[name]) for name, value in store.model().state_dict().items())


def test_a_window_of_time_takes_only_its_interactions(tmp_path):
    store = small.films_store(tmp_path / "store")
    train = store.head_data().train
    mine = train.edge_attrs["time"][train.edge_index[0] == 2]
    middle = float(mine.median())
    path = tmp_path / "requests.csv"
    path.write_text(f"request_id,subject_kind,subject_id,t_from\nr1,user,user-002,{middle}\n")
    with store.writing():
        receive(store, path)
        serve(store, verify=False)
    left = store.head_data().train
    times = left.edge_attrs["time"][left.edge_index[0] == 2]
    assert len(times) == int((mine < middle).sum()) > 0
    assert left.removed is None


def test_requests_for_everything_fail_and_the_queue_goes_on(tmp_path):
    store = small.films_store(tmp_path / "store")
    rows = [f"r{row},user,user-{row:03d},," for row in range(small.USERS)]
    with store.writing():
        receive(store, small.ask(tmp_path, *rows))
        served = serve(store, verify=False)
    assert served.outcomes == []
    assert served.refused == small.USERS
    assert store.versions() == [0]
    assert store.queue.counts() == {"failed": small.USERS}


def test_a_method_that_fails_leaves_the_requests_waiting(tmp_path):
    store = small.films_store(tmp_path / "store")
    u, i = store.head_data().train.edge_index[:, 5].tolist()
    with store.writing():
        receive(store, small.ask(tmp_path, f"r1,interaction,,user-{u:03d},film-{i:03d}"))
        with pytest.raises(InputError, match="row reset forgets users"):
            serve(store, method="row_reset")
        assert store.queue.counts() == {"planned": 1}
        serve(store, method="finetune", verify=False)
    assert store.queue.counts() == {"pending_verification": 1}


def test_a_clock_that_goes_backwards_writes_no_earlier_time(tmp_path):
    start = datetime(2026, 11, 21, 12, tzinfo=timezone.utc)
    times = iter([start + timedelta(seconds=step) for step in (0, 5, -3600, -3600, -3600, 10)])
    store = small.friends_store(tmp_path / "store")
    late = [start + timedelta(days=3650)]

    def now() -> datetime:
        late[0] = start + timedelta(days=3650) + (next(times) - start)
        return late[0]

    store.close()
    store = Store(store.root, small.KEY, now=now)
    with store.writing():
        store.queue.add([replace(_request("r1"), received_at="2026-11-21T00:00:00+00:00")], deadline_days=30)
        store.queue.move(["r1"], State.RESOLVED)
        store.queue.move(["r1"], State.PLANNED)
    written = store.queue.events("r1")
    assert [each[2] for each in written] == sorted(each[2] for each in written)
    assert [each[3] for each in written] == [False, False, True]


def _request(name):
    from graphforget.deletion.records import Request

    return Request(name, "node", "person-001@home")


def test_two_writers_and_the_lock_of_a_dead_one(tmp_path):
    store = small.friends_store(tmp_path / "store")
    other = Store(store.root, small.KEY)
    with store.writing(), pytest.raises(StoreError, match=r"is being written by process \d+"), other.writing():
        raise AssertionError("two writers")
    (store.root / "LOCK.json").write_text('{"pid": 999999, "host": "gone", "since": "2026"}')
    with other.writing():
        assert other.head == 0


def test_another_key_is_refused(tmp_path):
    from graphforget.deletion.keys import Key

    store = small.friends_store(tmp_path / "store")
    with pytest.raises(InputError, match="not the one of this store"):
        Store(store.root, Key(b"another key of enough bytes"))
