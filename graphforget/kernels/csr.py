import numpy as np
from numba import njit


@njit(cache=True)
def _from_coo(r, c, n, m):
    E = len(r)
    cnt = np.zeros(m + 1, np.int64)
    for i in range(E):
        cnt[c[i] + 1] += 1
    for i in range(m):
        cnt[i + 1] += cnt[i]
    p1 = np.empty(E, np.int64)
    for i in range(E):
        p1[cnt[c[i]]] = i
        cnt[c[i]] += 1
    ip = np.zeros(n + 1, np.int64)
    for i in range(E):
        ip[r[i] + 1] += 1
    for i in range(n):
        ip[i + 1] += ip[i]
    pos = ip.copy()
    perm = np.empty(E, np.int64)
    ind = np.empty(E, np.int64)
    for k in range(E):
        i = p1[k]
        q = pos[r[i]]
        pos[r[i]] += 1
        perm[q] = i
        ind[q] = c[i]
    return ip, ind, perm


def from_coo(rows, cols, num_rows, num_cols):
    return _from_coo(np.ascontiguousarray(rows, np.int64), np.ascontiguousarray(cols, np.int64), num_rows, num_cols)


@njit(cache=True)
def _locate(indptr, indices, r, c, out):
    for i in range(len(r)):
        a, b = indptr[r[i]], indptr[r[i] + 1]
        k = a + np.searchsorted(indices[a:b], c[i])
        out[i] = k if k < b and indices[k] == c[i] else -1


def locate(indptr, indices, rows, cols):
    out = np.empty(len(rows), np.int64)
    _locate(indptr, indices, np.ascontiguousarray(rows, np.int64), np.ascontiguousarray(cols, np.int64), out)
    return out


def contains(indptr, indices, rows, cols):
    return locate(indptr, indices, rows, cols) >= 0


@njit(cache=True)
def _common(indptr, indices, u, v, w, out):
    for e in range(len(u)):
        i, j = indptr[u[e]], indptr[v[e]]
        I, J = indptr[u[e] + 1], indptr[v[e] + 1]
        s = 0.0
        while i < I and j < J:
            if indices[i] == indices[j]:
                s += w[indices[i]]
                i += 1
                j += 1
            elif indices[i] < indices[j]:
                i += 1
            else:
                j += 1
        out[e] = s


def common_neighbors(indptr, indices, u, v, weights=None):
    out = np.empty(len(u))
    w = np.ones(len(indptr) - 1) if weights is None else weights
    _common(indptr, indices, np.ascontiguousarray(u), np.ascontiguousarray(v), w, out)
    return out
