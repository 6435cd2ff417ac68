"""A small ALBERT from a configuration, and texts as token rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from graphforget.errors import missing_extra
from graphforget.train import seeded

LENGTH = 64  # tokens of a text or a view; our default
Tokens = tuple[Tensor, Tensor]  # ids [B, T] and mask [B, T], 1 on real tokens


def albert(tokenizer: Any, *, width: int = 64, layers: int = 2, heads: int = 4, seed: int = 0) -> nn.Module:
    """Build a never-trained ALBERT.

    Args:
        tokenizer: gives the vocabulary.
        width: d.
        layers: of the encoder.
        heads: of its attention.
        seed: of the weights.

    Raises:
        MissingExtra: without transformers.

    Example:
        >>> from graphforget.vocabulary import train_tokenizer
        >>> attention_of(albert(train_tokenizer(["pay my bill"]))).key.weight.shape
        torch.Size([64, 64])
    """
    try:
        from transformers import AlbertConfig, AlbertModel
    except ImportError as error:
        raise missing_extra("transformers", "llm") from error
    config = AlbertConfig(
        vocab_size=len(tokenizer),
        embedding_size=width,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        max_position_embeddings=LENGTH,
        pad_token_id=tokenizer.pad_token_id,
        initializer_range=width**-0.5,  # .02 suits a width of 768
        hidden_dropout_prob=0.1,
        attention_probs_dropout_prob=0.1,
    )
    with seeded(seed):
        made: nn.Module = AlbertModel(config, add_pooling_layer=False)
    return made


def attention_of(encoder: Any) -> Any:
    """The attention block that an ALBERT's layers share."""
    return encoder.encoder.albert_layer_groups[0].albert_layers[0].attention


def tokens(tokenizer: Any, texts: Sequence[str], length: int = LENGTH) -> Tokens:
    """(ids [B, T], mask [B, T]) of texts, cut to ``length`` and padded to the longest.

    Example:
        >>> from graphforget.vocabulary import train_tokenizer
        >>> ids, mask = tokens(train_tokenizer(["pay my bill"]), ["pay my", "bill"])
        >>> mask.tolist()
        [[1, 1], [1, 0]]
    """
    found = tokenizer(
        list(texts), padding=True, truncation=True, max_length=length, add_special_tokens=False, return_tensors="pt"
    )
    mask = found["attention_mask"]
    mask[mask.sum(1) == 0, 0] = 1  # a text without a known sign: its first token is the padding itself
    return torch.as_tensor(found["input_ids"]), torch.as_tensor(mask)
