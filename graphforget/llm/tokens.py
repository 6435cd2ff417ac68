"""Questions and answers as token rows, and tokenizers trained at hand.

A row of :class:`graphforget.samples.Samples` is one question with its answer, or a piece of running text: ``x``
[N, 2, L] holds the token ids and the attention mask, ``y`` [N, L] the labels, IGNORE on the prompt and on padding.
Padding stands on the right. Prompt and answer are tokenized apart, so that no token straddles the two; the answer ends
with the tokenizer's end token, if it has one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from graphforget.errors import InputError
from graphforget.llm.losses import IGNORE
from graphforget.samples import Samples
from graphforget.vocabulary import BOS, EOS, KINDS, PAD, UNK, train_tokenizer

__all__ = [
    "BOS",
    "EOS",
    "KINDS",
    "NO_PAD",
    "PAD",
    "UNK",
    "Pair",
    "answers",
    "documents",
    "encode",
    "join",
    "normal",
    "questions",
    "train_tokenizer",
]

Pair = tuple[str, str]
NO_PAD = "the tokenizer needs a pad token (got None); set tokenizer.pad_token = tokenizer.eos_token"


def encode(
    tokenizer: Any,
    pairs: Sequence[Pair],
    *,
    template: str = "{question}",
    length: int | None = None,
    groups: Sequence[int] | None = None,
) -> Samples:
    """Turn (question, answer) pairs into token rows.

    Args:
        tokenizer: of ``transformers``, or one that is called and named like them.
        pairs: N questions with their answers.
        template: of the prompt, with ``{question}`` in it: "[INST] {question} [/INST]" for some chat models.
        length: L; None takes that of the longest row.
        groups: [N] whom the rows are about; a request of the kind ``subclass`` forgets all of one group.

    Raises:
        InputError: a tokenizer without a pad token, a row without question or answer, or one longer than ``length``.

    Example:
        >>> tokenizer = train_tokenizer(["Who is Ann?", "A painter"])
        >>> rows = encode(tokenizer, [("Who is Ann?", "A painter")])
        >>> list(rows.x.shape), tokenizer.decode(rows.y[0][rows.y[0] != IGNORE])
        ([1, 2, 8], 'A painter </s>')
    """
    if getattr(tokenizer, "pad_token_id", None) is None:
        raise InputError(NO_PAD)
    if "{question}" not in template:
        raise InputError(f"template must hold {{question}} (got {template!r})")
    if not pairs:
        raise InputError("at least one question with its answer is needed (got none)")
    start = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    end = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    rows, given = [], list[Any](pairs)  # a user's rows may be anything
    for number, pair in enumerate(given):
        if isinstance(pair, str) or len(pair) != 2:
            raise InputError(f"row {number} must be a question with its answer (got {pair!r}); give a pair of texts")
        question, answer = pair
        asked = question and question.strip()
        prompt = _ids(tokenizer, template.replace("{question}", question)) if asked else []
        said = _ids(tokenizer, f" {answer}") if answer and answer.strip() else []
        if not prompt or not said:
            raise InputError(
                f"row {number} has no {'answer' if prompt else 'question'} (got {(question, answer)!r}); "
                "every row needs both: leave it out or mend it"
            )
        rows.append((start + prompt, said + end))
    longest = max(len(prompt) + len(said) for prompt, said in rows)
    if length is not None and longest > length:
        raise InputError(f"rows must fit into {length} tokens (got {longest}); raise length or cut the answers")
    x = torch.full((len(rows), 2, length or longest), tokenizer.pad_token_id)
    x[:, 1] = 0
    y = torch.full((len(rows), length or longest), IGNORE)
    for row, (prompt, said) in enumerate(rows):
        whole = len(prompt) + len(said)
        x[row, 0, :whole] = torch.tensor(prompt + said)
        x[row, 1, :whole] = 1
        y[row, len(prompt) : whole] = torch.tensor(said)
    return Samples(x, y, None if groups is None else torch.as_tensor(groups))


def documents(tokenizer: Any, texts: Sequence[str], *, length: int, prompt: int = 0) -> Samples:
    """Turn running text into token rows: every document is cut into pieces of at most ``length`` tokens.

    Args:
        tokenizer: as of :func:`encode`.
        texts: N documents.
        length: L, tokens of a piece, the begin token among them.
        prompt: tokens at the head of a piece that are given and not asked (the begin token not counted): for figures of
            what follows them. With 0 every token is learned.

    Returns:
        Samples whose groups are the documents' numbers: a request of the kind ``subclass`` forgets whole documents. A
        piece with nothing behind its prompt is left out.

    Raises:
        InputError: a tokenizer without a pad token, an empty document, or pieces that hold nothing but a prompt.

    Example:
        >>> tokenizer = train_tokenizer(["Ann paints in Oslo"])
        >>> rows = documents(tokenizer, ["Ann paints in Oslo"], length=3)
        >>> answers(tokenizer, rows), rows.groups.tolist()
        (['Ann paints', 'in Oslo'], [0, 0])
    """
    if getattr(tokenizer, "pad_token_id", None) is None:
        raise InputError(NO_PAD)
    start = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    head = max(len(start) + prompt, 1)  # the first token of all is never predicted
    if prompt < 0 or length <= head:
        raise InputError(f"length must be larger than the prompt, with the begin token {head} (got {length}); raise it")
    pieces, groups = [], []
    for number, text in enumerate(texts):
        ids = _ids(tokenizer, text) if text and text.strip() else []
        if not ids:
            raise InputError(f"document {number} is empty (got {text!r}); leave it out")
        step = length - len(start)
        cut = [start + ids[place : place + step] for place in range(0, len(ids), step)]
        cut = [piece for piece in cut if len(piece) > head]
        pieces += cut
        groups += [number] * len(cut)
    if not pieces:
        raise InputError(f"no document is longer than a prompt of {prompt} tokens (got {len(texts)} documents)")
    x = torch.full((len(pieces), 2, length), tokenizer.pad_token_id)
    x[:, 1] = 0
    y = torch.full((len(pieces), length), IGNORE)
    for row, piece in enumerate(pieces):
        whole = torch.tensor(piece)
        x[row, 0, : len(piece)], x[row, 1, : len(piece)] = whole, 1
        y[row, head : len(piece)] = whole[head:]
    return Samples(x, y, torch.tensor(groups))


def join(first: Samples, second: Samples) -> Samples:
    """All rows of two data sets one after the other, padded to the same length; masks are left behind."""
    width = max(first.y.shape[1], second.y.shape[1])

    def wide(part: Samples) -> tuple[Tensor, Tensor]:
        more = width - part.y.shape[1]
        return torch.nn.functional.pad(part.x, (0, more)), torch.nn.functional.pad(part.y, (0, more), value=IGNORE)

    parts = [wide(part) for part in (first, second)]
    both = first.groups, second.groups
    groups = None if both[0] is None or both[1] is None else torch.cat([both[0], both[1]])
    return Samples(torch.cat([x for x, _ in parts]), torch.cat([y for _, y in parts]), groups)


def questions(tokenizer: Any, view: Samples) -> list[str]:
    """The prompts of a view's rows as text, without special tokens."""
    return [_text(tokenizer, view.x[row, 0, : _start(view.y[row])]) for row in view.rows().tolist()]


def answers(tokenizer: Any, view: Samples) -> list[str]:
    """The answers of a view's rows as text, without special tokens."""
    return [_text(tokenizer, view.y[row][view.y[row] != IGNORE]) for row in view.rows().tolist()]


def normal(text: str) -> str:
    """Lower case, words only: what two tokenizers' ways of writing the same text have in common.

    Example:
        >>> normal("Ann's  sex / gender?") == normal("ann ' s sex/gender")
        True
    """
    return " ".join(re.findall(r"\w+", text.lower()))


def _text(tokenizer: Any, ids: Tensor) -> str:
    return str(tokenizer.decode(ids.tolist(), skip_special_tokens=True)).strip()


def _start(labels: Tensor) -> int:
    return int((labels != IGNORE).nonzero()[0])


def _ids(tokenizer: Any, text: str) -> list[int]:
    found: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return found
