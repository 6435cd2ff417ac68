"""What a run costs: seconds, peak memory and floating-point operations.

Conventions. *seconds* is wall time of the block, *cpu_s* what this process's threads computed in it: of a single thread
the two agree on an idle machine, and only the second holds on a busy one. *peak_mib* is the largest resident set of the
process during the block minus the one at its start, sampled every 5 ms. *flops* counts a multiply and an add as two
operations, takes a sparse product as 2 nnz d (torch's own counter takes it as dense), and counts matrix products and
the arithmetic of gathers and scatters; element-wise operations are not counted.
"""

from __future__ import annotations

import os
import resource
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

import graphforget.sparse  # noqa: F401 - registers graphforget::spmm

SAMPLE_SECONDS = 0.005


@dataclass
class Cost:
    """Filled when the block of :func:`measure` ends."""

    seconds: float = 0.0
    peak_mib: float = 0.0
    flops: float = float("nan")
    cpu_s: float = float("nan")


@contextmanager
def measure(*, count_flops: bool = False) -> Iterator[Cost]:
    """Measure a block; counting operations slows it by a few per cent, so it is off by default.

    Example:
        >>> with measure(count_flops=True) as cost:
        ...     _ = torch.ones(4, 8) @ torch.ones(8, 2)
        >>> cost.flops
        128.0
    """
    cost, done = Cost(), threading.Event()
    start_memory = resident_mib()
    highest = [start_memory]

    def watch() -> None:
        while not done.wait(SAMPLE_SECONDS):
            highest[0] = max(highest[0], resident_mib())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    with ExitStack() as stack:
        counter = stack.enter_context(flop_counter()) if count_flops else None
        start, begun = time.perf_counter(), time.process_time()
        try:
            yield cost
        finally:
            cost.seconds, cost.cpu_s = time.perf_counter() - start, time.process_time() - begun
            done.set()
            watcher.join()
            cost.peak_mib = max(highest[0], resident_mib()) - start_memory
            if counter is not None:
                cost.flops = float(counter.get_total_flops())


def resident_mib() -> float:
    """Resident set of this process in MiB (its highest so far where /proc is absent)."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def flop_counter() -> FlopCounterMode:
    """Torch's counter with right figures for sparse products, gathers and scatters."""
    aten = torch.ops.aten
    mapping: dict[Any, Callable[..., int]] = {
        aten.mm: _raw(_mm),
        aten.addmm: _raw(lambda bias, a, b, **_: _mm(a, b)),
        aten.index_add: _raw(lambda x, dim, index, source, **_: int(source.numel())),
        aten.index_add_: _raw(lambda x, dim, index, source, **_: int(source.numel())),
        aten.scatter_add: _raw(lambda x, dim, index, source, **_: int(source.numel())),
        aten.scatter_add_: _raw(lambda x, dim, index, source, **_: int(source.numel())),
        torch.ops.graphforget.spmm: _raw(lambda indptr, indices, values, dense: 2 * len(values) * int(dense.shape[1])),
    }
    counter = FlopCounterMode(display=False, custom_mapping=mapping)
    # its hooks that tell modules apart raise on autograd.grad for a parameter that a module returned, as BPR's does
    untracked: Any = nullcontext()
    untracked.parents = {"Global"}
    counter.mod_tracker = untracked
    return counter


def _raw(formula: Callable[..., int]) -> Callable[..., int]:
    """Mark a formula as one that takes the operator's tensors, not their shapes."""

    def call(*args: Any, out_val: Any = None, **kwargs: Any) -> int:
        return formula(*args, **kwargs)

    call._get_raw = True  # type: ignore[attr-defined]
    return call


def _mm(a: torch.Tensor, b: torch.Tensor, **_: Any) -> int:
    if a.layout != torch.strided:
        return 2 * int(a._nnz()) * int(b.shape[1])
    if b.layout != torch.strided:
        return 2 * int(b._nnz()) * int(a.shape[0])
    return 2 * int(a.shape[0]) * int(a.shape[1]) * int(b.shape[1])
