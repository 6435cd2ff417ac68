"""The jobs of a sweep, on a pool of processes or on Ray; each process computes on one thread.

What a job yields is given to the caller, who alone writes: in one process piece by piece, from a pool when a job ends.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, TypeVar

from graphforget.errors import InputError, PeerLost, missing_extra

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
LOST = "a process of the sweep died (out of memory?); what is finished is kept: run the same command again ({})"
Job = TypeVar("Job")
Piece = TypeVar("Piece")


def stream(
    work: Callable[[Job], Iterable[Piece]],
    jobs: Sequence[Job],
    *,
    workers: int = 1,
    on_ray: bool = False,
    start: Callable[[Job], None] = lambda job: None,
) -> Iterator[tuple[Job, Piece]]:
    """Yield each job beside what it gives, piece by piece, in the order in which jobs end.

    Args:
        work: a function of a module, so that other processes find it.
        jobs: what it is called with; jobs and pieces can be pickled.
        workers: processes.
        on_ray: run them on Ray, on the cluster that RAY_ADDRESS names or on one of this machine.
        start: called with a job before its first piece.

    Raises:
        PeerLost: a process died.
        MissingExtra: Ray is asked for and not installed.

    Example:
        >>> list(stream(range, [1, 2]))
        [(1, 0), (2, 0), (2, 1)]
    """
    if workers < 1:
        raise InputError(f"--workers must be at least 1 (got {workers})")
    found = _on_ray(work, jobs, workers) if on_ray else _here(work, jobs) if workers == 1 else None
    for job, pieces in found if found is not None else _on_processes(work, jobs, workers):
        start(job)
        for piece in pieces:
            yield job, piece


def _here(work: Callable[[Job], Iterable[Piece]], jobs: Sequence[Job]) -> Iterator[tuple[Job, Iterable[Piece]]]:
    for job in jobs:
        yield job, _lazily(work, job)


def _lazily(work: Callable[[Job], Iterable[Piece]], job: Job) -> Iterator[Piece]:
    yield from work(job)


def _on_processes(
    work: Callable[[Job], Iterable[Piece]], jobs: Sequence[Job], workers: int
) -> Iterator[tuple[Job, Iterable[Piece]]]:
    spawn = multiprocessing.get_context("spawn")  # a forked child would inherit threads and locks
    with one_thread(), ProcessPoolExecutor(workers, spawn) as pool:
        waiting = {pool.submit(_whole, work, job): job for job in jobs}
        try:
            for future in as_completed(waiting):
                yield waiting[future], future.result()
        except BrokenProcessPool as error:
            raise PeerLost(LOST.format(error)) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _on_ray(
    work: Callable[[Job], Iterable[Piece]], jobs: Sequence[Job], workers: int
) -> Iterator[tuple[Job, Iterable[Piece]]]:
    try:
        import ray
    except ImportError as error:
        raise missing_extra("ray", "ray") from error
    own = not ray.is_initialized()
    if own:
        here = "RAY_ADDRESS" not in os.environ
        ray.init(
            num_cpus=workers if here else None,
            include_dashboard=False if here else None,
            log_to_driver=False,
            runtime_env={"env_vars": dict.fromkeys(THREADS, "1")},
        )
    try:
        remote: Any = ray.remote(num_cpus=1, max_retries=0)(_whole)
        waiting = {remote.remote(work, job): job for job in jobs}
        while waiting:
            (done,), _ = ray.wait(list(waiting), num_returns=1)
            try:
                yield waiting.pop(done), ray.get(done)
            except (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError) as error:
                raise PeerLost(LOST.format(error)) from error
    finally:
        if own:
            ray.shutdown()


def _whole(work: Callable[[Job], Iterable[Piece]], job: Job) -> list[Piece]:
    return list(work(job))


@contextmanager
def one_thread() -> Iterator[None]:
    """Let processes that are started inside the block compute on one thread each."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
