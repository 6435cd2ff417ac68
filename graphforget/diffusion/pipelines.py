"""Pipelines of diffusers from a local folder: the user's own models under the same contract as ours.

A concept is a prompt. :func:`load` encodes the prompts once and wraps the UNet as ``model(x_t, t, c)`` with ``c`` the
number of a prompt, so every method and the audit run on it; :func:`save` writes the pipeline back with the unlearned
UNet. Only safetensors are read, nothing is fetched, and no code of the folder is run.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from graphforget.diffusion.models import _diffusers
from graphforget.diffusion.sampling import check_scheduler, sample
from graphforget.errors import InputError, unknown
from graphforget.samples import Samples
from graphforget.task import evaluating

TRUSTED = ("diffusers", "transformers")  # libraries whose classes a folder may name


class PromptUNet(nn.Module):
    """A UNet that is told its concept by one of a few prompts.

    Args:
        unet: called as ``unet(x, t, encoder_hidden_states=...)``.
        prompts: [K + 1, L, D] encoded prompts, the empty one last.
        words: [K + 1, L] bool, the tokens that name the concept.
    """

    prompts: Tensor
    words: Tensor

    def __init__(self, unet: nn.Module, prompts: Tensor, words: Tensor) -> None:
        super().__init__()
        self.unet = unet
        self.register_buffer("prompts", prompts)
        self.register_buffer("words", words)

    def forward(self, x: Tensor, t: Tensor, c: Tensor) -> Tensor:
        """[B, C, H, W], [B], [B] -> [B, C, H, W]."""
        return cast(Tensor, self.unet(x, t, encoder_hidden_states=self.prompts[self._row(c)]).sample)

    def token_mask(self, c: Tensor) -> Tensor:
        """[B, L] bool: which tokens name the concept."""
        return self.words[self._row(c)]

    def _row(self, c: Tensor) -> Tensor:
        return torch.where(c < 0, len(self.prompts) - 1, c)


@dataclass(frozen=True, eq=False)
class Pipeline:
    """A loaded pipeline.

    Args:
        model: its UNet, called as ``model(x_t, t, c)``.
        scheduler: its noise scheduler.
        concepts: the prompts, in the order of their numbers.
        shape: (channels, height, width) of its latents.
        inner: the pipeline of diffusers.
    """

    model: nn.Module
    scheduler: Any
    concepts: tuple[str, ...]
    shape: tuple[int, int, int]
    inner: Any

    def concept(self, prompt: str) -> int:
        """Number of a prompt.

        Raises:
            UnknownName: it was not among those that were loaded.
        """
        if prompt not in self.concepts:
            raise unknown("concept", prompt, self.concepts)
        return self.concepts.index(prompt)

    def decode(self, latents: Tensor) -> Tensor:
        """[B, C, H, W] latents to [B, 3, H', W'] pixels in [-1, 1]; unchanged where there is no autoencoder."""
        vae = getattr(self.inner, "vae", None)
        if vae is None:
            return latents
        with evaluating(vae), torch.no_grad():
            return cast(Tensor, vae.decode(latents / vae.config.scaling_factor).sample)

    def draw(self, each: int, *, guidance: float = 7.5, steps: int | None = 50, seed: int = 0) -> Samples:
        """Draw latents of every prompt: the data of a request where there are none.

        Args:
            each: latents a prompt.
            guidance: g.
            steps: of inference.
            seed: of the noise.
        """
        label = torch.arange(len(self.concepts)).repeat_interleave(each)
        x = sample(self.model, self.scheduler, label, self.shape, guidance=guidance, steps=steps, seed=seed)
        return Samples(x, label)


def load(folder: str | PathLike[str], prompts: Sequence[str]) -> Pipeline:
    """Load a text-to-image pipeline whose UNet reads encoded prompts, built like Stable Diffusion 1 and 2.

    Args:
        folder: with model_index.json, as ``save_pretrained`` writes it.
        prompts: the concepts: those that are forgotten, and those that are kept and asked about.

    Raises:
        InputError: no such folder, a part that is missing (a scheduler, a tokenizer), weights that are no safetensors,
            classes of another library than diffusers and transformers, or prompts that are empty or named twice.
        MissingExtra: without diffusers.
    """
    package = _diffusers()
    path = Path(folder)
    index = _index(path)
    concepts = tuple(prompts)
    if not concepts or len(set(concepts)) < len(concepts) or "" in concepts:
        raise InputError(f"prompts must be different and not empty (got {list(concepts)})")
    try:
        inner = package.DiffusionPipeline.from_pretrained(
            str(path), local_files_only=True, use_safetensors=True, trust_remote_code=False
        ).to(torch.float32)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} does not load as a pipeline of safetensors ({error}); convert it with "
            "pipeline.save_pretrained(folder, safe_serialization=True)"
        ) from error
    check_scheduler(inner.scheduler, training=True)
    if not hasattr(inner.unet.config, "cross_attention_dim"):
        raise InputError(f"the UNet must read encoded prompts (got {index['unet'][1]}); wrap it as model(x, t, c)")
    encoded, words = _encode(inner.tokenizer, inner.text_encoder, (*concepts, ""))
    side = inner.unet.config.sample_size
    height, width = side if isinstance(side, list | tuple) else (side, side)
    shape = (int(inner.unet.config.in_channels), int(height), int(width))
    return Pipeline(PromptUNet(inner.unet, encoded, words).eval(), inner.scheduler, concepts, shape, inner)


def save(pipeline: Pipeline, model: nn.Module, folder: str | PathLike[str]) -> Path:
    """Write a pipeline with another UNet, as safetensors; the loaded one is left untouched.

    Args:
        pipeline: what was loaded.
        model: the unlearned model.
        folder: new, or empty.

    Raises:
        InputError: a model that was not made from this pipeline, or a folder with files in it.
    """
    path = Path(folder)
    if not isinstance(model, PromptUNet):
        raise InputError(f"the model must be that of a loaded pipeline (got {type(model).__name__})")
    if path.exists() and any(path.iterdir()):
        raise InputError(f"{path} is not empty; name a new folder")
    inner = copy.copy(pipeline.inner)
    inner.register_modules(unet=model.unet)
    inner.save_pretrained(str(path), safe_serialization=True)
    return path


def _index(path: Path) -> dict[str, Any]:
    """Read model_index.json and check the parts that it names, before anything is loaded."""
    file = path / "model_index.json"
    if not file.is_file():
        raise InputError(f"{path} holds no model_index.json; name the folder that save_pretrained wrote")
    try:
        index: Any = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{file} is not JSON ({error})") from error
    if not isinstance(index, dict):
        raise InputError(f"{file} must name the pipeline's parts (got a {type(index).__name__}); save it again")
    parts = {name: part for name, part in index.items() if isinstance(part, list) and part and part[0] is not None}
    for name, what in (
        ("scheduler", "a noise scheduler, such as DDPMScheduler"),
        ("unet", "a UNet"),
        ("text_encoder", "a text encoder"),
        ("tokenizer", "a tokenizer"),
    ):
        if name not in parts or not (path / name).is_dir():
            raise InputError(
                f"the pipeline in {path} needs {what} (got no {name!r}); add it and save the pipeline again"
            )
    for name, part in parts.items():
        if part[0] not in TRUSTED:
            raise InputError(f"{file} names a class outside {' and '.join(TRUSTED)} for {name!r} (got {part[0]!r})")
    return index


def _encode(tokenizer: Any, encoder: Any, prompts: Sequence[str]) -> tuple[Tensor, Tensor]:
    """([K, L, D] encoded prompts, [K, L] bool: tokens that are no start, end or padding)."""
    length = min(tokenizer.model_max_length, encoder.config.max_position_embeddings)
    told = tokenizer(list(prompts), padding="max_length", truncation=True, max_length=length, return_tensors="pt")
    with evaluating(encoder), torch.no_grad():
        encoded = encoder(told.input_ids)[0]
    special = torch.tensor(tokenizer.all_special_ids)
    return encoded.detach(), ~torch.isin(told.input_ids, special)
