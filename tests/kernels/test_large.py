"""Slots beyond 2^31: a CSR of more than two thousand million entries, all but a few of them holes of a sparse file."""

from __future__ import annotations

import numpy as np
import pytest

from graphforget import kernels

FIRST = 2**31 + 5  # slots of row 0, which are holes in the file: zeros that nobody reads


@pytest.fixture(scope="module")
def csr(tmp_path_factory):
    path = tmp_path_factory.mktemp("large") / "indices"
    try:
        indices = np.memmap(path, np.int64, "w+", shape=(FIRST + 5,))
    except OSError as error:
        pytest.skip(f"no sparse file of 16 GiB here ({error})")
    if path.stat().st_blocks * 512 > 2**20:
        pytest.skip("files have no holes here")
    indices[FIRST:] = [2, 3, 1, 1, 4]
    yield np.array([0, FIRST, FIRST + 2, FIRST + 3, FIRST + 5, FIRST + 5]), indices
    path.unlink()


def test_slots_are_int64(csr):
    slots = np.array([FIRST, FIRST + 1, FIRST + 2, FIRST + 4])
    assert kernels.locate(*csr, [1, 1, 2, 3], [2, 3, 1, 4]).tolist() == slots.tolist()
    offsets, drawn = kernels.draw_neighbors(*csr, [1, 2], -1, seed=0)
    assert (offsets.tolist(), drawn.tolist()) == ([0, 2, 3], slots[:3].tolist())
    assert set(kernels.draw_neighbors(*csr, [1] * 50, 1, seed=0)[1].tolist()) == set(slots[:2].tolist())
    assert kernels.k_hop_nodes(*csr, [2], 2).tolist() == [1, 2, 3]
    found, sources, targets = kernels.induced_edges(*csr, [1, 2, 3])
    assert found.tolist() == [*slots[:3].tolist(), FIRST + 3]
    assert (sources.tolist(), targets.tolist()) == ([0, 0, 1, 2], [1, 2, 0, 0])
    nodes, rows, cols, drawn = kernels.sample_neighbors(*csr, [2], [1, 2], seed=0)
    assert (nodes.tolist(), rows.tolist(), cols.tolist()) == ([2, 1, 3], [1, 0, 2], [0, 1, 1])
    assert drawn.tolist() == [FIRST + 2, FIRST, FIRST + 1]
    assert kernels.structured_negatives(*csr, [1], 5, seed=0).tolist()[0] in (0, 4)
    assert kernels.common_neighbors(*csr, [2], [3]).tolist() == [1]
