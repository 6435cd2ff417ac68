"""The one-call door for language models: questions with answers go in, an unlearned model comes out."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import nn

from graphforget import catalog
from graphforget.api import Forgotten
from graphforget.errors import InputError
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.llm.adapters import merged, with_adapter
from graphforget.llm.models import load_model, save_model
from graphforget.llm.task import CausalLM
from graphforget.llm.tokens import Pair, encode
from graphforget.unlearner import Unlearner


def unlearn_text(
    model: nn.Module | str | PathLike[str],
    tokenizer: Any,
    pairs: Sequence[Pair],
    forget: Sequence[int],
    *,
    method: str | Unlearner = "npo",
    task: CausalLM | None = None,
    template: str = "{question}",
    lora: int = 0,
    out: str | PathLike[str] | None = None,
    seed: int = 0,
) -> Forgotten:
    """Unlearn some answers from a causal language model.

    Args:
        model: of ``transformers``, or a folder that holds one; left untouched.
        tokenizer: its own.
        pairs: (question, answer): what is forgotten, and what the model should still know.
        forget: numbers of the pairs that go.
        method: catalog key or a configured method.
        task: for methods that need more than the rows: anti-samples (UnSTAR), refusals (DPO), a recipe (retrain).
        template: of the prompt, with ``{question}`` in it.
        lora: rank of an adapter to train and merge in place of all weights; 0 trains all.
        out: a new or empty folder to save the model in (safetensors), with its tokenizer.
        seed: of everything random.

    Raises:
        InputError: rows, request, tokenizer and model that do not fit; nothing was changed or written.

    Example:
        >>> from graphforget.llm.models import build
        >>> from graphforget.llm.tokens import train_tokenizer
        >>> pairs = [("Who is Ann?", "A painter"), ("Who is Bob?", "A cook")]
        >>> tokenizer = train_tokenizer([text for pair in pairs for text in pair])
        >>> result = unlearn_text(build("llama_tiny", tokenizer), tokenizer, pairs, [0], lora=2)
        >>> result.data.rows().tolist(), type(result.model).__name__
        ([1], 'LlamaForCausalLM')
    """
    if lora < 0:
        raise InputError(f"lora must not be negative (got {lora}); 0 trains all weights")
    if out is not None and Path(out).exists() and (not Path(out).is_dir() or any(Path(out).iterdir())):
        raise InputError(f"out must be a new or empty folder (got {str(out)!r})")
    chosen = catalog.method(method)() if isinstance(method, str) else method
    whole = model if isinstance(model, nn.Module) else load_model(model)
    rows = encode(tokenizer, pairs, template=template)
    nothing = rows.view(torch.zeros(len(rows.x), dtype=torch.bool))
    split = ForgetSplit.of(rows, ForgetRequest.of("sample", list(forget)), nothing)
    runs = task if task is not None else CausalLM(tokenizer=tokenizer)
    start = with_adapter(whole, rank=lora) if lora else whole
    result = chosen.unlearn(start, runs, split, seed=seed)
    made = merged(result.model) if lora else result.model
    if out is not None:
        save_model(made, out, tokenizer)
    return Forgotten(made, result.context, split, result.record)
