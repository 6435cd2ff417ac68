"""The passages that are nearest to a text: TF-IDF vectors and one matrix product, from which passages can be deleted.

Inverse document frequencies come from ``background`` texts. Where these are texts of their own, a deletion changes the
answer to those queries only that had a deleted passage among their nearest. Where they are the passages themselves (the
default), the deleted texts go out of the frequencies as well, and every query is asked anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphforget.errors import InputError


class Retriever:
    """The ``count`` nearest of a collection.

    Args:
        passages: all of them; their ids are their places.
        here: [p] ids of those that are there; None means all.
        count: n.
        background: texts that the frequencies come from; None takes the passages that are there.

    Raises:
        InputError: fewer passages than ``count``.

    Example:
        >>> found = Retriever(["pay a bill", "book a flight", "book a table"], count=1)
        >>> found.nearest(["a flight to Rome"])
        [[1]]
        >>> found.delete(torch.tensor([1]))
        >>> found.nearest(["a flight to Rome"])[0] != [1]
        True
    """

    def __init__(
        self,
        passages: Sequence[str],
        here: Tensor | None = None,
        *,
        count: int = 5,
        background: Sequence[str] | None = None,
    ) -> None:
        self.passages, self.count, self.background = tuple(passages), count, background
        self.here = torch.arange(len(self.passages)) if here is None else here
        self._fit()

    @property
    def own(self) -> bool:
        """The frequencies come from the passages themselves."""
        return self.background is None

    def _fit(self) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer

        if len(self.here) < self.count or self.count < 1:
            raise InputError(f"at least {max(self.count, 1)} passages are needed (got {len(self.here)}); ask for fewer")
        texts = [self.passages[row] for row in self.here.tolist()]
        self._vectors = TfidfVectorizer(sublinear_tf=True)
        self._vectors.fit(texts if self.background is None else self.background)
        self._matrix: Any = self._vectors.transform(texts)

    def nearest(self, queries: Sequence[str], without: Sequence[Tensor] | None = None) -> list[list[int]]:
        """The ids nearest to each query, nearest first, equal ones in the order of their ids.

        Args:
            queries: Q texts.
            without: of each query, passages that are left out.
        """
        if not len(queries):
            return []
        scores = (self._vectors.transform(queries) @ self._matrix.T).toarray()
        here = self.here.numpy()
        for row, left_out in enumerate(without or ()):
            scores[row, np.isin(here, left_out.numpy())] = -1.0
        order = np.argsort(-scores, axis=1, kind="stable")[:, : self.count]
        found: list[list[int]] = here[order].tolist()
        return found

    def delete(self, gone: Tensor) -> None:
        """Take passages [n] out, of the frequencies too where these are their own.

        Raises:
            InputError: too few would be left; nothing was changed.
        """
        left = self.here[~torch.isin(self.here, gone)]
        if len(left) < self.count:
            raise InputError(f"{self.count} passages must be left (got {len(left)}); ask for fewer a query first")
        if self.own:
            self.here = left
            self._fit()
            return
        keep = (~torch.isin(self.here, gone)).nonzero().flatten().numpy()
        self.here, self._matrix = left, self._matrix[keep]
