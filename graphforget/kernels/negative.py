import numpy as np

from graphforget.kernels.csr import locate


def uniform_negatives(indptr, indices, num, num_dst, seed, exclude_self=True, upper=False):
    rng = np.random.default_rng(seed)
    n = len(indptr) - 1
    if len(np.unique(indices)) and n * num_dst - len(indices) - (n if exclude_self else 0) <= 0:
        raise ValueError("the graph is complete: it has no non-edge")
    out, have = [], 0
    while have < num:
        u, v = rng.integers(0, n, 2 * num + 16), rng.integers(0, num_dst, 2 * num + 16)
        ok = locate(indptr, indices, u, v) < 0
        if exclude_self:
            ok &= u != v
        out.append(np.stack([u[ok], v[ok]]))
        have += int(ok.sum())
    return np.concatenate(out, 1)[:, :num]
