"""Pairs of our kernel and a peer on one input, timed in turns in one run.

A row has the keys ``kernel peer size threads ours_s peer_s ratio``; the seconds are medians, the ratio is the peer's
over ours. Taking turns keeps what else the machine does out of the ratio, as far as that is possible.
"""

from __future__ import annotations

import operator
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

BUDGET = 120.0  # seconds for a pair: what takes longer is repeated less often, three times at least
LEAST = 3

Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Pair:
    """What is compared.

    Args:
        kernel: name of what is done.
        peer: name of who does it otherwise.
        size: of the input: edges, interactions or items, as the kernel's description says.
        ours: does it with our kernel, on what ``ready`` makes.
        theirs: does the same with the peer.
        same: raises if the two results of one turn are not what they should be to one another.
        ready: makes the input of a turn from its number, untimed.
    """

    kernel: str
    peer: str
    size: int
    ours: Callable[[Any], Any]
    theirs: Callable[[Any], Any]
    same: Callable[[Any, Any], None] | None = None
    ready: Callable[[int], Any] = operator.index


def measure(pair: Pair, threads: int, repeats: int) -> Row:
    """Time a pair in turns, after one turn that compiles and warms.

    Example:
        >>> row = measure(Pair("sum", "loop", 3, lambda _: sum(range(3)), lambda _: 0 + 1 + 2), 1, 3)
        >>> list(row), row["kernel"], row["threads"]
        (['kernel', 'peer', 'size', 'threads', 'ours_s', 'peer_s', 'ratio'], 'sum', 1)
    """
    first = pair.ready(0)
    mine, peers = pair.ours(first), pair.theirs(first)
    if pair.same is not None:
        pair.same(mine, peers)
    del mine, peers
    ours: list[float] = []
    theirs: list[float] = []
    begun = time.perf_counter()
    for turn in range(1, repeats + 1):
        if turn > LEAST and time.perf_counter() - begun > BUDGET:
            break
        made = pair.ready(turn)
        ours.append(_seconds(pair.ours, made))
        theirs.append(_seconds(pair.theirs, made))
    mine_s, peer_s = statistics.median(ours), statistics.median(theirs)
    return {
        "kernel": pair.kernel,
        "peer": pair.peer,
        "size": pair.size,
        "threads": threads,
        "ours_s": mine_s,
        "peer_s": peer_s,
        "ratio": peer_s / mine_s,
    }


def _seconds(work: Callable[[Any], Any], made: Any) -> float:
    begun = time.perf_counter()
    work(made)
    return time.perf_counter() - begun
