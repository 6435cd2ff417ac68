"""Flower's own strategy, messages and apps: a client leaves, and what it contributed is gone.

The quick tests carry Flower's messages between its ServerApp and ClientApp in this process; the slow ones run the same
app in Flower's simulation and as one server and two clients on the loopback.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from graphforget.errors import InputError, UnknownName

pytest.importorskip("flwr", reason="needs Flower: pip install 'graphforget[federated]'")
os.environ["FLWR_TELEMETRY_ENABLED"] = "0"  # read when flwr.supercore is imported

from flwr.app import ArrayRecord, ConfigRecord, Context, Error, Message, MetricRecord, RecordDict
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedProx
from flwr.supercore.task_identity import TaskIdentity

from graphforget.federated.conda import ConDa
from graphforget.federated.flower_interop import Recording, RecordingFedAvg

APP = Path(__file__).resolve().parent / "flower_app"
ROOT = APP.parents[2]
LIMIT = 300  # seconds for each step of the slow tests


@pytest.fixture(autouse=True)
def identity():
    """Who sends messages in this process: Flower's own runners set it."""
    TaskIdentity.run_id = TaskIdentity.node_id = TaskIdentity.task_id = 1
    yield
    TaskIdentity.run_id = TaskIdentity.node_id = TaskIdentity.task_id = None


class Near(Grid):
    """Carries messages to a ClientApp in this process, one node after the other."""

    def __init__(self, app, nodes: dict[int, dict]):
        self.app, self.sent = app, []
        self.contexts = {node: Context(1, node, config, RecordDict(), {}) for node, config in nodes.items()}

    def set_run(self, run_id):
        raise NotImplementedError

    @property
    def run(self):
        raise NotImplementedError

    def create_message(self, content, message_type, dst_node_id, group_id, ttl=None):
        raise NotImplementedError

    def push_messages(self, messages):
        raise NotImplementedError

    def pull_messages(self, message_ids):
        raise NotImplementedError

    def get_node_ids(self):
        return list(self.contexts)

    def send_and_receive(self, messages, *, timeout=None):
        replies = []
        for message in messages:
            node = message.metadata.dst_node_id
            self.sent.append(node)
            replies.append(self.app(message, self.contexts[node]))
        return replies


@pytest.fixture
def app(tmp_path, monkeypatch):
    """The app of tests/federated/flower_app: (its server module, a grid with nodes 70 and 71)."""
    monkeypatch.setenv("LEAVING_OUT", str(tmp_path / "found.json"))
    monkeypatch.syspath_prepend(str(APP))
    from leaving import client_app, server_app

    nodes = {70: {"partition-id": 0, "num-partitions": 2}, 71: {"partition-id": 1, "num-partitions": 2}}
    yield server_app, Near(client_app.app, nodes), tmp_path / "found.json"
    for name in [name for name in sys.modules if name.split(".")[0] == "leaving"]:
        del sys.modules[name]


def check(out: Path, clients: int = 2) -> None:
    """What every way to run the app must have left."""
    found = json.loads(out.read_text(encoding="utf-8"))
    before, after, later = found["mark"]
    assert before > 0.1
    assert after == later == 0.0  # the weights that only client 0 ever moved
    assert found["known"] == list(range(clients))
    assert found["left"] == list(range(1, clients))
    assert found["rounds"] == 3
    assert min(found["accuracy"]) > 0.6
    asked = [out.with_suffix(f".client{n}").read_text(encoding="utf-8").count("asked") for n in range(clients)]
    assert asked == [2] + [3] * (clients - 1)  # nobody asks client 0 any more


def test_a_flower_app_whose_client_leaves(app):
    server_app, grid, out = app
    server_app.main(grid, Context(1, 0, {}, RecordDict(), {}))
    check(out)
    assert grid.sent == [70, 71, 70, 71, 71] or sorted(grid.sent) == [70, 70, 71, 71, 71]


def reply(node: int, arrays: dict, metrics: dict | None = None) -> Message:
    """A client's reply."""
    asked = Message(RecordDict({}), dst_node_id=node, message_type="train")
    records = {"arrays": ArrayRecord(arrays), "metrics": MetricRecord(metrics or {"num-examples": 10})}
    return Message(RecordDict(records), reply_to=asked)


