"""Several processes: the result of one, resumed after a death, and a clear word where no one answers."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from graphforget import parallel
from graphforget.errors import InputError, UnknownName
from graphforget.parallel import workers

ROOT = Path(__file__).resolve().parent.parent
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node")


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, **ONE_THREAD, "PYTHONPATH": str(ROOT), **more}


@pytest.mark.slow
def test_two_processes_of_which_one_is_killed_give_what_one_gives(tmp_path):
    from tests.parallel_script import trained

    command = [*TORCHRUN, "2", "--max-restarts", "1", "-m", "tests.parallel_script", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, env=environment(), check=True, timeout=280)
    expected = trained()
    for rank in range(2):
        found = load_file(tmp_path / f"{rank}-of-2.safetensors")
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            torch.testing.assert_close(
                found[name], value, rtol=1e-4, atol=1e-5, msg=lambda text, name=name: name + text
            )
    assert (tmp_path / "killed").exists()
    assert not (tmp_path / "checkpoints").exists()


LONELY = """
import os, sys, torch
from torch import nn
from graphforget.errors import PeerLost
from graphforget.parallel import workers
from graphforget.train import descend

model = nn.Linear(2, 1)
def steps(epoch):
    if epoch == 1 and os.environ["RANK"] == "1":
        os._exit(7)
    yield model(torch.ones(1, 2)).sum()

try:
    with workers("gloo", timeout=20):
        descend(model, steps, epochs=3, lr=0.1)
except PeerLost as error:
    print(error)
    os._exit(5)
"""


def test_a_dead_process_is_an_error_and_no_hang():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2"}
    both = [
        subprocess.Popen([sys.executable, "-c", LONELY], env=environment(RANK=rank, **where), stdout=subprocess.PIPE)
        for rank in ("0", "1")
    ]
    told = [process.communicate(timeout=120)[0].decode() for process in both]
    assert [process.returncode for process in both] == [5, 7]
    assert "another process of this training died" in told[0]
    assert "--max-restarts" in told[0]


def test_without_torchrun_there_is_one_process():
    with workers() as group:
        assert (group.rank, group.size, group.first) == (0, 1, True)
        assert parallel.agreed(0.5) == 0.5
        assert parallel.from_first(b"x") == b"x"


def test_backends_are_checked(monkeypatch):
    with pytest.raises(UnknownName, match="gloo"), workers("glo"):
        pass
    with pytest.raises(InputError, match=r"timeout.*\(got 0\)"), workers("gloo", timeout=0):
        pass
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match=r"nccl needs a GPU.*gloo"), workers("nccl"):
        pass


def test_a_batch_smaller_than_the_number_of_processes_is_refused(monkeypatch):
    monkeypatch.setattr(parallel, "_JOINED", [parallel.Workers(0, 4)])
    parallel.check_batch(None)
    parallel.check_batch(4)
    with pytest.raises(InputError, match=r"number of processes, 4 \(got 3\)"):
        parallel.check_batch(3)
