"""Slow, obvious oracles in plain Python and numpy, written from the definitions and not from the code."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

Pairs = Iterable[tuple[int, int]]

# --- random numbers: splitmix64 in Python's own integers ---

WORD = 2**64


def splitmix(state: int, count: int) -> list[int]:
    """The first outputs of splitmix64 from a state, as in the reference implementation."""
    found = []
    for _ in range(count):
        state = (state + 0x9E3779B97F4A7C15) % WORD
        z = state
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % WORD
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % WORD
        found.append(z ^ (z >> 31))
    return found


def mix(z: int) -> int:
    return splitmix(z, 1)[0]


def bounded(state: int, bound: int) -> int:
    """Reject the values beyond the last multiple of the bound, then take the rest."""
    for value in splitmix(state, 1000):
        if value < WORD - WORD % bound:
            return value % bound
    raise AssertionError("a thousand rejections")


def below(state: int, bound: int) -> int:
    """Take the upper half of the product of a word's upper half and the bound; draw again where that is biased."""
    for value in splitmix(state, 1000):
        product = (value >> 32) * bound
        if product % 2**32 >= 2**32 % bound:
            return product >> 32
    raise AssertionError("a thousand rejections")


def rank(seed: int, row: int, bound: int) -> int:
    """The first bounded number of a row's stream."""
    return bounded(mix(mix(seed) ^ row), bound)


# --- compressed rows ---


def rows_of(indptr: Sequence[int], indices: Sequence[int]) -> list[list[int]]:
    return [[int(v) for v in indices[indptr[r] : indptr[r + 1]]] for r in range(len(indptr) - 1)]


def from_coo(pairs: Sequence[tuple[int, int]], num_rows: int) -> tuple[list[int], list[int], list[int]]:
    order = sorted(range(len(pairs)), key=lambda at: (*pairs[at], at))
    indptr = [sum(u < row for u, _ in pairs) for row in range(num_rows + 1)]
    return indptr, [pairs[at][1] for at in order], order


def locate(indptr: Sequence[int], indices: Sequence[int], wanted: Pairs) -> list[int]:
    rows = rows_of(indptr, indices)
    return [int(indptr[u]) + rows[u].index(v) if v in rows[u] else -1 for u, v in wanted]


def common_neighbors(
    indptr: Sequence[int], indices: Sequence[int], pairs: Pairs, weights: Sequence[float] | None = None
) -> list[float]:
    rows = [set(row) for row in rows_of(indptr, indices)]
    return [sum(1 if weights is None else weights[w] for w in sorted(rows[u] & rows[v])) for u, v in pairs]


def remove(indptr: Sequence[int], indices: Sequence[int], slots: Iterable[int]) -> list[list[int]]:
    """The rows that are left."""
    gone = set(slots)
    return [
        [int(indices[slot]) for slot in range(indptr[row], indptr[row + 1]) if slot not in gone]
        for row in range(len(indptr) - 1)
    ]


# --- neighbourhoods ---


def k_hop_distance(indptr: Sequence[int], indices: Sequence[int], seeds: Iterable[int], k: int) -> list[int]:
    """By powers of the adjacency matrix: a node is as far as the first power that reaches it."""
    rows = rows_of(indptr, indices)
    step = np.eye(len(rows), dtype=np.int64)
    for u, row in enumerate(rows):
        step[u, row] = 1
    reached = np.zeros(len(rows), dtype=np.int64)
    reached[list(seeds)] = 1
    found = np.where(reached, 0, -1)
    for hop in range(1, k + 1):
        reached = np.minimum(reached @ step, 1)
        found[(found < 0) & (reached > 0)] = hop
    return [int(each) for each in found]


def induced_edges(indptr: Sequence[int], indices: Sequence[int], nodes: Sequence[int]) -> list[tuple[int, int, int]]:
    """(slot, position of the source, position of the target) of every edge among the nodes."""
    place = {int(node): at for at, node in enumerate(nodes)}
    return [
        (slot, place[row], place[int(indices[slot])])
        for row in range(len(indptr) - 1)
        for slot in range(indptr[row], indptr[row + 1])
        if row in place and int(indices[slot]) in place
    ]


# --- negatives ---


def non_edges(
    indptr: Sequence[int], indices: Sequence[int], num_dst: int, *, exclude_self: bool, upper: bool = False
) -> list[list[int]]:
    """The destinations that each row may draw, in order."""
    return [
        [v for v in range(num_dst) if v not in row and not (exclude_self and u == v) and not (upper and v < u)]
        for u, row in enumerate(rows_of(indptr, indices))
    ]


def structured_negatives(free: list[list[int]], sources: Iterable[int], seed: int) -> list[int]:
    """What order statistics must give: the rank drawn from stream i, looked up in the list of non-neighbours."""
    return [free[source][rank(seed, i, len(free[source]))] for i, source in enumerate(sources)]


def uniform_negatives(free: list[list[int]], num: int, seed: int) -> list[tuple[int, int]]:
    pairs = [(u, v) for u, row in enumerate(free) for v in row]
    return [pairs[rank(seed, i, len(pairs))] for i in range(num)]


def top_k(scores, hidden, k):
    """Ids of the k highest scores that are not hidden, ties by id, filled with -1."""
    shown = sorted((-score, column) for column, score in enumerate(scores) if column not in hidden)
    ids = [column for _, column in shown[:k]]
    return ids + [-1] * (k - len(ids))


def three_paths(edges, user, item, user_weight=None, item_weight=None):
    """Paths user - i - u - item with u another user and i another item, each by the weights of u and i."""
    return sum(
        (1 if user_weight is None else user_weight[u] * item_weight[i]) * ((user, i) in edges and (u, i) in edges)
        for u, last in edges
        if last == item and u != user
        for i in {other for _, other in edges}
        if i != item
    )
