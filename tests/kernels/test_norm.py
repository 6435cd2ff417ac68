from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch_geometric.nn.conv.gcn_conv import gcn_norm

from graphforget.kernels import csr, norm

N = 9
PAIRS = st.sets(st.tuples(st.integers(0, N - 1), st.integers(0, N - 1)), min_size=1, max_size=25)


def both(pairs):
    closed = sorted({*pairs, *((v, u) for u, v in pairs)})
    rows, cols = zip(*closed, strict=True)
    return csr.from_coo(rows, cols, N, N)[:2]


def normalised(indptr, indices, alive):
    """By PyG, on the edges that are left; 0 where there is none."""
    rows = np.repeat(np.arange(N), np.diff(indptr))
    kept = torch.from_numpy(np.stack([indices[alive], rows[alive]]))
    found = np.zeros(len(indices))
    found[alive] = gcn_norm(kept, None, N, add_self_loops=False, dtype=torch.float64)[1].numpy()
    return found


@given(PAIRS, st.data())
def test_patches_one_after_another_equal_a_new_normalisation(pairs, data):
    indptr, indices = both(pairs)
    rows = np.repeat(np.arange(N), np.diff(indptr))
    values, degree = norm.sym_norm(indptr, indices), np.diff(indptr)
    alive = np.ones(len(indices), dtype=bool)
    assert np.allclose(values, normalised(indptr, indices, alive))
    for _ in range(2):
        if not alive.any():
            break
        slots = data.draw(st.lists(st.sampled_from(np.flatnonzero(alive).tolist()), min_size=1, max_size=4))
        before = values.copy(), degree.copy()
        patch = norm.norm_patch(indptr, indices, values, degree, slots)
        assert np.array_equal(values, before[0])
        assert np.array_equal(degree, before[1])
        for slot in slots:
            alive[slot] = False
            alive[(rows == indices[slot]) & (indices == rows[slot])] = False
        values[patch.slots], degree[patch.nodes] = patch.new, patch.left
        assert np.allclose(values, normalised(indptr, indices, alive))
        assert degree.tolist() == np.bincount(rows[alive], minlength=N).tolist()
        touched = np.isin(rows, patch.nodes) | np.isin(indices, patch.nodes)
        assert touched[patch.slots].all()  # nothing else is read or written


def test_what_is_refused():
    indptr, indices = both({(0, 1), (1, 2)})
    values, degree = norm.sym_norm(indptr, indices), np.diff(indptr)
    values[0] = 0
    with pytest.raises(ValueError, match="slot 0 is deleted already"):
        norm.norm_patch(indptr, indices, values, degree, [0])
    with pytest.raises(ValueError, match=r"slots must lie in \[0, 4\)"):
        norm.norm_patch(indptr, indices, values, degree, [4])
    with pytest.raises(ValueError, match="must have 4 and 9 entries"):
        norm.norm_patch(indptr, indices, values[:1], degree, [1])
    one_way = np.array([0, 1, 1]), np.array([1])
    with pytest.raises(ValueError, match=r"slot 0 \(to 1\) has no twin"):
        norm.norm_patch(*one_way, np.ones(1), np.array([1, 1]), [0])
    with pytest.raises(ValueError, match=r"slot 0 \(to 1\) has no twin"):
        norm.sym_norm(*one_way)
    with pytest.raises(ValueError, match=r"indices must lie in \[0, 1\)"):
        norm.sym_norm([0, 1], [1])


def test_an_empty_request_changes_nothing():
    indptr, indices = both({(0, 1)})
    patch = norm.norm_patch(indptr, indices, norm.sym_norm(indptr, indices), np.diff(indptr), [])
    assert [len(part) for part in patch] == [0, 0, 0, 0]
