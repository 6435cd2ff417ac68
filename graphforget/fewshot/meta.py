"""Meta-training and tests by episodes: N classes, K support texts and a few queries of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from graphforget.errors import InputError
from graphforget.fewshot.data import Texts
from graphforget.fewshot.models import Tokens, tokens
from graphforget.fewshot.raml import RAML, follow
from graphforget.fewshot.retriever import Retriever
from graphforget.task import evaluating
from graphforget.train import Recipe, TrainRecord, descend, fit, seeded

RECIPE = Recipe(epochs=12, patience=12, lr=1e-3, eval_every=1)  # Adam; our default
EACH = 50  # episodes an epoch
WARM_BATCH = 64
CHECKED = 10  # episodes on the validation classes after an epoch


class Shape(NamedTuple):
    """Of an episode.

    Args:
        ways: N classes.
        shots: K support texts a class.
        queries: a class.
    """

    ways: int = 5
    shots: int = 5
    queries: int = 5


class Episode(NamedTuple):
    """Rows of a data set.

    Args:
        classes: [N] labels.
        support: [N * K] rows, class after class.
        query: [N * Q] rows, likewise.
    """

    classes: Tensor
    support: Tensor
    query: Tensor


def check(data: Texts, shape: Shape) -> None:
    """Refuse episodes that cannot be drawn.

    Raises:
        InputError: fewer classes than ways, or a class with fewer texts than shots and queries, which is named.
    """
    if min(shape) < 1:
        raise InputError(f"ways, shots and queries must be at least 1 (got {tuple(shape)})")
    known, counts = data.y.unique(return_counts=True)
    if len(known) < shape.ways:
        raise InputError(f"{shape.ways}-way episodes need as many classes (got {len(known)})")
    for label, count in zip(known.tolist(), counts.tolist(), strict=True):
        if count < shape.shots + shape.queries:
            raise InputError(
                f"each class needs {shape.shots} shots and {shape.queries} queries (got {count} texts of"
                f" {data.names[label]!r}); lower shots or queries, or leave the class out"
            )


def draw(data: Texts, shape: Shape, rng: torch.Generator) -> Episode:
    """Draw an episode.

    Example:
        >>> data = Texts(("a", "b", "c", "d"), torch.tensor([0, 0, 1, 1]), ("A", "B"))
        >>> episode = draw(data, Shape(2, 1, 1), torch.Generator().manual_seed(0))
        >>> sorted(episode.classes.tolist()), len(set(episode.support.tolist()) | set(episode.query.tolist()))
        ([0, 1], 4)
    """
    known = data.y.unique()
    classes = known[torch.randperm(len(known), generator=rng)[: shape.ways]]
    support, query = [], []
    for label in classes:
        rows = (data.y == label).nonzero().flatten()
        rows = rows[torch.randperm(len(rows), generator=rng)]
        support.append(rows[: shape.shots])
        query.append(rows[shape.shots : shape.shots + shape.queries])
    return Episode(classes, torch.cat(support), torch.cat(query))


def views(queries: Sequence[str], found: Sequence[Sequence[int]], passages: Texts) -> list[str]:
    """One text a query and passage: "question: q title: T context: P".

    Example:
        >>> known = Texts(("bills are due",), torch.tensor([0]), ("pay_bill",))
        >>> views(["what do I owe"], [[0]], known)
        ['question: what do I owe title: pay bill context: bills are due']
    """
    return [
        f"question: {query} title: {passages.names[int(passages.y[row])].replace('_', ' ')} "
        f"context: {passages.texts[row]}"
        for query, own in zip(queries, found, strict=True)
        for row in own
    ]


class Episodes:
    """Episodes of some classes, their passages found once.

    Args:
        data: texts of the classes.
        passages: what is retrieved; a query never sees a passage about its own class.
        retriever: over those passages.
        tokenizer: of the encoder.
        shape: of an episode.

    Raises:
        InputError: no such episode can be drawn.
    """

    def __init__(self, data: Texts, passages: Texts, retriever: Retriever, tokenizer: Any, shape: Shape) -> None:
        check(data, shape)
        self.data, self.shape, self.count = data, shape, retriever.count
        own = [(passages.y == label).nonzero().flatten() for label in data.y.tolist()]
        self._found = retriever.nearest(data.texts, own)

        def encode(found: Sequence[Sequence[int]]) -> Tokens:
            return tokens(tokenizer, views(data.texts, found, passages))

        self._encode = encode
        self._texts, self._views = tokens(tokenizer, data.texts), self._encode(self._found)

    def shuffle(self, seed: int) -> None:
        """Give every query the passages of another: what is left is what the model can do without them."""
        order = torch.randperm(len(self._found), generator=torch.Generator().manual_seed(seed)).tolist()
        self._views = self._encode([self._found[row] for row in order])

    def draw(self, rng: torch.Generator) -> Episode:
        """Draw one."""
        return draw(self.data, self.shape, rng)

    def logits(self, net: RAML, episode: Episode) -> Tensor:
        """[N * Q, N] of the queries."""
        place = torch.arange(self.shape.ways).repeat_interleave(self.shape.shots)
        prototypes = net.prototypes(_rows(self._texts, episode.support), place, self.shape.ways)
        rows = (episode.query[:, None] * self.count + torch.arange(self.count)).flatten()
        found: Tensor = net(prototypes, _rows(self._views, rows), self.count)
        return found

    def label(self) -> Tensor:
        """[N * Q] places of the queries' classes."""
        return torch.arange(self.shape.ways).repeat_interleave(self.shape.queries)


