"""A softmax layer that learns a stream sample by sample on frozen features, in a few kilobytes: the TinyOL family.

Methods as compared in arXiv:2209.00591 (incremental online learning on microcontrollers) and in its first author's
thesis; written from the equations, no code of theirs was used.

======  ============================================================================
x, y    features [m] of one sample, its label; t is y as one-hot
W, b    the layer, [m, n] and [n]; a label that has not been seen adds a zero column
p, e    softmax(W^T x + b), and e = p - t
a, k    learning rate; batch size
i       number of the sample, from 0; a batch ends where i % k == 0 and i != 0
======  ============================================================================

::

    tinyol        W -= a x e^T,  b -= a e
    tinyol_batch  G += x e^T with W constant; each k: W -= (a / k) G, G = 0
    v2            tinyol with e = 0 at the labels known at the start
    v2_batch      tinyol_batch likewise
    lwf           z = softmax(W0^T x + b0) of a constant copy; W -= a x [(1 - l) (p - t) + l (p - z)]^T,
                  l = 100 / (100 + i)
    lwf_batch     lwf with W0 <- W each k and l = 1 while i < k, then k / i
    cwr           a training layer by tinyol; each k, of every label c seen u_c times in the batch:
                  W_c = (W_c u_c + TL_c) / (u_c + 1), then TL <- W, u = 0; W predicts

The thesis prints '+' before the accumulated sum and before CWR's step: both are read as '-'. CWR's training layer
starts at the given weights, by formula (the thesis' code starts it at zero). LwF's copy grows with the layer, by zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from graphforget.errors import InputError, unknown

RULES = ("tinyol", "tinyol_batch", "v2", "v2_batch", "lwf", "lwf_batch", "cwr")


@dataclass(eq=False)
class OnlineLayer:
    """A layer that learns one sample at a time and forgets each at once; memory does not grow with the stream.

    Args:
        weight: [m, n], left untouched.
        bias: [n], likewise.
        labels: the n labels of the columns.
        rule: one of :data:`RULES`.
        lr: a.
        k: batch size of the batch forms and of CWR.

    Raises:
        InputError: an unknown rule, sizes that do not fit, or settings out of range.

    Example:
        >>> layer = OnlineLayer(torch.zeros(2, 1), torch.zeros(1), [0], "tinyol", lr=1.0)
        >>> [layer.learn(x, y) for x, y in [(torch.tensor([1.0, 0.0]), 0), (torch.tensor([0.0, 1.0]), 7)]]
        [0, None]
        >>> layer.predict(torch.tensor([0.0, 1.0])), layer.labels
        (7, [0, 7])
    """

    weight: Tensor
    bias: Tensor
    labels: Sequence[int]
    rule: str = "cwr"
    lr: float = 1e-3
    k: int = 16
    seen: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise unknown("online rule", self.rule, RULES)
        if self.weight.dim() != 2 or self.bias.shape != (self.weight.shape[1],):
            raise InputError(
                f"weight must be [m, n] and bias [n] (got {list(self.weight.shape)}, {list(self.bias.shape)}); "
                "a torch.nn.Linear keeps its weight the other way round"
            )
        self.labels = [int(label) for label in self.labels]
        if len(set(self.labels)) != self.weight.shape[1]:
            raise InputError(f"one label a column is needed, {self.weight.shape[1]} in all (got {self.labels})")
        if self.k < 1 or not self.lr > 0:
            raise InputError(f"k must be at least 1 and lr positive (got {self.k}, {self.lr})")
        self.weight, self.bias = self.weight.detach().clone(), self.bias.detach().clone()
        self.first = len(self.labels)  # labels known at the start
        self._sum = torch.zeros_like(self.weight), torch.zeros_like(self.bias)
        self._copy = self.weight.clone(), self.bias.clone()  # of LwF; of CWR the training layer
        self._count = torch.zeros_like(self.bias)

    @property
    def nbytes(self) -> int:
        """Bytes of what the rule needs beside the encoder."""
        wanted: list[Tensor] = [self.weight, self.bias]
        if self.rule.endswith("batch") and self.rule != "lwf_batch":
            wanted += self._sum
        if self.rule in ("lwf", "lwf_batch", "cwr"):
            wanted += self._copy
        return sum(each.numel() * each.element_size() for each in wanted)

    def clear(self, labels: Sequence[int]) -> None:
        """Set the columns of some labels to zero, in every copy: what the layer knew of them is gone.

        Raises:
            UnknownName: a label that the layer does not know.
        """
        for label in labels:
            if label not in self.labels:
                raise unknown("label", label, [str(each) for each in self.labels])
            place = self.labels.index(label)
            for value in (self.weight, self.bias, *self._sum, *self._copy, self._count):
                value[..., place] = 0

    def predict(self, x: Tensor) -> int | None:
        """The label of features [m]; None of a layer without labels."""
        scores = x @ self.weight + self.bias
        return self.labels[int(scores.argmax())] if len(self.labels) else None

    def learn(self, x: Tensor, y: int) -> int | None:
        """Grow if the label is new, predict, then learn.

        Args:
            x: [m] features.
            y: label.

        Returns:
            What was predicted before learning; None where the label was new.

        Raises:
            InputError: features of another size, or NaN among them; nothing was learned.
        """
        if x.shape != (self.weight.shape[0],) or not bool(torch.isfinite(x).all()):
            raise InputError(f"features must be {self.weight.shape[0]} finite numbers (got {list(x.shape)})")
        new = int(y) not in self.labels
        if new:
            self._grow(int(y))
        said = None if new else self.predict(x)
        with torch.no_grad():
            self._update(x.to(self.weight), self.labels.index(int(y)))
        self.seen += 1
        return said

    def _grow(self, label: int) -> None:
        def wider(value: Tensor) -> Tensor:
            return torch.cat([value, value.new_zeros(*value.shape[:-1], 1)], dim=-1)

        self.weight, self.bias, self._count = wider(self.weight), wider(self.bias), wider(self._count)
        self._sum = wider(self._sum[0]), wider(self._sum[1])
        self._copy = wider(self._copy[0]), wider(self._copy[1])
        self.labels = [*self.labels, label]

    def _update(self, x: Tensor, place: int) -> None:
        i, a, ends = self.seen, self.lr, self.seen % self.k == 0 and self.seen != 0
        weight, bias = self._copy if self.rule == "cwr" else (self.weight, self.bias)
        p = (x @ weight + bias).softmax(0)
        error = p.clone()
        error[place] -= 1
        if self.rule in ("v2", "v2_batch"):
            error[: self.first] = 0
        if self.rule in ("lwf", "lwf_batch"):
            error = self._kept(x, p, error, i)
        if self.rule in ("tinyol_batch", "v2_batch"):
            self._sum[0].add_(torch.outer(x, error))
            self._sum[1].add_(error)
            if ends:
                weight.sub_(self._sum[0], alpha=a / self.k)
                bias.sub_(self._sum[1], alpha=a / self.k)
                self._sum[0].zero_()
                self._sum[1].zero_()
            return
        weight.sub_(torch.outer(x, error), alpha=a)
        bias.sub_(error, alpha=a)
        if self.rule == "cwr":
            self._count[place] += 1
            if ends:
                self._consolidate()
        if self.rule == "lwf_batch" and ends:
            self._copy = self.weight.clone(), self.bias.clone()

    def _kept(self, x: Tensor, p: Tensor, error: Tensor, i: int) -> Tensor:
        """(1 - l) (p - t) + l (p - z)."""
        share = 100 / (100 + i) if self.rule == "lwf" else (1.0 if i < self.k else self.k / i)
        z = (x @ self._copy[0] + self._copy[1]).softmax(0)
        return (1 - share) * error + share * (p - z)

    def _consolidate(self) -> None:
        u, seen = self._count, self._count > 0
        for kept, trained in ((self.weight, self._copy[0]), (self.bias, self._copy[1])):
            kept[..., seen] = (kept[..., seen] * u[seen] + trained[..., seen]) / (u[seen] + 1)
        self._copy = self.weight.clone(), self.bias.clone()
        u.zero_()
