"""A bounded sample of what has been learned, from which the forgotten are taken out exactly.

Reservoir sampling (Vitter, 1985) gives every element the same chance to be kept. Deletions keep it so by random pairing
(Gemulla, Lehner, Haas, VLDB 2006): a later element makes up for a deleted one, and is kept with the share of the
deleted that had been in the sample. What is left after a deletion is a uniform sample of what remains.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from graphforget.errors import InputError
from graphforget.task import Batch


@dataclass(eq=False)
class Reservoir:
    """At most ``capacity`` elements, with what a learner notes beside each.

    Args:
        capacity: the bound.

    Raises:
        InputError: a bound under 1.

    Example:
        >>> memory = Reservoir(2)
        >>> memory.offer(Batch(torch.arange(5), torch.tensor([0, 1, 0, 1, 0])), torch.Generator().manual_seed(0))
        >>> len(memory)
        2
        >>> memory.drop(torch.arange(5), 5)
        >>> len(memory)
        0
    """

    capacity: int
    seen: int = 0
    held: list[tuple[Tensor, Tensor, Tensor | None]] = field(default_factory=list)  # index, label, the learner's note
    inside: int = 0  # deleted from the sample and not made up for yet
    outside: int = 0  # deleted elsewhere, likewise

    def __post_init__(self) -> None:
        if self.capacity < 1:
            raise InputError(f"a buffer must hold at least 1 element (got {self.capacity})")

    def __len__(self) -> int:
        return len(self.held)

    @property
    def index(self) -> Tensor:
        """[..., m] what is held."""
        return torch.stack([each[0] for each in self.held], dim=-1) if self.held else torch.empty(0).long()

    @property
    def label(self) -> Tensor:
        """[m] labels of what is held."""
        return torch.stack([each[1] for each in self.held]) if self.held else torch.empty(0).long()

    def offer(self, batch: Batch, rng: torch.Generator, notes: Tensor | None = None) -> None:
        """Offer elements, each once in its life.

        Args:
            batch: B elements.
            rng: of the choice.
            notes: [B, ...] what is kept beside them (answers of the model).
        """
        for row in range(batch.size):
            note = None if notes is None else notes[row].clone()
            self._one((batch.index[..., row].clone(), batch.label[row].clone(), note), rng)

    def _one(self, element: tuple[Tensor, Tensor, Tensor | None], rng: torch.Generator) -> None:
        self.seen += 1
        if holes := self.inside + self.outside:
            if int(torch.randint(holes, (1,), generator=rng)) < self.inside:
                self.inside -= 1
                self.held.append(element)
            else:
                self.outside -= 1
        elif len(self.held) < self.capacity:
            self.held.append(element)
        else:
            place = int(torch.randint(self.seen, (1,), generator=rng))
            if place < self.capacity:
                self.held[place] = element

    def draw(self, count: int, rng: torch.Generator) -> tuple[Batch, Tensor | None] | None:
        """A random batch of at most ``count`` elements with their notes; None of an empty buffer."""
        if not self.held:
            return None
        chosen = [self.held[place] for place in torch.randperm(len(self.held), generator=rng)[:count].tolist()]
        batch = Batch(torch.stack([each[0] for each in chosen], dim=-1), torch.stack([each[1] for each in chosen]))
        notes = [each[2] for each in chosen if each[2] is not None]
        return batch, torch.stack(notes) if len(notes) == len(chosen) else None

    def drop(self, gone: Tensor, total: int) -> None:
        """Take elements out, with their notes.

        Args:
            gone: [n] ids; a pair goes with either of its ends.
            total: how many elements that have been offered go, those included that are not held.
        """
        before = len(self.held)
        self.held = [each for each in self.held if not bool(torch.isin(each[0], gone.to(each[0].device)).any())]
        hit = before - len(self.held)
        self.inside += hit
        self.outside += max(total - hit, 0)
        self.seen -= max(total, hit)

    def count(self, ids: Tensor) -> int:
        """How many of these ids [n] are held: 0 once they are forgotten."""
        return int(torch.isin(self.index, ids.to(self.index.device)).sum())