class Two(Near):
    """A grid of nodes without an app."""

    def __init__(self, nodes=(5, 6, 7)):
        super().__init__(None, {node: {} for node in nodes})


def begun(kind=RecordingFedAvg, start=(0.0, 0.0)) -> RecordingFedAvg:
    strategy = kind(fraction_evaluate=0.0)
    arrays = ArrayRecord({"w": torch.tensor(start)})
    strategy.configure_train(1, arrays, ConfigRecord(), Two())
    return strategy


def test_the_record_equals_the_updates():
    strategy = begun()
    sent = [reply(5, {"w": torch.tensor([1.0, 0.0])}), reply(6, {"w": torch.tensor([-2.0, 3.0])})]
    arrays, _ = strategy.aggregate_train(1, sent)
    assert arrays.to_torch_state_dict()["w"].tolist() == [-0.5, 1.5]
    table = strategy.history.contributions["round"]
    assert {client: each["w"].tolist() for client, each in table.items()} == {5: [1.0, 0.0], 6: [2.0, 3.0]}


def test_an_update_of_another_shape_or_with_nan_is_left_out_and_named(caplog):
    strategy = begun()
    sent = [
        reply(5, {"w": torch.tensor([1.0, 0.0])}),
        reply(6, {"w": torch.tensor([1.0, 0.0, 0.0])}),
        reply(7, {"w": torch.tensor([torch.nan, 0.0])}),
    ]
    arrays, _ = strategy.aggregate_train(1, sent)
    assert arrays.to_torch_state_dict()["w"].tolist() == [1.0, 0.0]
    named = {each.client: each.reason for each in strategy.history.quarantined}
    assert named == {6: "w must have shape [2] (got [3])", 7: "w holds NaN or infinity"}
    assert "the update of client 7 is left out" in caplog.text
    assert strategy.history.clients == (5,)


def test_a_round_of_errors_leaves_the_model_to_flower():
    strategy = begun()
    asked = Message(RecordDict({}), dst_node_id=5, message_type="train")
    assert strategy.aggregate_train(1, [Message(Error(1, "out of memory"), reply_to=asked)]) == (None, None)
    assert strategy.history.rounds == 0


def test_clients_are_node_ids_or_the_names_they_send():
    strategy = begun()
    strategy.client_key = "client"
    one = reply(5, {"w": torch.tensor([1.0, 0.0])}, {"num-examples": 1, "client": 12})
    two = reply(6, {"w": torch.tensor([0.0, 1.0])}, {"num-examples": 1, "client": 13})
    arrays, _ = strategy.aggregate_train(1, [one, two])
    assert strategy.history.clients == (12, 13)
    found = strategy.forget(arrays, [12], ConDa(reference="round"))
    assert found.to_torch_state_dict()["w"].tolist() == [0.0, 0.5]
    assert arrays.to_torch_state_dict()["w"].tolist() == [0.5, 0.5]
    assert strategy.forgotten == {5}
    assert strategy.history.clients == (13,)
    sent = strategy.configure_train(2, found, ConfigRecord(), Two())
    assert 5 not in [message.metadata.dst_node_id for message in sent]
    strategy.client_key = "name"
    with pytest.raises(InputError, match="must name its client as the integer 'name'"):
        strategy.aggregate_train(2, [two])


def test_two_replies_of_one_name_are_not_mixed_up():
    strategy = begun()
    strategy.client_key = "client"
    both = [reply(n, {"w": torch.tensor([1.0, 0.0])}, {"num-examples": 1, "client": 1}) for n in (5, 6)]
    strategy.aggregate_train(1, both)
    assert [each.reason for each in strategy.history.quarantined] == ["two replies of one round name this client"]


