"""Sampled neighbourhoods of some seeds, hop by hop, over one kind of nodes or several.

A relation is a CSR whose row ``v`` holds the sources of the edges into node ``v``. A hop asks, relation by relation,
the nodes that the hop before has added; the sources drawn are added to their kind where they are new. Disjoint: each
seed has a subgraph of its own, a node may be in several. With times, nothing in it is later than the seed.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from graphforget.kernels.csr import IntArray, as_csr, as_ids
from graphforget.kernels.neighbor import ALL, as_fan_out, ends_by_time, slots_of
from graphforget.kernels.places import Hash, Table
from graphforget.kernels.rng import as_seed, derive

ONLY = ""  # the kind of nodes where there is one kind
Edges = tuple[IntArray, IntArray, IntArray]  # places of the sources, of the targets, slots
_NONE: Edges = (np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64))


@dataclass(frozen=True, eq=False)
class Relation:
    """Edges from one kind of nodes to one kind.

    Args:
        source: kind of the sources.
        target: kind of the targets.
        indptr: [num_targets + 1].
        indices: [E] sources of the edges, in any order; with ``time`` those of a row sorted by it.
        time: [E] time of each slot; None where the relation has no time.
    """

    source: str
    target: str
    indptr: IntArray
    indices: IntArray
    time: IntArray | None = None

    def __post_init__(self) -> None:
        """Check that the arrays fit together."""
        indptr, indices = as_csr(self.indptr, self.indices)
        object.__setattr__(self, "indptr", indptr)
        object.__setattr__(self, "indices", indices)
        if self.time is None:
            return
        time = as_ids("time", self.time)
        if len(time) != len(indices):
            raise ValueError(f"time must have an entry for each of the {len(indices)} slots (got {len(time)})")
        falls = np.flatnonzero(time[1:] < time[:-1]) + 1
        rows = np.searchsorted(indptr, falls, side="right") - 1
        if len(bad := np.flatnonzero(indptr[rows] != falls)):
            slot, row = falls[bad[0]], rows[bad[0]]
            raise ValueError(f"rows must be sorted by time (got {time[slot - 1]} then {time[slot]} in row {row})")
        object.__setattr__(self, "time", time)


@dataclass(frozen=True, eq=False)
class Sample:
    """Sampled subgraphs; dictionaries are by kind of nodes or by relation, as the sampler was given them.

    Args:
        nodes: [n] ids, the seeds first, then each hop's.
        batch: [n] the seed each node belongs to, when disjoint.
        rows: [m] place of each edge's source in its kind's nodes.
        cols: [m] place of each edge's target.
        slots: [m] of each edge in its relation.
        num_nodes: how many nodes the seeds and each hop brought.
        num_edges: how many edges each hop brought; None of an induced subgraph.
    """

    nodes: dict[str, IntArray]
    batch: dict[str, IntArray] | None
    rows: dict[str, IntArray]
    cols: dict[str, IntArray]
    slots: dict[str, IntArray]
    num_nodes: dict[str, list[int]]
    num_edges: dict[str, list[int]] | None


class HopSampler:
    """Sample neighbourhoods again and again on one graph; in one thread at a time.

    Args:
        relations: name -> edges.
        num_nodes: kind -> number of nodes.
        fan_outs: relation -> a number a hop: -1 for all neighbours, 0 for none.
        replace: draw with replacement.
        disjoint: a subgraph a seed.
        last: take the latest neighbours that are not too late, instead of drawing.

    Raises:
        ValueError: sizes or fan-outs that do not fit together, or a hop in which nothing would be drawn.

    Example:
        >>> ring = Relation(ONLY, ONLY, np.arange(5), np.array([1, 2, 3, 0]))
        >>> sample = HopSampler({"ring": ring}, {ONLY: 4}, {"ring": [1, 1]}).sample({ONLY: np.array([0])}, seed=0)
        >>> sample.nodes[ONLY].tolist(), sample.rows["ring"].tolist(), sample.cols["ring"].tolist()
        ([0, 1, 2], [1, 2], [0, 1])
    """

    def __init__(
        self,
        relations: Mapping[str, Relation],
        num_nodes: Mapping[str, int],
        fan_outs: Mapping[str, Sequence[int]],
        replace: bool = False,
        disjoint: bool = False,
        last: bool = False,
    ) -> None:
        self.relations, self.num_nodes = dict(relations), dict(num_nodes)
        self.fan_outs = {name: [as_fan_out(each, 0) for each in fan_outs[name]] for name in self.relations}
        self.replace, self.disjoint, self.last = bool(replace), bool(disjoint), bool(last)
        depths = {len(each) for each in self.fan_outs.values()}
        if len(depths) > 1:
            raise ValueError(f"every relation needs as many fan-outs (got {sorted(depths)})")
        self.hops = depths.pop() if depths else 0
        for hop in range(self.hops):
            if not any(each[hop] for each in self.fan_outs.values()):
                raise ValueError(f"a fan-out must be -1 (all neighbours) or 1 or more (got 0 in hop {hop + 1})")
        for name, one in self.relations.items():
            if len(one.indptr) - 1 != self.num_nodes[one.target]:
                size = self.num_nodes[one.target]
                raise ValueError(f"relation {name!r} must have {size} rows (got {len(one.indptr) - 1})")
            if one.time is not None and not self.disjoint:
                raise ValueError("sampling by time needs disjoint=True: each seed has a time of its own")
        self._tables = {} if disjoint else {kind: Table(count) for kind, count in self.num_nodes.items()}

    def sample(
        self,
        seeds: Mapping[str, npt.ArrayLike],
        seed: int,
        times: Mapping[str, npt.ArrayLike] | None = None,
        induced: bool = False,
    ) -> Sample:
        """Sample the subgraphs of some seeds.

        Args:
            seeds: kind -> ids; equal ids stay apart among the seeds, and edges lead to the first of them.
            seed: an integer in [0, 2**64).
            times: kind -> the time of each seed, needed where a relation has times.
            induced: return all edges among the nodes sampled, not only those drawn.

        Raises:
            ValueError: an id out of range, a missing time, or an induced subgraph when disjoint.
        """
        start = int(as_seed(seed))
        state = _State(self, seeds, times)
        if induced and self.disjoint:
            raise ValueError("an induced subgraph is that of all seeds together; leave out disjoint or induced")
        for hop in range(self.hops):
            for number, (name, relation) in enumerate(self.relations.items()):
                salt = np.uint64(derive(start, hop, number))
                state.draw(name, relation, self.fan_outs[name][hop], salt)
            state.advance()
        return state.sample(induced)


class _State:
    """What one call of :meth:`HopSampler.sample` has found so far."""

    def __init__(
        self, sampler: HopSampler, seeds: Mapping[str, npt.ArrayLike], times: Mapping[str, npt.ArrayLike] | None
    ) -> None:
        self.sampler = sampler
        self.nodes: dict[str, list[IntArray]] = {}  # the seeds, then what each hop has added
        self.batch: dict[str, list[IntArray]] = {}
        self.fresh: dict[str, list[IntArray]] = {kind: [] for kind in sampler.num_nodes}  # of the hop under way
        self.edges: dict[str, list[Edges]] = {name: [] for name in sampler.relations}
        self.before = dict.fromkeys(sampler.num_nodes, 0)  # places before those of the frontier
        self.places: dict[str, Table | Hash] = {}
        first, when = 0, []
        for kind in {**dict.fromkeys(seeds), **dict.fromkeys(sampler.num_nodes)}:  # the seeds' order counts batches
            if kind not in sampler.num_nodes:
                raise ValueError(f"the seeds must be of a kind of {sorted(sampler.num_nodes)} (got {kind!r})")
            ids = as_ids("seeds", seeds.get(kind, ()), sampler.num_nodes[kind])
            if kind in seeds and times is not None:
                when.append(as_ids("times", times.get(kind, ())))
                if len(when[-1]) != len(ids):
                    raise ValueError(f"times must have one entry a seed, {len(ids)} (got {len(when[-1])})")
            number = np.arange(first, first + len(ids))
            place = self.places[kind] = Hash() if sampler.disjoint else sampler._tables[kind]
            place.start(number * sampler.num_nodes[kind] + ids if sampler.disjoint else ids)
            self.nodes[kind], self.batch[kind] = [ids], [number]
            first += len(ids)
        if sampler.disjoint and first * max(sampler.num_nodes.values(), default=0) >= 2**63:
            raise ValueError(f"seeds times nodes must fit int64 (got {first} seeds); use smaller batches")
        self.times = np.concatenate(when) if when else None
        if self.times is None and any(one.time is not None for one in sampler.relations.values()):
            raise ValueError("the relations have times: give the time of each seed")

    def advance(self) -> None:
        """Make what the hop has added the frontier of the next."""
        disjoint = self.sampler.disjoint
        for kind, parts in self.fresh.items():
            ids = np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)
            self.before[kind] += len(self.nodes[kind][-1])
            if disjoint:
                count = max(self.sampler.num_nodes[kind], 1)
                self.batch[kind].append(ids // count)
                ids = ids % count
            self.nodes[kind].append(ids)
            parts.clear()

    def draw(self, name: str, relation: Relation, fan_out: int, salt: np.uint64) -> None:
        """Draw the sources of a relation for its frontier."""
        sampler, front = self.sampler, self.nodes[relation.target][-1]
        batch = self.batch[relation.target][-1]
        if fan_out == 0 or not len(front):
            self.edges[name].append(_NONE)
            return
        ends = None
        if relation.time is not None and self.times is not None:
            ends = ends_by_time(relation.indptr, front, relation.time, self.times[batch])
        offsets, slots = slots_of(
            relation.indptr, relation.indices, front, fan_out, salt, sampler.replace, ends, sampler.last
        )
        sources = relation.indices[slots]
        cols = np.empty_like(slots)
        _owners(offsets, self.before[relation.target], cols)
        keys = sources
        if sampler.disjoint:
            limit = sampler.num_nodes[relation.source]
            as_ids("indices", sources, limit)
            keys = batch[cols - self.before[relation.target]] * limit + sources
        rows, new = self.places[relation.source].place(keys)
        self.fresh[relation.source].append(new)
        self.edges[name].append((rows, cols, slots))

    def sample(self, induced: bool) -> Sample:
        """Put the parts together."""
        nodes = {kind: np.concatenate(parts) for kind, parts in self.nodes.items()}
        batch = {kind: np.concatenate(parts) for kind, parts in self.batch.items()}
        if induced:
            edges = {name: self._induced(one, nodes) for name, one in self.sampler.relations.items()}
        else:
            edges = {name: _joined(parts) for name, parts in self.edges.items()}
        counts = {name: [len(part[0]) for part in parts] for name, parts in self.edges.items()}
        return Sample(
            nodes=nodes,
            batch=batch if self.sampler.disjoint else None,
            rows={name: parts[0] for name, parts in edges.items()},
            cols={name: parts[1] for name, parts in edges.items()},
            slots={name: parts[2] for name, parts in edges.items()},
            num_nodes={kind: [len(part) for part in parts] for kind, parts in self.nodes.items()},
            num_edges=None if induced else counts,
        )

    def _induced(self, relation: Relation, nodes: Mapping[str, IntArray]) -> Edges:
        table = self.sampler._tables[relation.source]
        offsets, slots = slots_of(
            relation.indptr, relation.indices, nodes[relation.target], ALL, np.uint64(0), replace=False
        )
        rows = table.find(as_ids("indices", relation.indices[slots], self.sampler.num_nodes[relation.source]))
        cols = np.empty_like(slots)
        _owners(offsets, 0, cols)
        keep = rows >= 0
        return rows[keep], cols[keep], slots[keep]


def _joined(parts: Sequence[Edges]) -> Edges:
    if not parts:
        return _NONE
    rows, cols, slots = (np.concatenate(column) for column in zip(*parts, strict=True))
    return rows, cols, slots


@njit(cache=True, nogil=True)
def _owners(offsets: IntArray, first: int, out: IntArray) -> None:
    """Write for each entry which range of ``offsets`` it lies in, counted from ``first``."""
    for i in range(len(offsets) - 1):
        for j in range(offsets[i], offsets[i + 1]):
            out[j] = first + i


def sample_neighbors(
    indptr: npt.ArrayLike,
    indices: npt.ArrayLike,
    seeds: npt.ArrayLike,
    fan_outs: Sequence[int],
    seed: int,
    replace: bool = False,
) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """Sample the neighbourhood of some seeds in a graph of one kind of nodes.

    Args:
        indptr: [N + 1].
        indices: [E] in [0, N).
        seeds: [n] in [0, N).
        fan_outs: neighbours a node, hop by hop; -1 takes all.
        seed: an integer in [0, 2**64).
        replace: draw with replacement.

    Returns:
        nodes [m], the seeds first; and of each edge drawn its source's and its target's place in them and its slot.

    Raises:
        ValueError: the arrays do not fit together, an id is out of range, or a fan-out is neither -1 nor 1 or more.

    Example:
        >>> found = sample_neighbors([0, 1, 2, 3, 3], [1, 2, 3], [0], [-1, -1], seed=0)
        >>> [part.tolist() for part in found]
        [[0, 1, 2], [1, 2], [0, 1], [0, 1]]
    """
    for each in fan_outs:
        as_fan_out(operator.index(each))
    relation = Relation(ONLY, ONLY, np.asarray(indptr), np.asarray(indices))
    found = HopSampler({ONLY: relation}, {ONLY: len(relation.indptr) - 1}, {ONLY: fan_outs}, replace)
    one = found.sample({ONLY: seeds}, seed)
    return one.nodes[ONLY], one.rows[ONLY], one.cols[ONLY], one.slots[ONLY]