def train(
    net: RAML, episodes: Episodes, held_out: Episodes, *, recipe: Recipe = RECIPE, seed: int = 0,
    record: TrainRecord | None = None,
) -> RAML:  # fmt: skip
    """Meta-train in place and keep the weights that were best on the classes held out.

    Args:
        net: never trained, or trained before.
        episodes: of the classes to train on.
        held_out: of other classes.
        recipe: an epoch is 50 episodes.
        seed: of the episodes.
        record: filled with the curve when given.
    """
    with seeded(seed) as rng:

        def steps(epoch: int) -> Iterator[Tensor]:
            for _ in range(EACH):
                yield F.cross_entropy(episodes.logits(net, episodes.draw(rng)), episodes.label())

        fit(net, steps, lambda: accuracy(net, held_out, CHECKED, seed), recipe, record=record, title="train RAML")
    return net


def warm_up(net: RAML, data: Texts, tokenizer: Any, *, epochs: int = 5, lr: float = 1e-3, seed: int = 0) -> RAML:
    """Let a never-trained encoder tell the training classes apart first; ours, in place of published weights.

    A linear layer on the mean of its token vectors is trained with it and thrown away; the cross-attention starts with
    the encoder's attention weights as they are then.

    Args:
        net: trained in place.
        data: texts of the training classes.
        tokenizer: of the encoder.
        epochs: passes over the texts.
        lr: Adam's.
        seed: of the order.
    """
    with seeded(seed) as rng:
        classes, label = data.y.unique(return_inverse=True)
        head = torch.nn.Linear(net.head.in_features, len(classes))
        table = tokens(tokenizer, data.texts)

        def steps(epoch: int) -> Iterator[Tensor]:
            for rows in torch.randperm(len(label), generator=rng).split(WARM_BATCH):
                mean = net.prototypes(_rows(table, rows), torch.arange(len(rows)), len(rows))
                yield F.cross_entropy(head(mean), label[rows])

        both = torch.nn.ModuleList([net.encoder, head])
        descend(both, steps, epochs=epochs, lr=lr, title="warm up RAML")
    follow(net)
    return net.eval()


def accuracy(net: RAML, episodes: Episodes, count: int, seed: int = 0) -> float:
    """Mean accuracy over the queries of so many episodes, always the same ones of a seed."""
    with evaluating(net), torch.no_grad():
        return mean_accuracy(lambda episode: episodes.logits(net, episode).argmax(1), episodes, count, seed)


def mean_accuracy(answer: Callable[[Episode], Tensor], episodes: Episodes, count: int, seed: int = 0) -> float:
    """Mean accuracy of any classifier of episodes: from an episode to [N * Q] places of classes."""
    rng = torch.Generator().manual_seed(seed)
    total = [float((answer(episodes.draw(rng)) == episodes.label()).float().mean()) for _ in range(count)]
    return sum(total) / len(total)


def linear(episodes: Episodes, background: Sequence[str]) -> Callable[[Episode], Tensor]:
    """The floor: TF-IDF of the background texts, and a logistic regression on an episode's support."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    data, shape = episodes.data, episodes.shape
    matrix = TfidfVectorizer(sublinear_tf=True).fit(background).transform(data.texts)
    place = torch.arange(shape.ways).repeat_interleave(shape.shots).numpy()

    def answer(episode: Episode) -> Tensor:
        fitted = LogisticRegression(C=10.0, max_iter=200).fit(matrix[episode.support.numpy()], place)
        return torch.from_numpy(fitted.predict(matrix[episode.query.numpy()]))

    return answer


def _rows(table: Tokens, rows: Tensor) -> Tokens:
    """Some rows, without the columns that are padding in all of them."""
    ids, mask = table[0][rows], table[1][rows]
    width = max(int(mask.sum(1).max()), 1)
    return ids[:, :width], mask[:, :width]
