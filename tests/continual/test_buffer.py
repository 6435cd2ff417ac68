"""The buffer: every element the same chance, also after deletions; the forgotten leave exactly."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from graphforget.continual.buffer import Reservoir
from graphforget.errors import InputError
from graphforget.task import Batch

TRIALS = 600


def batch(ids: torch.Tensor) -> Batch:
    return Batch(ids, ids % 3)


def p_uniform(counts: np.ndarray) -> float:
    return float(stats.chisquare(counts).pvalue)


def test_every_element_has_the_same_chance_to_be_kept():
    rng, counts = torch.Generator().manual_seed(0), np.zeros(20)
    for _ in range(TRIALS):
        memory = Reservoir(5)
        memory.offer(batch(torch.arange(20)), rng)
        counts[memory.index.numpy()] += 1
    assert counts.sum() == 5 * TRIALS
    assert p_uniform(counts) > 0.001


def test_after_a_deletion_and_new_elements_all_that_is_left_has_the_same_chance():
    rng, counts = torch.Generator().manual_seed(0), np.zeros(30)
    gone = torch.arange(4, 12)
    for _ in range(TRIALS):
        memory = Reservoir(6)
        memory.offer(batch(torch.arange(20)), rng)
        memory.drop(gone, len(gone))
        assert memory.count(gone) == 0
        memory.offer(batch(torch.arange(20, 30)), rng)
        assert len(memory) <= 6
        assert memory.seen == 22
        counts[memory.index.numpy()] += 1
    assert not counts[4:12].any()
    assert p_uniform(np.delete(counts, np.arange(4, 12))) > 0.001


def test_a_deletion_is_made_up_for_before_anything_is_replaced():
    rng, memory = torch.Generator().manual_seed(0), Reservoir(10)
    memory.offer(batch(torch.arange(8)), rng)  # not full: all are in
    memory.drop(torch.arange(3), 3)
    memory.offer(batch(torch.arange(8, 11)), rng)
    assert sorted(memory.index.tolist()) == [*range(3, 11)]


def test_answers_leave_with_their_elements_and_labels_stay_beside_them():
    rng, memory = torch.Generator().manual_seed(0), Reservoir(9)
    ids = torch.arange(9)
    memory.offer(batch(ids), rng, notes=ids[:, None].float())
    memory.drop(ids[ids % 2 == 0], 5)
    drawn, notes = memory.draw(9, rng)
    assert sorted(drawn.index.tolist()) == [1, 3, 5, 7]
    assert notes.flatten().tolist() == drawn.index.tolist()
    assert drawn.label.equal(drawn.index % 3)


def test_pairs_go_with_either_end():
    rng, memory = torch.Generator().manual_seed(0), Reservoir(4)
    memory.offer(Batch(torch.tensor([[0, 1, 2], [1, 2, 3]]), torch.ones(3).long()), rng)
    memory.drop(torch.tensor([1]), 2)
    assert memory.index.tolist() == [[2], [3]]


def test_an_empty_buffer_has_nothing_to_replay_and_a_buffer_of_nothing_is_refused():
    assert Reservoir(3).draw(2, torch.Generator()) is None
    with pytest.raises(InputError, match=r"at least 1 element \(got 0\)"):
        Reservoir(0)
