"""RAML: retrieval-augmented meta learning for texts (arXiv:2309.04979).

=========  ===========================================================================
x_{c,k}    support text k of class c, encoded without passages; N classes, K shots
q, P, T    a query; its retrieved passages; their titles
v_j        view j of a query: "question: q title: T_j context: P_j"
E, A       encoder [tokens, d]; a cross-attention block
=========  ===========================================================================

::

    1  z_c = mean_k mean over real tokens of E(x_{c,k}),  Z = [z_1 .. z_N]
    2  H_j = E(v_j)
    3  U_j = LayerNorm( Z + Dropout( MHA(query = Z, key = value = H_j; padding masked) ) )
    4  logit_{j,c} = w . U_{j,c} + b
    5  p(c | q) = softmax_c( mean_j logit_{j,c} ): the mean of logits, not of probabilities

Metric-style meta-training: cross-entropy of the queries, no inner loop. As published the encoder is ALBERT-base and the
steps are AdamW's. Here, by our default, it is a small ALBERT from a configuration whose weights start at the scale of
its width and then learn the training classes (:func:`graphforget.fewshot.meta.warm_up`), and the steps are Adam's. The
block starts with the encoder's own attention weights. Tests are in eval mode, which the released code leaves out; that
code has no licence, and none of it was used.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from graphforget.fewshot.models import Tokens, albert, attention_of
from graphforget.train import seeded


class CrossAttention(nn.Module):
    """Prototypes attend to the tokens of a view (equation 3).

    Args:
        width: d.
        heads: that d is divided among.
        dropout: of what is added to the prototypes.
    """

    def __init__(self, width: int, heads: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.dense, self.norm = nn.Linear(width, width), nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, prototypes: Tensor, hidden: Tensor, mask: Tensor) -> Tensor:
        """[N, d] prototypes, [V, T, d] tokens of views with mask [V, T] -> [V, N, d]."""
        views, classes = hidden.shape[0], prototypes.shape[0]
        query = self._split(self.query(prototypes)[None].expand(views, -1, -1))
        key, value = self._split(self.key(hidden)), self._split(self.value(hidden))
        seen = mask.bool()[:, None, None, :].expand(-1, self.heads, classes, -1)
        read = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=seen)
        joined = self.dense(read.transpose(1, 2).flatten(2))
        out: Tensor = self.norm(prototypes[None] + self.dropout(joined))
        return out

    def _split(self, value: Tensor) -> Tensor:
        return value.view(*value.shape[:2], self.heads, -1).transpose(1, 2)


class RAML(nn.Module):
    """An encoder, a cross-attention block and a head.

    Args:
        encoder: ``encoder(input_ids, attention_mask)`` with ``last_hidden_state`` [B, T, d], or [B, T, d] itself.
        width: d.
        heads: of the cross-attention.
        dropout: likewise.

    Example:
        >>> net = RAML(Bag(10, 4), 4, 2).eval()
        >>> ids = torch.tensor([[1, 2], [3, 0]])
        >>> protos = net.prototypes((ids, torch.tensor([[1, 1], [1, 0]])), torch.tensor([0, 1]), 2)
        >>> net(protos, (ids, torch.ones(2, 2)), 2).shape  # one query, two views
        torch.Size([1, 2])
    """

    def __init__(self, encoder: nn.Module, width: int, heads: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.encoder, self.attention, self.head = encoder, CrossAttention(width, heads, dropout), nn.Linear(width, 1)

    def hidden(self, tokens: Tokens) -> Tensor:
        """[B, T, d] of token rows."""
        out: Any = self.encoder(input_ids=tokens[0], attention_mask=tokens[1])
        found: Tensor = getattr(out, "last_hidden_state", out)
        return found

    def prototypes(self, tokens: Tokens, label: Tensor, classes: int) -> Tensor:
        """Equation 1.

        Args:
            tokens: of S support texts.
            label: [S] places of their classes.
            classes: N; each needs a text.
        """
        mask = tokens[1].to(self.head.weight)[:, :, None]
        each = (self.hidden(tokens) * mask).sum(1) / mask.sum(1)
        total = each.new_zeros(classes, each.shape[1]).index_add(0, label, each)
        return total / torch.bincount(label, minlength=classes).to(each)[:, None]

    def forward(self, prototypes: Tensor, views: Tokens, count: int) -> Tensor:
        """[Q, N] logits of queries from their views, ``count`` a query, one query after the other."""
        fused = self.attention(prototypes, self.hidden(views), views[1])  # 2, 3
        logits: Tensor = self.head(fused).squeeze(2)  # 4
        return logits.view(-1, count, logits.shape[1]).mean(1)  # 5


class Bag(nn.Module):
    """The smallest encoder: one vector a word."""

    def __init__(self, words: int, width: int) -> None:
        super().__init__()
        self.table = nn.Embedding(words, width)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """[B, T] -> [B, T, d]."""
        out: Tensor = self.table(input_ids)
        return out


PARTS = {"query": "query", "key": "key", "value": "value", "dense": "dense", "norm": "LayerNorm"}  # ours -> ALBERT's


def build(tokenizer: Any, *, width: int = 64, layers: int = 2, heads: int = 4, seed: int = 0) -> RAML:
    """Build a never-trained RAML; its cross-attention starts with the encoder's attention weights.

    Args:
        tokenizer: gives the vocabulary.
        width: d.
        layers: of the encoder.
        heads: of its attention and of the cross-attention.
        seed: of the weights.

    Raises:
        MissingExtra: without transformers.

    Example:
        >>> from graphforget.vocabulary import train_tokenizer
        >>> net = build(train_tokenizer(["pay my bill"]))
        >>> net.attention.key.weight.equal(attention_of(net.encoder).key.weight)
        True
    """
    encoder = albert(tokenizer, width=width, layers=layers, heads=heads, seed=seed)
    with seeded(seed):
        net = RAML(encoder, width, heads)
    follow(net)
    return net.eval()


def follow(net: RAML) -> None:
    """Start the cross-attention with the attention weights of its ALBERT."""
    own = attention_of(net.encoder)
    for mine, theirs in PARTS.items():
        getattr(net.attention, mine).load_state_dict(getattr(own, theirs).state_dict())
