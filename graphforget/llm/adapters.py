"""LoRA through PEFT: train an adapter on a model that stays as it is, merge it, or take a user's own.

A model with an adapter is a module like any other: every method trains what is free, the adapter, and leaves the rest.
"""

from __future__ import annotations

import copy
import json
from os import PathLike
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import nn

from graphforget.errors import InputError, missing_extra


def with_adapter(model: nn.Module, *, rank: int = 8, alpha: int = 16, dropout: float = 0.0) -> nn.Module:
    """Return a copy of a model with a new LoRA adapter on all its linear layers; only the adapter can be trained.

    Args:
        model: of ``transformers``; left untouched.
        rank: of the adapter's matrices.
        alpha: its scale, over the rank.
        dropout: on its input.

    Raises:
        InputError: no model of transformers, or a rank below 1.
        MissingExtra: without peft.

    Example:
        >>> from graphforget.llm.models import build
        >>> from graphforget.llm.tokens import train_tokenizer
        >>> model = build("llama_tiny", train_tokenizer(["Who is Ann?"]))
        >>> adapted = with_adapter(model, rank=2)
        >>> sum(p.numel() for p in adapted.parameters() if p.requires_grad) < 10_000
        True
    """
    if rank < 1:
        raise InputError(f"rank must be at least 1 (got {rank})")
    if not hasattr(model, "config"):
        raise InputError(f"an adapter needs a model of transformers (got {type(model).__name__})")
    peft = _peft()
    config = peft.LoraConfig(
        r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    made: nn.Module = peft.get_peft_model(copy.deepcopy(model), config)
    return made


def load_adapter(model: nn.Module, folder: str | PathLike[str], *, base: str | None = None) -> nn.Module:
    """Return a copy of a model with a user's adapter on it, which can be trained on.

    Args:
        model: the adapter's base model; its name is compared with the one that the adapter was made for: the same, the
            same folder, or the same last part ("meta-llama/Llama-2-7b-hf" and "models/Llama-2-7b-hf").
        folder: of the adapter.
        base: the model's name where it goes by another one here.

    Raises:
        InputError: the folder holds no adapter, or one that was made for another model.
        MissingExtra: without peft.
    """
    path = Path(folder) / "adapter_config.json"
    weights = Path(folder) / "adapter_model.safetensors"
    if not path.is_file() or not weights.is_file():
        raise InputError(f"an adapter is adapter_config.json and adapter_model.safetensors (got {str(folder)!r})")
    try:
        told = json.loads(path.read_text(encoding="utf-8")).get("base_model_name_or_path") or ""
    except (AttributeError, ValueError) as error:
        raise InputError(f"{path} is no adapter's configuration ({error}); save the adapter again") from error
    own = base if base is not None else getattr(getattr(model, "config", None), "_name_or_path", "")
    if told and own and Path(told).resolve().name != Path(own).resolve().name:
        raise InputError(
            f"the adapter was made for another base model, {told!r} (got {own!r}); load it on its own, or pass "
            "base=... if this is that model under another name"
        )
    try:
        made: nn.Module = _peft().PeftModel.from_pretrained(copy.deepcopy(model), str(folder), is_trainable=True)
    except (RuntimeError, SafetensorError, ValueError) as error:
        raise InputError(
            f"the adapter in {str(folder)!r} does not fit the model ({str(error).splitlines()[0]}); "
            "it was made for another base model: load that one"
        ) from error
    return made


def merged(model: nn.Module) -> nn.Module:
    """Return a model with its adapter added to its weights, in its old shape; one without comes back as it is."""
    join = getattr(copy.deepcopy(model), "merge_and_unload", None)
    if not callable(join):
        return model
    made: nn.Module = join()
    return made.requires_grad_(True)


def _peft() -> Any:
    try:
        import peft
    except ImportError as error:
        raise missing_extra("peft", "llm") from error
    return peft
