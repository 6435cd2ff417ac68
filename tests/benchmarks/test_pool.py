"""Sweeps on a pool of processes and on Ray: the same rows, one writer, and a clear word about a process that died."""

from __future__ import annotations

import json
import os
import sys

import pytest

from benchmarks import runner
from benchmarks.pool import THREADS, stream
from graphforget.errors import InputError, MissingExtra, PeerLost

COSTS = ("seconds", "cpu_s", "peak_mib")
PAIRS = [(1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2)]


def threads(name: str) -> list[str]:
    return [os.environ[name]]


@pytest.mark.parametrize("workers", [1, 2])
def test_every_job_gives_all_its_pieces(workers):
    started = []
    found = list(stream(range, [1, 2, 3], workers=workers, start=started.append))
    assert sorted(found) == PAIRS
    assert sorted(started) == [1, 2, 3]


def test_processes_compute_on_one_thread_each(monkeypatch):
    monkeypatch.setenv(THREADS[0], "8")
    assert dict(stream(threads, THREADS, workers=2)) == dict.fromkeys(THREADS, "1")
    assert os.environ[THREADS[0]] == "8"


def test_one_process_gives_its_pieces_as_they_come():
    first = next(stream(iter, [iter([1, 2])]))[1]
    assert first == 1


def test_a_process_that_dies_is_an_error_and_no_hang():
    with pytest.raises(PeerLost, match="run the same command again"):
        list(stream(os._exit, [3], workers=2))


def test_an_error_of_a_job_is_the_callers():
    with pytest.raises(ValueError, match="invalid literal"):
        list(stream(int, ["x"], workers=2))
    with pytest.raises(InputError, match=r"--workers.*\(got 0\)"):
        list(stream(range, [1], workers=0))


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra, match=r"graphforget\[ray\]"):
        list(stream(range, [1], on_ray=True))


@pytest.mark.slow
def test_ray_gives_the_same(monkeypatch):
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    assert sorted(stream(range, [1, 2, 3], workers=2, on_ray=True)) == PAIRS
    assert dict(stream(threads, THREADS, workers=2, on_ray=True)) == dict.fromkeys(THREADS, "1")
    with pytest.raises(PeerLost, match="run the same command again"):
        list(stream(os._exit, [3], workers=2, on_ray=True))
    with pytest.raises(ValueError, match="invalid literal"):
        list(stream(int, ["x"], workers=2, on_ray=True))


@pytest.mark.slow
@pytest.mark.parametrize("more", [("--workers", "2"), ("--workers", "2", "--ray")])
def test_a_sweep_on_many_processes_writes_the_rows_of_one(more, tmp_path, monkeypatch):
    if "--ray" in more:
        pytest.importorskip("ray")
        monkeypatch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    words = ["--methods", "retrain", "finetune", "--seeds", "3", "4", "--golds", "2", "--ratio", "10", "--epochs", "6"]

    def rows(name: str, *more: str) -> list[str]:
        out = tmp_path / f"{name}.jsonl"
        assert runner.main("karate", [*words, "--cache", str(tmp_path / name), "--out", str(out), *more]) == 0
        kept = [json.loads(line) for line in out.read_text().splitlines()]
        return sorted(json.dumps(row) for row in kept if row["metric"] not in COSTS)

    monkeypatch.setenv("PYTHONPATH", os.getcwd())
    assert rows("pool", *more) == rows("one")
