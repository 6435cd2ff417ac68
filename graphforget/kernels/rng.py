"""Counter-based random numbers: one splitmix64 stream a row.

Row ``i`` of a kernel draws from the stream that starts at ``mix(mix(seed) ^ i)``. It depends on nothing else, so a
result is the same for one thread and for many, and with the JIT off. The jitted helpers take and return uint64; a state
is handed on explicitly, because a kernel has no mutable state to keep it in.

Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014 (splitmix64).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit

F = TypeVar("F", bound=Callable[..., Any])

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MAX = np.uint64(2**64 - 1)
_CHILD = np.uint64(0xD1B54A32D192ED03)  # keeps the child seeds of a seed apart from its rows' streams


def wrapping(function: F) -> F:
    """Compile a function whose uint64 arithmetic wraps around; with the JIT off, numpy is told that it is meant to."""
    compiled: object = njit(cache=True)(function)
    if compiled is function:
        compiled = np.errstate(over="ignore")(function)
    return cast(F, compiled)


@wrapping
def mix(z: np.uint64) -> np.uint64:
    """Scramble 64 bits: one step of splitmix64, a bijection."""
    z = z + _GOLDEN
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@wrapping
def stream(seed: np.uint64, row: int) -> np.uint64:
    """Return the state in which the stream of a row (0 or more) starts."""
    return mix(mix(seed) ^ np.uint64(row))


@wrapping
def next_u64(state: np.uint64) -> tuple[np.uint64, np.uint64]:
    """Return (64 random bits, the next state)."""
    return mix(state), state + _GOLDEN


@wrapping
def bounded(state: np.uint64, bound: int) -> tuple[Any, np.uint64]:
    """Return (an int64 uniform on [0, bound), the next state); ``bound`` lies in [1, 2**63).

    Unbiased by rejection: a draw from the last, incomplete block of ``bound`` values is drawn again. That happens with
    probability below bound / 2**64, so never more than every other time, and one division serves the test and the rest.
    """
    size = np.uint64(bound)
    last = _MAX - (size - np.uint64(1))  # where the last complete block may start
    value, state = next_u64(state)
    rest = value % size
    while value - rest > last:
        value, state = next_u64(state)
        rest = value % size
    return np.int64(rest), state


@wrapping
def below(state: np.uint64, bound: int) -> tuple[Any, np.uint64]:
    """Return (an int64 uniform on [0, bound), the next state), ``bound`` in [1, 2**32): no division but on rejection.

    Source: Lemire, "Fast random integer generation in an interval", ACM TOMACS 2019.
    """
    size, half = np.uint64(bound), np.uint64(32)
    low_bits = np.uint64(2**32 - 1)
    value, state = next_u64(state)
    product = (value >> half) * size
    if (product & low_bits) < size:
        least = (np.uint64(2**32) - size) % size
        while (product & low_bits) < least:
            value, state = next_u64(state)
            product = (value >> half) * size
    return np.int64(product >> half), state


def as_seed(seed: int, name: str = "seed") -> np.uint64:
    """Check a seed and return it as kernels take it.

    Raises:
        ValueError: it is no integer in [0, 2**64).

    Example:
        >>> int(as_seed(7))
        7
    """
    given: object = seed
    if not isinstance(given, (int, np.integer)) or not 0 <= int(given) < 2**64:
        raise ValueError(f"{name} must be an integer in [0, 2**64) (got {seed!r})")
    return np.uint64(seed)


def derive(seed: int, *salt: int) -> int:
    """Derive a child seed, so that two samplers under one seed draw independently.

    Args:
        seed: an integer in [0, 2**64).
        salt: integers in [0, 2**64) that name the child; their order and number count.

    Returns:
        An integer in [0, 2**63).

    Raises:
        ValueError: the seed or a salt is no integer in its range.

    Example:
        >>> derive(0) == derive(0), derive(0, 1) == derive(0, 2), derive(0, 1, 2) == derive(0, 2, 1)
        (True, False, False)
    """
    state = mix(as_seed(seed) ^ _CHILD)
    for each in salt:
        state = mix(np.uint64(state) ^ as_seed(each, "salt"))
    return int(mix(np.uint64(state))) >> 1
