import numpy as np
from numba import njit


@njit(cache=True)
def _distance(indptr, indices, seeds, k, out):
    front = np.empty(len(out), np.int64)
    size = 0
    for s in seeds:
        if out[s] < 0:
            out[s] = 0
            front[size] = s
            size += 1
    start = 0
    for h in range(1, k + 1):
        end = size
        for i in range(start, end):
            for q in range(indptr[front[i]], indptr[front[i] + 1]):
                v = indices[q]
                if out[v] < 0:
                    out[v] = h
                    front[size] = v
                    size += 1
        start = end


def k_hop_distance(indptr, indices, seeds, k):
    out = np.full(len(indptr) - 1, -1, np.int64)
    _distance(indptr, indices, np.ascontiguousarray(seeds, np.int64), k, out)
    return out


def k_hop_nodes(indptr, indices, seeds, k):
    return np.flatnonzero(k_hop_distance(indptr, indices, seeds, k) >= 0)
