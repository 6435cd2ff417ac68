"""Tokenizers that are trained at hand, as ``transformers`` has them; no vocabulary is fetched."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from graphforget.errors import missing_extra, unknown

PAD, BOS, EOS, UNK = "<pad>", "<s>", "</s>", "<unk>"
KINDS = ("word", "bpe")


def train_tokenizer(texts: Iterable[str], kind: str = "word", *, vocab_size: int = 2000) -> Any:
    """Train a tokenizer on texts and return it as ``transformers`` has them.

    A tokenizer is not unlearned: whoever must forget words as well trains it on what is retained.

    Args:
        texts: to learn from.
        kind: ``word`` (every word and sign of the texts) or ``bpe`` (byte-level pairs).
        vocab_size: of ``bpe``, at most.

    Raises:
        InputError: an unknown kind.
        MissingExtra: without transformers.

    Example:
        >>> tokenizer = train_tokenizer(["Who is Ann?", "A painter."])
        >>> len(tokenizer), tokenizer.decode(tokenizer("Ann is a painter")["input_ids"])
        (11, 'Ann is <unk> painter')
    """
    if kind not in KINDS:
        raise unknown("tokenizer", kind, KINDS)
    try:
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
        from transformers import PreTrainedTokenizerFast
    except ImportError as error:
        raise missing_extra("transformers", "llm") from error
    special = [PAD, BOS, EOS, UNK]
    trainer: Any
    if kind == "word":
        made = Tokenizer(models.WordLevel(unk_token=UNK))
        made.pre_tokenizer = pre_tokenizers.Whitespace()
        trainer = trainers.WordLevelTrainer(special_tokens=special, vocab_size=2**30)
    else:
        made = Tokenizer(models.BPE())
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        made.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(special_tokens=special, vocab_size=vocab_size, initial_alphabet=alphabet)
    made.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token=PAD, bos_token=BOS, eos_token=EOS, unk_token=UNK, padding_side="right"
    )
