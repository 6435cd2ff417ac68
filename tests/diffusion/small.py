"""Small diffusion models and stubs that several tests share."""

from __future__ import annotations

import json
from functools import cache
from types import SimpleNamespace

import torch
from torch import Tensor, nn

from graphforget.diffusion.models import build
from graphforget.diffusion.task import NoisePrediction
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.samples import Samples, split_rows
from graphforget.train import Recipe, seeded

SHAPE = (1, 8, 8)
TASK = NoisePrediction(sampling_steps=4, recipe=Recipe(epochs=2, patience=2, lr=2e-3, batch_size=16, eval_every=2))


class Stub(nn.Module):
    """Predicts ``scale[c] * x + bias``; the last scale is that of the empty condition; counts its calls."""

    def __init__(self, *scale: float, bias: float = 0.0) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(scale))
        self.bias = nn.Parameter(torch.tensor(bias))
        self.calls = 0

    def forward(self, x: Tensor, t: Tensor, c: Tensor) -> Tensor:
        self.calls += 1
        return self.scale[c].view(-1, *[1] * (x.dim() - 1)) * x + self.bias


class Plain:
    """The least that a scheduler can be: no noise of its own, ten steps."""

    def __init__(self) -> None:
        self.config = SimpleNamespace(num_train_timesteps=10)
        self.timesteps: Tensor = torch.arange(0)

    def set_timesteps(self, count: int) -> None:
        self.timesteps = torch.arange(count).flip(0)

    def step(self, noise: Tensor, t: Tensor, x: Tensor) -> SimpleNamespace:
        return SimpleNamespace(prev_sample=x - 0.1 * noise)


@cache
def world(name: str = "attention_unet") -> tuple[nn.Module, ForgetSplit[Samples]]:
    """A model of three concepts, trained for a moment on stripes, and a request for the third."""
    rng = torch.Generator().manual_seed(0)
    y = torch.arange(48) % 3
    x = -torch.ones(48, *SHAPE)
    for row, label in enumerate(y.tolist()):
        x[row, 0, 2 * label : 2 * label + 2] = 1.0
    data = split_rows(Samples((x + 0.1 * torch.randn(x.shape, generator=rng)).clamp(-1, 1), y), seed=0)
    with seeded(3):
        model = build(name, SHAPE, 3)
    model = TASK.fit(model, data.train, data.val, seed=3)
    return model, ForgetSplit.of(data.train, ForgetRequest.of("class", [2]), data.val)


def write_pipeline(folder, *, safe: bool = True) -> None:
    """A text-to-image pipeline of a few thousand weights, as ``save_pretrained`` writes it."""
    from diffusers import AutoencoderKL, DDPMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    words = [chr(n) for n in range(ord("a"), ord("z") + 1)]
    vocabulary = [*words, *(f"{word}</w>" for word in words), "<|startoftext|>", "<|endoftext|>"]
    source = folder.parent / f"{folder.name}-tokenizer"
    source.mkdir(parents=True)
    (source / "vocab.json").write_text(json.dumps({word: n for n, word in enumerate(vocabulary)}))
    (source / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer(str(source / "vocab.json"), str(source / "merges.txt"), model_max_length=8)
    with seeded(0):
        text = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=len(vocabulary), hidden_size=16, intermediate_size=16, num_hidden_layers=1,
                num_attention_heads=2, max_position_embeddings=8, bos_token_id=52, eos_token_id=53, pad_token_id=53,
            )
        )  # fmt: skip
        unet = UNet2DConditionModel(
            sample_size=4, in_channels=4, out_channels=4, block_out_channels=(8, 8), layers_per_block=1,
            norm_num_groups=4, cross_attention_dim=16, attention_head_dim=4,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        )  # fmt: skip
        vae = AutoencoderKL(block_out_channels=(8,), norm_num_groups=4, latent_channels=4, sample_size=4)
    pipeline = StableDiffusionPipeline(
        vae=vae, text_encoder=text, tokenizer=tokenizer, unet=unet,
        scheduler=DDPMScheduler(20, clip_sample=False, steps_offset=1),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    pipeline.save_pretrained(str(folder), safe_serialization=safe)
