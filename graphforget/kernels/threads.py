"""One kernel, compiled twice: for one thread, and for many.

A process that was forked (a worker of torch's ``DataLoader``, of a process pool) must not enter GNU OpenMP again, which
would end it without a word; there, and where numba is told to use one thread, the serial twin runs. The results are the
same, since no kernel's result depends on the order of its iterations.
"""

from __future__ import annotations

import functools
import os
import types
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])

_FORKED: list[bool] = []  # holds one entry in a forked process
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=functools.partial(_FORKED.append, True))


def threaded(function: F) -> F:
    """Compile a kernel that loops by ``prange``; called from Python, it takes the threads it may have."""
    many = numba.njit(cache=True, parallel=True, nogil=True)(function)
    twin = types.FunctionType(function.__code__, function.__globals__, function.__name__, function.__defaults__)
    twin.__module__, twin.__qualname__ = function.__module__, f"{function.__qualname__}_serial"  # a cache of its own
    one = numba.njit(cache=True, nogil=True)(twin)

    @functools.wraps(function)
    def call(*args: Any) -> Any:
        return (one if _FORKED or numba.get_num_threads() == 1 else many)(*args)

    return cast(F, call)
