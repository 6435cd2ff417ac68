from __future__ import annotations

import multiprocessing

import numba

from graphforget import kernels
from graphforget.kernels import threads


def in_a_child(start: int) -> list[int]:
    return kernels.locate([0, 2, 3], [1, 4, 0], [start, 1], [4, 0]).tolist()


def test_a_kernel_runs_in_a_forked_process_after_it_ran_in_the_parent():
    """GNU OpenMP ends a forked process that enters it again; the serial twin does not."""
    before = numba.get_num_threads()
    numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
    try:
        assert in_a_child(0) == [1, 2]
        with multiprocessing.get_context("fork").Pool(2) as pool:
            assert pool.map_async(in_a_child, [0, 0]).get(timeout=60) == [[1, 2], [1, 2]]
    finally:
        numba.set_num_threads(before)
    assert not threads._FORKED
