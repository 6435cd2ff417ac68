"""Batches by count and by time: a smaller batch waits until its oldest request is old enough or nearly due."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import pytest
from typer.testing import CliRunner

from graphforget.cli import app
from graphforget.deletion.deployment import Deployment
from graphforget.deletion.receive import receive
from graphforget.deletion.service import serve
from graphforget.deletion.store import Store
from graphforget.errors import InputError
from tests.deletion import small

START = datetime(2030, 1, 1, tzinfo=timezone.utc)
HEADER = "request_id,subject_kind,subject_id,received_at,deadline\n"


class Clock:
    """A clock that a test sets."""

    def __init__(self):
        self.days = 0.0

    def __call__(self):
        return START + timedelta(days=self.days)


@pytest.fixture
def waiting(tmp_path):
    small.friends_store(tmp_path / "store", batch_size=3, batch_days=7).close()
    clock = Clock()
    return Store(tmp_path / "store", small.KEY, now=clock), clock


def ask(tmp_path, *rows):
    path = tmp_path / "requests.csv"
    path.write_text(HEADER + "\n".join(rows) + "\n")
    return path


def test_a_smaller_batch_waits_until_its_oldest_request_is_old_enough(tmp_path, waiting):
    store, clock = waiting
    said = []
    with store.writing():
        receive(store, ask(tmp_path, "r1,node,person-001@home,2030-01-01,", "r2,node,person-002@home,2030-01-03,"))
        assert serve(store, verify=False, say=said.append).outcomes == []
        assert "2 requests wait" in said[-1]
        assert "2030-01-08" in said[-1]
        assert store.queue.counts() == {"resolved": 2}
        clock.days = 6.9
        assert serve(store, verify=False).outcomes == []
        clock.days = 7.0
        assert [one.requests for one in serve(store, verify=False).outcomes] == [("r1", "r2")]


def test_whole_batches_are_run_and_the_rest_waits_or_is_run_now(tmp_path, waiting):
    store, _ = waiting
    with store.writing():
        receive(store, ask(tmp_path, *(f"r{row},node,person-{row:03d}@home,2030-01-01," for row in range(1, 5))))
        assert [len(one.requests) for one in serve(store, verify=False).outcomes] == [3]
        assert [one.requests for one in serve(store, verify=False, now=True).outcomes] == [("r4",)]


def test_a_deadline_that_comes_sooner_is_kept(tmp_path, waiting):
    store, clock = waiting
    with store.writing():
        receive(store, ask(tmp_path, "r1,node,person-001@home,2030-01-01,2030-01-04"))
        clock.days = 1.9
        assert serve(store, verify=False).outcomes == []
        clock.days = 2.0
        assert len(serve(store, verify=False).outcomes) == 1


def test_the_command_says_that_requests_wait_and_takes_now(tmp_path, monkeypatch):
    monkeypatch.setenv("GRAPHFORGET_KEY", small.KEY.secret.decode())
    small.friends_store(tmp_path / "store", batch_days=7).close()
    words = ["run", str(tmp_path / "store"), "--no-verify", "--json"]
    file = small.ask(tmp_path, "r1,node,person-001@home,,")
    done = CliRunner().invoke(app, [*words, str(file)])
    assert (done.exit_code, json.loads(done.stdout)["states"]) == (0, {"resolved": 1})
    done = CliRunner().invoke(app, [*words, "--now"])
    assert (done.exit_code, json.loads(done.stdout)["states"]) == (0, {"pending_verification": 1})


def test_batches_older_than_the_deadline_cannot_be_declared():
    with pytest.raises(InputError, match="batch_days"):
        Deployment.parse('{"factory": "a:b", "batch_days": 30, "deadline_days": 30}')
