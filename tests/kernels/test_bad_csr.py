"""Broken CSR arrays: every kernel names what is wrong; none reads beyond its arrays, hangs or answers silently."""

from __future__ import annotations

import numpy as np
import pytest

from graphforget import kernels

ONE = np.ones(1)
CALLS = {
    "locate": lambda *csr: kernels.locate(*csr, [0], [5]),
    "contains": lambda *csr: kernels.contains(*csr, [0], [5]),
    "common_neighbors": lambda *csr: kernels.common_neighbors(*csr, [0], [1]),
    "adamic_adar": lambda *csr: kernels.common_neighbors(*csr, [0], [1], [1.0, 1.0]),
    "transpose": lambda *csr: kernels.transpose(*csr, 2),
    "remove": lambda *csr: kernels.remove(*csr, [0]),
    "k_hop_nodes": lambda *csr: kernels.k_hop_nodes(*csr, [0], 2),
    "k_hop_distance": lambda *csr: kernels.k_hop_distance(*csr, [0], 2),
    "induced_edges": lambda *csr: kernels.induced_edges(*csr, [0, 1]),
    "draw_neighbors": lambda *csr: kernels.draw_neighbors(*csr, [0], 2, 0),
    "sample_neighbors": lambda *csr: kernels.sample_neighbors(*csr, [0], [2], 0),
    "structured_negatives": lambda *csr: kernels.structured_negatives(*csr, [0], 2, 0),
    "uniform_negatives": lambda *csr: kernels.uniform_negatives(*csr, 1, 2, 0),
    "bpr": lambda *csr: kernels.Negatives(*csr, 2),
    "sym_norm": kernels.sym_norm,
    "norm_patch": lambda *csr: kernels.norm_patch(*csr, ONE, np.array([1, 1]), [0]),
    "spmm": lambda *csr: kernels.spmm(*csr, ONE, np.ones((2, 2))),
    "masked_top_k": lambda *csr: kernels.masked_top_k(np.ones((1, 3)), *csr, [0], 2),
    "three_paths": lambda *csr: kernels.three_paths(*csr, [0, 1, 1], [0], [0], [0]),
    "check": lambda *csr: kernels.check(*csr, 2),
}


@pytest.mark.parametrize("middle", [10**9, -(10**9)], ids=["overflowing", "negative"])
@pytest.mark.parametrize("name", CALLS)
def test_an_offset_beyond_the_slots_is_refused(name, middle):
    with pytest.raises(ValueError, match=r"indptr|not lie in \[0|rows must lie"):
        CALLS[name]([0, middle, 1], [1])


DEEPER = {
    "adamic_adar": lambda column: kernels.common_neighbors([0, 1, 2], [column, column], [0], [1], [1.0, 1.0]),
    "sample_neighbors": lambda column: kernels.sample_neighbors([0, 1, 1], [column], [0], [2, 2], 0),
}
READS = sorted(CALLS.keys() - {"locate", "contains", "common_neighbors", "draw_neighbors", "remove", "norm_patch"})


@pytest.mark.parametrize("column", [-(10**9), 10**9])
@pytest.mark.parametrize("name", READS)
def test_a_column_that_is_none_is_refused(name, column):
    call = DEEPER.get(name, lambda column: CALLS[name]([0, 1, 1], [column]))
    with pytest.raises(ValueError, match=r"must lie in \[0, \d\)|one entry for each of the columns"):
        call(column)


@pytest.mark.parametrize("name", ["structured_negatives", "uniform_negatives", "bpr", "check"])
def test_an_unsorted_row_is_refused(name):
    with pytest.raises(ValueError, match="rows must be sorted"):
        CALLS[name]([0, 2, 2], [1, 0])


def test_an_unsorted_mask_is_refused():
    scores = np.array([[3.0, 2.0, 1.0]])
    with pytest.raises(ValueError, match=r"the mask of row 0 must be sorted \(got 1 then 0\)"):
        kernels.masked_top_k(scores, [0, 2], [1, 0], [0], 1)
    assert kernels.masked_top_k(scores, [0, 2], [1, 1], [0], 2).tolist() == [[0, 2]]  # a duplicate is no harm


@pytest.mark.parametrize("count", [-3, 2**63])
def test_a_number_of_destinations_that_does_not_fit_is_refused(count):
    with pytest.raises(ValueError, match=r"num_dst must (not be negative|fit int64)"):
        kernels.structured_negatives([0, 0], [], [0], count, 0)
    with pytest.raises(ValueError, match=r"num_dst must (not be negative|fit int64)"):
        kernels.uniform_negatives([0, 0], [], 1, count, 0)
