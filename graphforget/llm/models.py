"""Small language models from configurations, and a user's own by path: nothing is fetched that is not asked for."""

from __future__ import annotations

import os
import shutil
from os import PathLike
from pathlib import Path
from typing import Any

from torch import nn

from graphforget.errors import InputError, missing_extra, unknown

SIZES: dict[str, dict[str, int]] = {
    "llama_tiny": {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4},
    "llama_small": {"hidden_size": 256, "intermediate_size": 704, "num_hidden_layers": 6, "num_attention_heads": 8},
}
MODELS = tuple(SIZES)


def build(name: str, tokenizer: Any, *, length: int = 512) -> nn.Module:
    """Build a never-trained Llama for a tokenizer.

    Args:
        name: ``llama_tiny`` (0.1 million parameters beside the embedding) or ``llama_small`` (5 million).
        tokenizer: gives the vocabulary and its special tokens.
        length: longest sequence.

    Example:
        >>> from graphforget.llm.tokens import train_tokenizer
        >>> model = build("llama_tiny", train_tokenizer(["Who is Ann?"]))
        >>> sum(p.numel() for p in model.parameters())
        82752
    """
    if name not in SIZES:
        raise unknown("model", name, MODELS)
    try:
        from transformers import LlamaConfig, LlamaForCausalLM
    except ImportError as error:
        raise missing_extra("transformers", "llm") from error
    made: nn.Module = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            max_position_embeddings=length,
            tie_word_embeddings=True,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            num_key_value_heads=SIZES[name]["num_attention_heads"],
            **SIZES[name],
        )
    )
    return made


def load_model(path: str | PathLike[str]) -> nn.Module:
    """Load a causal language model of ``transformers`` from a folder, or by the name of one that is in its cache.

    Raises:
        InputError: no model is there, or its weights are no safetensors (others are pickles, which run code).
        MissingExtra: without transformers.
    """
    try:
        from huggingface_hub import try_to_load_from_cache
        from transformers import AutoModelForCausalLM
    except ImportError as error:
        raise missing_extra("transformers", "llm") from error
    remedy = "save one with model.save_pretrained(folder), or download it first"
    try:
        here = str(path) if Path(path).is_dir() else try_to_load_from_cache(str(path), "config.json")
        if not isinstance(here, str):
            raise InputError(
                f"no model is in this folder or in the cache under this name (got {str(path)!r}); {remedy}"
            )
        folder = here if Path(here).is_dir() else str(Path(here).parent)  # by its name the hub would be asked
        made: nn.Module = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, use_safetensors=True)
    except InputError:
        raise
    except (OSError, ValueError) as error:
        raise InputError(
            f"no causal language model with safetensors could be read (got {str(path)!r}: {error}); {remedy}"
        ) from error
    made.config._name_or_path = str(path)  # type: ignore[union-attr]
    return made


def save_model(model: nn.Module, folder: str | PathLike[str], tokenizer: Any = None) -> Path:
    """Write a model as ``transformers`` reads it back, whole or not at all: safetensors and its configuration.

    Args:
        model: of ``transformers``; of one with an adapter the adapter alone is written.
        folder: new or empty.
        tokenizer: written beside it, where it can be.

    Raises:
        InputError: the model cannot save itself, or the folder holds something else already.
    """
    target = Path(folder)
    write = getattr(model, "save_pretrained", None)
    if not callable(write):
        raise InputError(f"only models of transformers can be saved this way (got {type(model).__name__})")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(f"the folder must be new or empty (got {str(target)!r}); name another")
    part = target.with_name(f"{target.name}.{os.getpid()}.partial")
    try:
        write(part)
        if hasattr(tokenizer, "save_pretrained"):
            tokenizer.save_pretrained(part)
        if target.exists():
            target.rmdir()
        part.rename(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return target
