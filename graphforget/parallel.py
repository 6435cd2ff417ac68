"""Several processes on one training: ``torchrun`` starts them, DistributedDataParallel averages their gradients.

    with graphforget.workers():                     # under torchrun: the process group; without it: one process
        model = task.fit(model, train, val, seed=0)
        result = CalibratedD2DGN().unlearn(model, task, split, seed=0)

Every process holds the whole data and the same random streams, so permutations, negatives and dropout are those of one
process. What is divided is the model's answer to a batch (of a recommender, the columns that it propagates): each
process computes a share, and the shares are gathered, so that the loss of the whole batch, whatever its formula, stands
on every process. Its gradient with respect to a process's own share, times the number of processes, averaged by
DistributedDataParallel, is the gradient of one process. What is not divided is computed by all alike, and averages to
itself.

Layers with batch statistics see the rows of their own process: convert them with ``torch.nn.SyncBatchNorm``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from graphforget.errors import InputError, PeerLost, unknown

BACKENDS = ("gloo", "nccl")


@dataclass(frozen=True)
class Workers:
    """The processes of a training.

    Args:
        rank: number of this process.
        size: how many there are.
        device: torch device string where this process should keep model and data.
    """

    rank: int = 0
    size: int = 1
    device: str = "cpu"

    @property
    def first(self) -> bool:
        """Is this the process that writes files and prints."""
        return self.rank == 0


ALONE = Workers()
_JOINED: list[Workers] = []
_SHARING: list[bool] = []  # one for each step of ``descend`` under way: only there gradients are averaged


def current() -> Workers:
    """The processes of the innermost :func:`workers` block; one outside it.

    Example:
        >>> current().size, current().first
        (1, True)
    """
    return _JOINED[-1] if _JOINED else ALONE


@contextmanager
def workers(backend: str | None = None, timeout: float = 300.0) -> Iterator[Workers]:
    """Join the processes that ``torchrun`` has started; without it, go on as one process.

    Args:
        backend: ``gloo`` (CPU) or ``nccl`` (GPU); None takes nccl where torch sees a GPU.
        timeout: seconds after which a process that does not answer counts as dead.

    Raises:
        InputError: a backend that this machine does not have.
        PeerLost: another process died, or did not answer in time.

    Example:
        >>> with workers() as group:
        ...     group.size
        1
    """
    backend = backend or ("nccl" if torch.cuda.is_available() else "gloo")
    if backend not in BACKENDS:
        raise unknown("backend", backend, BACKENDS)
    if backend == "nccl" and not (torch.cuda.is_available() and dist.is_nccl_available()):
        raise InputError("backend nccl needs a GPU that torch sees (got none); use backend='gloo' for CPUs")
    if not timeout > 0:
        raise InputError(f"timeout must be positive, in seconds (got {timeout})")
    if not all(name in os.environ for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")):
        yield ALONE
        return
    with _peers():
        dist.init_process_group(backend, timeout=timedelta(seconds=timeout))
    device = "cpu" if backend == "gloo" else f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    if backend == "nccl":
        torch.cuda.set_device(device)
    _JOINED.append(Workers(dist.get_rank(), dist.get_world_size(), device))
    try:
        with _peers():
            yield _JOINED[-1]
            dist.barrier()  # no process leaves, and is missed, while another still works
    finally:
        _JOINED.pop()
        dist.destroy_process_group()


@contextmanager
def _peers() -> Iterator[None]:
    """Say what a failed exchange means."""
    try:
        yield
    except RuntimeError as error:
        known = isinstance(error, dist.DistError) or any(word in str(error) for word in ("gloo", "Connection closed"))
        if not known:
            raise
        raise PeerLost(
            "another process of this training died or did not answer in time; torchrun --max-restarts N starts all of "
            f"them again, and graphforget.checkpoints(folder) lets them go on where they were ({error})"
        ) from error


def check_batch(batch_size: int | None) -> None:
    """Refuse batches that have fewer elements than there are processes.

    Raises:
        InputError: some process would have nothing to do.
    """
    size = current().size
    if batch_size is not None and batch_size < size:
        raise InputError(f"batch_size must be at least the number of processes, {size} (got {batch_size})")


def shared(ask: Callable[[Any], Tensor]) -> Callable[[Any], Tensor]:
    """Divide what a function answers about the rows of a batch among the processes.

    Args:
        ask: from a batch (with ``size`` and ``take``) of B elements to [B, C].
    """

    def answer(batch: Any) -> Tensor:
        size = current().size
        if not _sharing(batch.size):
            return ask(batch)
        rows = torch.arange(batch.size, device=batch.label.device).tensor_split(size)
        return in_parts([len(part) for part in rows], lambda k: ask(batch.take(rows[k])))

    return answer


def in_parts(sizes: Sequence[int], compute: Callable[[int], Tensor]) -> Tensor:
    """[sum(sizes), C] rows of all parts in order, each computed by one of the processes.

    Args:
        sizes: rows of each part.
        compute: number of a part -> its rows [size, C].

    Example:
        >>> in_parts([1, 2], lambda k: torch.full((k + 1, 1), float(k))).flatten().tolist()
        [0.0, 1.0, 1.0]
    """
    group = current()
    if not _sharing(len(sizes)):
        return torch.cat([compute(k) for k in range(len(sizes))])
    _SHARING[-1] = False  # what a part computes is its own process's business
    try:
        own = torch.cat([compute(k) for k in range(group.rank, len(sizes), group.size)])
    finally:
        _SHARING[-1] = True
    if own.requires_grad:
        own.register_hook(lambda grad: grad * group.size)  # DistributedDataParallel divides by it
    shares = [list(sizes[rank :: group.size]) for rank in range(group.size)]
    sent = own.detach().new_zeros(max(map(sum, shares)), *own.shape[1:])
    sent[: len(own)] = own.detach()
    received = [torch.empty_like(sent) for _ in shares]
    dist.all_gather(received, sent)
    received[group.rank] = own
    blocks = [rows[: sum(share)].split(share) for rows, share in zip(received, shares, strict=True)]
    return torch.cat([blocks[k % group.size][k // group.size] for k in range(len(sizes))])


def by_columns(compute: Callable[[Tensor], Tensor], value: Tensor) -> Tensor:
    """[N, d] of a map that treats columns alike (a propagation), the columns divided among the processes.

    Args:
        compute: from [N, k] columns to [N, k].
        value: [N, d].
    """
    size = current().size
    if not _sharing(value.shape[1]):
        return compute(value)
    columns = value.tensor_split(size, dim=1)
    return in_parts([part.shape[1] for part in columns], lambda k: compute(columns[k].contiguous()).t()).t()


def _sharing(parts: int) -> bool:
    """Is there something to divide, and would its gradient be averaged."""
    size = current().size
    return bool(_SHARING and _SHARING[-1]) and 1 < size <= parts and torch.is_grad_enabled()


def agreed(value: float) -> float:
    """The first process's value, on every process: machines may differ in a last digit, and must not in a decision."""
    group = current()
    if group.size == 1:
        return value
    told = torch.tensor([value], dtype=torch.float64, device=group.device)
    dist.broadcast(told, 0)
    return float(told)