def test_who_cannot_be_forgotten():
    strategy = RecordingFedAvg(fraction_evaluate=0.0)
    arrays = ArrayRecord({"w": torch.zeros(2)})
    with pytest.raises(InputError, match="no round was recorded"):
        strategy.forget(arrays, [5])
    with pytest.raises(InputError, match="was not configured by this strategy"):
        strategy.aggregate_train(1, [])
    strategy = begun()
    strategy.aggregate_train(1, [reply(5, {"w": torch.ones(2)}), reply(6, {"w": torch.ones(2)})])
    with pytest.raises(UnknownName, match="client with a record"):
        strategy.forget(arrays, [9])
    for clients in ([5, 6], []):
        with pytest.raises(InputError, match="some clients must leave and some stay"):
            strategy.forget(arrays, clients)


def test_any_other_strategy_records_too():
    class Mine(Recording, FedProx):
        pass

    strategy = begun(Mine)
    strategy.aggregate_train(1, [reply(5, {"w": torch.ones(2)})])
    assert strategy.history.clients == (5,)


# --- the same app run by Flower


@pytest.fixture
def processes(tmp_path):
    """Start processes in groups of their own; every one of them is dead at the end, whatever happens."""
    started: list[subprocess.Popen] = []
    env = {
        **os.environ,
        "FLWR_TELEMETRY_ENABLED": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "FLWR_HOME": str(tmp_path / "home"),
        "LEAVING_OUT": str(tmp_path / "found.json"),
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(APP)]),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }

    def start(*command: str) -> subprocess.Popen:
        log = (tmp_path / f"{len(started)}.log").open("w")
        made = subprocess.Popen(command, env=env, stdout=log, stderr=log, cwd=tmp_path)
        started.append(made)
        return made

    yield start
    for made in reversed(started):
        made.send_signal(signal.SIGTERM)
    end = time.monotonic() + 10
    while descendants(tmp_path) and time.monotonic() < end:
        time.sleep(0.2)
    for pid in descendants(tmp_path):  # Flower starts sessions of its own, which outlive their parents
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    for made in started:
        made.wait(10)
    time.sleep(0.5)
    assert not descendants(tmp_path)


def descendants(tmp_path: Path) -> list[int]:
    """Every process that was started for a test, by the environment that it inherited."""
    mark, found = f"LEAVING_OUT={tmp_path}".encode(), []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if mark in path.read_bytes():
                found.append(int(path.parent.name))
    return found


def wait_for(condition, tmp_path: Path, what: str) -> None:
    end = time.monotonic() + LIMIT
    while not condition():
        if time.monotonic() > end:
            logs = "".join(path.read_text()[-2000:] for path in sorted(tmp_path.glob("*.log")))
            pytest.fail(f"{what} took more than {LIMIT} s:\n{logs}")
        time.sleep(0.5)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_in_flowers_simulation(processes, tmp_path):
    pytest.importorskip("ray", reason="needs Ray")
    script = (
        "from flwr.simulation import run_simulation; from leaving.server_app import app as server;"
        "from leaving.client_app import app as client;"
        "run_simulation(server, client, 2, backend_config={'client_resources': {'num_cpus': 1}})"
    )
    processes(sys.executable, "-c", script)
    wait_for((tmp_path / "found.json").exists, tmp_path, "the simulation")
    check(tmp_path / "found.json")
    assert len(list(tmp_path.glob("found.client*"))) == 2


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_one_server_and_two_clients_on_the_loopback(processes, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"127.0.0.1:{port}"
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "config.toml").write_text(f'[superlink.local]\naddress = "{address}"\ninsecure = true\n')
    offline = "--disable-runtime-dependency-installation"
    processes("flower-superlink", "--insecure", offline, "--host", "127.0.0.1", "--port", str(port))

    def answers() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    wait_for(answers, tmp_path, "the server's start")
    for client in range(2):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            own = free.getsockname()[1]
        config = f"partition-id={client} num-partitions=2"
        node = ("--insecure", "--superlink", address, "--host", "127.0.0.1", "--port", str(own))
        processes("flower-supernode", *node, "--node-config", config)
    run = processes("flwr", "run", str(APP), "local")
    wait_for(lambda: run.poll() is not None, tmp_path, "flwr run")
    assert run.returncode == 0, re.sub(r"\s+", " ", (tmp_path / "3.log").read_text())
    wait_for((tmp_path / "found.json").exists, tmp_path, "the run")
    check(tmp_path / "found.json")
