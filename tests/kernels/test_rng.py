from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from graphforget import kernels
from graphforget.kernels import rng
from tests import naive

U64 = st.integers(0, 2**64 - 1)


def test_mix_gives_the_reference_vectors_of_splitmix64():
    known = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821]
    assert naive.splitmix(1234567, 5) == known
    state, drawn = np.uint64(1234567), []
    for _ in known:
        value, state = (np.uint64(each) for each in rng.next_u64(state))
        drawn.append(int(value))
    assert drawn == known


@given(seed=U64, row=st.integers(0, 2**62))
def test_a_stream_starts_where_the_definition_says(seed, row):
    assert int(rng.stream(np.uint64(seed), row)) == naive.mix(naive.mix(seed) ^ row)


@given(state=U64, bound=st.integers(1, 2**32 - 1) | st.integers(1, 100))
def test_below_equals_the_definition(state, bound):
    value, _ = rng.below(np.uint64(state), bound)
    assert int(value) == naive.below(state, bound)


def test_below_is_unbiased_where_a_product_alone_would_not_be():
    bound = 3 * 2**30
    drawn = np.array([int(rng.below(np.uint64(rng.stream(np.uint64(6), row)), bound)[0]) for row in range(6000)])
    assert stats.chisquare(np.bincount(drawn // 2**30, minlength=3)).pvalue > 1e-4
    assert stats.chisquare(np.bincount(drawn % 3, minlength=3)).pvalue > 1e-4


@given(state=U64, bound=st.integers(1, 2**63 - 1) | st.integers(1, 100))
def test_bounded_equals_the_definition(state, bound):
    value, _ = rng.bounded(np.uint64(state), bound)
    assert int(value) == naive.bounded(state, bound)


def test_bounded_is_unbiased_where_the_remainder_alone_would_not_be():
    """With a bound of 3 * 2**61 a remainder without rejection falls into the first two thirds with 3/4, not 2/3."""
    bound, low = 3 * 2**61, 0
    for row in range(4000):
        value, _ = rng.bounded(np.uint64(rng.stream(np.uint64(5), row)), bound)
        assert 0 <= int(value) < bound
        low += int(value) < 2**62
    assert stats.binomtest(low, 4000, 2 / 3).pvalue > 1e-4


def test_streams_are_uniform_and_unlike_their_neighbours():
    bits = np.array([int(rng.next_u64(np.uint64(rng.stream(np.uint64(0), row)))[0]) for row in range(4000)], np.uint64)
    assert stats.chisquare(np.bincount((bits >> np.uint64(59)).astype(int), minlength=32)).pvalue > 1e-4
    unit = bits / 2.0**64
    assert abs(np.corrcoef(unit[1:], unit[:-1])[0, 1]) < 0.06


def test_derive_separates_children():
    children = {rng.derive(seed, *salt) for seed in range(50) for salt in [(), (0,), (1,), (0, 0), (0, 1), (1, 0)]}
    assert len(children) == 300
    assert all(isinstance(child, int) and 0 <= child < 2**63 for child in children)
    assert rng.derive(2**64 - 1, 2**64 - 1) == rng.derive(2**64 - 1, 2**64 - 1)


@pytest.mark.parametrize("seed", [-1, 2**64, 0.5, None, "7"])
def test_a_seed_outside_the_range_is_named(seed):
    with pytest.raises(ValueError, match=r"seed must be an integer in \[0, 2\*\*64\) \(got"):
        rng.derive(seed)
    with pytest.raises(ValueError, match=r"salt must be"):
        rng.derive(0, seed)


# --- every kernel: one thread equals many, and the JIT on equals the JIT off ---


def everything(num_nodes: int, num_edges: int, num: int) -> Iterator[tuple[str, bytes]]:
    """Name and digest of what every public kernel returns on one random graph with duplicates and self-loops."""
    draw = np.random.default_rng(3)
    rows, cols = draw.integers(0, num_nodes, (2, num_edges))
    u, v = draw.integers(0, num_nodes, (2, num))
    indptr, indices, perm = kernels.from_coo(rows, cols, num_nodes, num_nodes)
    twins = kernels.from_coo(*np.unique(np.hstack([[rows, cols], [cols, rows]]), axis=1), num_nodes, num_nodes)[:2]
    nodes = kernels.k_hop_nodes(indptr, indices, u[:3], 2)
    results = {
        "from_coo": (indptr, indices, perm),
        "transpose": kernels.transpose(indptr, indices, num_nodes),
        "locate": (kernels.locate(indptr, indices, u, v), kernels.contains(indptr, indices, rows, cols)),
        "common": (kernels.common_neighbors(indptr, indices, u, v),),
        "weighted": (kernels.common_neighbors(indptr, indices, u, v, draw.random(num_nodes)),),
        "remove": kernels.remove(indptr, indices, np.arange(0, num_edges, 3)),
        "khop": (nodes, kernels.k_hop_distance(indptr, indices, u[:3], 2)),
        "induced": kernels.induced_edges(indptr, indices, nodes),
        "structured": (kernels.structured_negatives(indptr, indices, u, num_nodes, seed=2**63 + 9),),
        "bipartite": (kernels.structured_negatives(indptr, indices, u, num_nodes + 5, seed=1, exclude_self=False),),
        "uniform": (kernels.uniform_negatives(indptr, indices, num, num_nodes, seed=2),),
        "upper": (kernels.uniform_negatives(indptr, indices, num, num_nodes, seed=3, upper=True),),
        "neighbors": kernels.draw_neighbors(indptr, indices, u, 3, seed=4),
        "many_neighbors": kernels.draw_neighbors(indptr, indices, u[:9], 40, seed=4),
        "replaced": kernels.draw_neighbors(indptr, indices, u, 3, seed=5, replace=True),
        "hops": kernels.sample_neighbors(indptr, indices, np.unique(u)[:9], [3, 2], seed=6),
        "bpr": (kernels.Negatives(indptr, indices, num_nodes + 3).draw(u, seed=7),),
        "popular": (kernels.Negatives(indptr, indices, num_nodes + 3, np.arange(num_nodes + 3) + 1.0).draw(u, seed=8),),
        "alias": kernels.alias_table(np.arange(num_nodes)),
        "spmm": (kernels.spmm(indptr, indices, draw.random(num_edges), draw.random((num_nodes, 5))),),
        "norm": (kernels.sym_norm(*twins),),
        "top_k": (kernels.masked_top_k(draw.random((40, num_nodes)), indptr, indices, np.arange(40) % num_nodes, 5),),
        "derive": (np.array([kernels.derive(4, 5)]),),
    }
    for name, arrays in results.items():
        whole = b"".join(f"{array.dtype}{array.shape}".encode() + array.tobytes() for array in arrays)
        yield name, hashlib.sha256(whole).hexdigest().encode()


def test_one_thread_equals_many():
    most = numba.config.NUMBA_NUM_THREADS
    if most == 1:
        pytest.skip("numba was given one thread")
    before = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        alone = dict(everything(5000, 40_000, 30_000))
        numba.set_num_threads(most)
        assert dict(everything(5000, 40_000, 30_000)) == alone
    finally:
        numba.set_num_threads(before)


def test_jit_off_equals_jit_on_without_a_warning():
    code = "from tests.kernels.test_rng import everything as e; print(dict(e(12, 30, 20)))"
    command = [sys.executable, "-W", "error::RuntimeWarning", "-c", code]
    off = subprocess.run(
        command,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert off.returncode == 0, off.stderr
    assert off.stdout.strip() == str(dict(everything(12, 30, 20)))
