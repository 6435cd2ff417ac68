"""A small ALBERT from a configuration, with a tokenizer that is trained at hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from graphforget.errors import missing_extra
from graphforget.fewshot.raml import RAML, Tokens
from graphforget.train import seeded

LENGTH = 64  # tokens of a text or a view; our default


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
    try:
        from transformers import AlbertConfig, AlbertModel
    except ImportError as error:
        raise missing_extra("transformers", "llm") from error
    with seeded(seed):
        encoder = AlbertModel(
            AlbertConfig(
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
            ),
            add_pooling_layer=False,
        )
        net = RAML(encoder, width, heads)
    own = attention_of(encoder)
    for mine, theirs in (
        ("query", "query"),
        ("key", "key"),
        ("value", "value"),
        ("dense", "dense"),
        ("norm", "LayerNorm"),
    ):
        getattr(net.attention, mine).load_state_dict(getattr(own, theirs).state_dict())
    return net.eval()


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
