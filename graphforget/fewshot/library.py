"""What a retrieval-augmented classifier knows outside its weights: passages, and support texts of its classes.

A request names ``passage`` ids, ``support`` ids or a ``class``, which takes its support texts and the passages that are
about it. Ids never shift. What is deleted here is deleted exactly; the weights are another matter (see
:mod:`graphforget.fewshot.memory`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from graphforget.errors import InputError, unknown
from graphforget.fewshot.data import Texts

KINDS = ("passage", "support", "class")


@dataclass(frozen=True, eq=False)
class Library:
    """Passages and support texts, or a view of some of them.

    Args:
        passages: P texts with the class each is about; its name is the passage's title.
        support: S texts with their classes.
        passage_mask: [P] bool, the passages of this view; None means all.
        support_mask: [S] bool, likewise.

    Raises:
        InputError: no support text, or classes named otherwise.

    Example:
        >>> names = ("pay", "book")
        >>> known = Texts(("pay my bill", "a table for two"), torch.tensor([0, 1]), names)
        >>> library = Library(Texts(("bills are due",), torch.tensor([0]), names), known)
        >>> forget, retain = library.partition({"class": torch.tensor([0])})
        >>> retain.passage_ids().tolist(), retain.support_ids().tolist(), retain.classes
        ([], [1], [1])
    """

    passages: Texts
    support: Texts
    passage_mask: Tensor | None = None
    support_mask: Tensor | None = None

    def __post_init__(self) -> None:
        if self.passages.names != self.support.names:
            raise InputError("passages and support texts must share the names of the classes; pass the same tuple")
        if not len(self.support.texts):
            raise InputError("at least one support text is needed (got none)")

    @property
    def names(self) -> tuple[str, ...]:
        """Of all classes."""
        return self.support.names

    @property
    def classes(self) -> list[int]:
        """The classes that have a support text in this view."""
        found: list[int] = self.support.y[self.support_ids()].unique().tolist()
        return found

    def passage_ids(self) -> Tensor:
        """[p] passages of this view."""
        return _ids(self.passage_mask, len(self.passages.texts))

    def support_ids(self) -> Tensor:
        """[s] support texts of this view."""
        return _ids(self.support_mask, len(self.support.texts))

    def texts(self) -> set[str]:
        """Every text of this view."""
        return {self.passages.texts[row] for row in self.passage_ids().tolist()} | {
            self.support.texts[row] for row in self.support_ids().tolist()
        }

    def partition(self, parts: Mapping[str, Tensor]) -> tuple[Library, Library]:
        """Return (forget, retain).

        Raises:
            InputError: an unknown kind, ids that are not here, the last support text of a class (which is named), or a
                request for every class.
        """
        passages, support = torch.zeros(len(self.passages.texts)).bool(), torch.zeros(len(self.support.texts)).bool()
        for kind, ids in parts.items():
            if kind == "class":
                self._known(ids)
                passages |= torch.isin(self.passages.y, ids)
                support |= torch.isin(self.support.y, ids)
            elif kind == "passage":
                passages[_here(kind, ids, self.passage_ids())] = True
            elif kind == "support":
                support[_here(kind, ids, self.support_ids())] = True
            else:
                raise unknown("request kind", kind, KINDS)
        own_passages, own_support = (
            torch.isin(torch.arange(len(mask)), ids)
            for mask, ids in ((passages, self.passage_ids()), (support, self.support_ids()))
        )
        kept = own_support & ~support
        asked = set(parts["class"].tolist()) if "class" in parts else set()
        for label in self.classes:
            if label not in asked and not bool((self.support.y[kept] == label).any()):
                raise InputError(
                    f"the last support text of the class {self.names[label]!r} would go; name the class itself "
                    f"(class {label}) to forget it, or give it another text first"
                )
        if not bool(kept.any()):
            raise InputError("the request covers every class; a classifier needs one that is left")
        forget = replace(self, passage_mask=own_passages & passages, support_mask=own_support & support)
        return forget, replace(self, passage_mask=own_passages & ~passages, support_mask=kept)

    def scrub(self, parts: Mapping[str, Tensor], data: Library) -> Library:
        """Return this view without what the request names on ``data``."""
        return self.without(data.partition(parts)[0])

    def without(self, other: Library) -> Library:
        """The passages and support texts of this view that ``other`` does not speak for."""
        passages, support = (
            torch.isin(torch.arange(size), own) & ~torch.isin(torch.arange(size), gone)
            for size, own, gone in (
                (len(self.passages.texts), self.passage_ids(), other.passage_ids()),
                (len(self.support.texts), self.support_ids(), other.support_ids()),
            )
        )
        return replace(self, passage_mask=passages, support_mask=support)

    def _known(self, ids: Tensor) -> None:
        here = set(self.classes) | set(self.passages.y[self.passage_ids()].tolist())
        for label in ids.tolist():
            if label not in here:
                raise InputError(f"nothing here is of the class {label}; classes here: {sorted(here)[:20]}")


def _ids(mask: Tensor | None, size: int) -> Tensor:
    return torch.arange(size) if mask is None else mask.nonzero().flatten()


def _here(kind: str, ids: Tensor, known: Tensor) -> Tensor:
    outside = ids[~torch.isin(ids, known)]
    if len(outside):
        raise InputError(f"{kind} {int(outside[0])} is not here, or was forgotten before")
    return ids
