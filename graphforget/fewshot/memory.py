"""A classifier whose classes stand in a memory: what is deleted there is deleted exactly; our design beside RAML.

Prototypes are means over the support texts that are left, retrieval sees the passages that are left. After a deletion
the answers are those of a classifier built from scratch without the deleted, up to rounding. What the encoder learned
from a deleted text stays in its weights: the deletion is exact where the encoder never saw it, else the encoder has to
be trained again without it. :attr:`Deleted.claim` says which.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from graphforget.errors import InputError
from graphforget.fewshot.library import Library
from graphforget.fewshot.meta import views
from graphforget.fewshot.models import tokens
from graphforget.fewshot.raml import RAML
from graphforget.fewshot.retriever import Retriever
from graphforget.forget import ForgetRequest
from graphforget.task import evaluating

EXACT = "exact"
RETRAIN = "not exact until the encoder is retrained"


class Deleted(NamedTuple):
    """What a request did.

    Args:
        passages: [p] ids that are gone.
        support: [s] ids that are gone.
        classes: names of the classes that are gone.
        affected: the cached queries whose passages were found anew.
        seen: how many of the deleted texts the encoder was trained on.
        claim: ``exact``, or ``not exact until the encoder is retrained``.
    """

    passages: Tensor
    support: Tensor
    classes: tuple[str, ...]
    affected: tuple[str, ...]
    seen: int
    claim: str


class Memory:
    """Classify texts by support texts and retrieved passages, and forget both.

    Args:
        net: trained; runs in eval mode and is never changed.
        tokenizer: of its encoder.
        library: passages and support texts.
        trained_on: texts that the encoder was trained on.
        count: passages a query.
        background: see :class:`graphforget.fewshot.retriever.Retriever`.

    Raises:
        InputError: fewer passages than ``count``.

    Example:
        >>> from graphforget.fewshot.data import Texts
        >>> from graphforget.fewshot.raml import build
        >>> from graphforget.vocabulary import train_tokenizer
        >>> names = ("pay_bill", "book_table")
        >>> known = Texts(("pay my bill", "a table for two"), torch.tensor([0, 1]), names)
        >>> tokenizer = train_tokenizer(known.texts)
        >>> memory = Memory(build(tokenizer), tokenizer, Library(known, known), count=1)
        >>> deleted = memory.forget(ForgetRequest.of("class", [0]))
        >>> deleted.classes, deleted.claim, memory.classify(["pay"])
        (('pay_bill',), 'exact', ['book_table'])
    """

    def __init__(
        self,
        net: RAML,
        tokenizer: Any,
        library: Library,
        *,
        trained_on: Collection[str] = (),
        count: int = 3,
        background: Sequence[str] | None = None,
    ) -> None:
        self.net, self.tokenizer, self.library = net, tokenizer, library
        self.trained_on = frozenset(trained_on)
        self._retriever = Retriever(library.passages.texts, library.passage_ids(), count=count, background=background)
        self._found: dict[str, list[int]] = {}

    def nearest(self, queries: Sequence[str]) -> list[list[int]]:
        """Passage ids of each query, found once and kept until a deletion concerns them."""
        new = list(dict.fromkeys(query for query in queries if query not in self._found))
        self._found |= dict(zip(new, self._retriever.nearest(new), strict=True))
        return [self._found[query] for query in queries]

    def logits(self, queries: Sequence[str]) -> Tensor:
        """[Q, N] of the classes that are left, in the order of :attr:`graphforget.fewshot.library.Library.classes`.

        Raises:
            InputError: an empty query.
        """
        for query in queries:
            if not query.strip():
                raise InputError("a query must hold a word (got an empty one); leave it out")
        library = self.library
        rows, classes = library.support_ids(), torch.tensor(library.classes)
        label = torch.searchsorted(classes, library.support.y[rows])
        asked = views(queries, self.nearest(queries), library.passages)
        with evaluating(self.net), torch.no_grad():
            support = tokens(self.tokenizer, [library.support.texts[row] for row in rows.tolist()])
            prototypes = self.net.prototypes(support, label, len(classes))
            found: Tensor = self.net(prototypes, tokens(self.tokenizer, asked), self._retriever.count)
        return found

    def classify(self, queries: Sequence[str]) -> list[str]:
        """The name of each query's class."""
        classes = self.library.classes
        return [self.library.names[classes[place]] for place in self.logits(queries).argmax(1).tolist()]

    def forget(self, request: ForgetRequest) -> Deleted:
        """Delete passages, support texts or classes.

        Raises:
            InputError: the request does not fit, or leaves a class without support or too few passages; nothing was
                changed.
        """
        gone, left = self.library.partition(request.parts)
        passages = gone.passage_ids()
        before = dict(self._found)
        if len(passages):
            self._retriever.delete(passages)
        hit = set(passages.tolist())
        again = [query for query, own in before.items() if len(hit) and (self._retriever.own or hit & set(own))]
        for query in again:
            del self._found[query]
        self.library = left
        self.nearest(again)
        affected = tuple(query for query in again if self._found[query] != before[query])
        names = tuple(left.names[label] for label in sorted(set(gone.classes) - set(left.classes)))
        seen = len(gone.texts() & self.trained_on)
        return Deleted(passages, gone.support_ids(), names, affected, seen, RETRAIN if seen else EXACT)