def from_first(data: bytes | None) -> bytes | None:
    """The bytes that the first process has read, on every process; None where it has none."""
    group = current()
    if group.size == 1:
        return data
    length = int(agreed(-1 if data is None else len(data)))
    if length < 0:
        return None
    told = torch.zeros(length, dtype=torch.uint8)
    if group.first and data is not None:
        told = torch.frombuffer(bytearray(data), dtype=torch.uint8)
    told = told.to(group.device)
    dist.broadcast(told, 0)
    return told.cpu().numpy().tobytes()


class _Ended(Exception):
    """An epoch has no further step."""


class _Step(nn.Module):
    """A step's loss, computed inside DistributedDataParallel's forward as it asks for."""

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        super().__init__()
        self.chosen = nn.ParameterList(parameters)

    def forward(self, losses: Iterator[Tensor]) -> Tensor:
        _SHARING.append(True)
        try:
            for loss in losses:
                return loss
        finally:
            _SHARING.pop()
        raise _Ended


class Steps:
    """Takes the losses of an epoch one by one, so that ``backward`` leaves the gradient of the whole batch.

    Args:
        parameters: what is optimised.
    """

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        self.averaged: nn.Module | None = None
        if current().size > 1:
            self.averaged = DistributedDataParallel(_Step(parameters), find_unused_parameters=True)

    def next(self, losses: Iterator[Tensor]) -> Tensor | None:
        """The next step's loss; None at the end of the epoch."""
        if self.averaged is None:
            return next(losses, None)
        try:
            loss: Tensor = self.averaged(losses)
        except _Ended:
            return None
        return loss
