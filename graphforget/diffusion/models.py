"""Reference networks of the benchmarks; any module that is called as ``model(x_t, t, c)`` will do.

``x_t`` [B, C, H, W] noised images, ``t`` [B] steps, ``c`` [B] concepts: labels from 0, and -1 (:data:`NULL`) for the
empty condition. What comes out is the predicted noise, of the shape of ``x_t``. Both networks come from configurations
of ``diffusers`` and need no download; both can be re-initialised, so that gold and destroyers need no factory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from graphforget.errors import missing_extra, unknown

Shape = tuple[int, int, int]
NULL = -1  # the empty condition
WIDTHS = (16, 32)


class ClassUNet(nn.Module):
    """A UNet without attention; the concept is an embedding that is added to that of the step (160,401 parameters).

    Args:
        shape: (channels, height, width) of the images; sides that can be halved.
        concepts: number of labels.

    Raises:
        MissingExtra: without diffusers.
    """

    def __init__(self, shape: Shape, concepts: int) -> None:
        super().__init__()
        self.concepts = concepts
        self.unet: Any = _diffusers().UNet2DModel(
            sample_size=shape[1], in_channels=shape[0], out_channels=shape[0], block_out_channels=WIDTHS,
            layers_per_block=1, norm_num_groups=8, add_attention=False, num_class_embeds=concepts + 1,
            down_block_types=("DownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "UpBlock2D"),
        )  # fmt: skip

    def forward(self, x: Tensor, t: Tensor, c: Tensor) -> Tensor:
        """[B, C, H, W], [B], [B] -> [B, C, H, W]."""
        return cast(Tensor, self.unet(x, t, class_labels=torch.where(c < 0, self.concepts, c)).sample)


class AttentionUNet(nn.Module):
    """A UNet that reads the concept by cross-attention only: two tokens, a start and the concept's own word.

    Args:
        shape: (channels, height, width) of the images; sides that can be halved.
        concepts: number of labels.

    Raises:
        MissingExtra: without diffusers.
    """

    def __init__(self, shape: Shape, concepts: int) -> None:
        super().__init__()
        self.concepts = concepts
        self.unet: Any = _diffusers().UNet2DConditionModel(
            sample_size=shape[1], in_channels=shape[0], out_channels=shape[0], block_out_channels=WIDTHS,
            layers_per_block=1, norm_num_groups=8, cross_attention_dim=32, attention_head_dim=8,
            mid_block_type="UNetMidBlock2DCrossAttn",
            down_block_types=("DownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "UpBlock2D"),
        )  # fmt: skip
        self.words = nn.Embedding(concepts + 2, 32)  # the concepts, the empty condition, the start

    def forward(self, x: Tensor, t: Tensor, c: Tensor) -> Tensor:
        """[B, C, H, W], [B], [B] -> [B, C, H, W]."""
        word = torch.where(c < 0, self.concepts, c)
        tokens = torch.stack([self.words(torch.full_like(c, self.concepts + 1)), self.words(word)], dim=1)
        return cast(Tensor, self.unet(x, t, encoder_hidden_states=tokens).sample)

    def token_mask(self, c: Tensor) -> Tensor:
        """[B, 2] bool: which tokens name the concept."""
        return torch.tensor([[False, True]], device=c.device).expand(len(c), 2)


MODELS: Mapping[str, Callable[[Shape, int], nn.Module]] = {"class_unet": ClassUNet, "attention_unet": AttentionUNet}


def build(name: str, shape: Shape, concepts: int) -> nn.Module:
    """Build a never-trained network.

    Args:
        name: a key of :data:`MODELS`.
        shape: (channels, height, width) of the images.
        concepts: number of labels.

    Raises:
        UnknownName: no such network.
        MissingExtra: without diffusers.

    Example:
        >>> model = build("class_unet", (1, 8, 8), 10)
        >>> model(torch.zeros(2, 1, 8, 8), torch.tensor([0, 9]), torch.tensor([3, NULL])).shape
        torch.Size([2, 1, 8, 8])
    """
    if name not in MODELS:
        raise unknown("model", name, tuple(MODELS))
    return MODELS[name](shape, concepts)


def ancestral(steps: int = 100, schedule: str = "squaredcos_cap_v2") -> Any:
    """Build the ancestral scheduler that small models are trained and sampled with.

    Args:
        steps: of the noise schedule.
        schedule: its shape, a name of diffusers.

    Raises:
        MissingExtra: without diffusers.
    """
    return _diffusers().DDPMScheduler(steps, beta_schedule=schedule)


def _diffusers() -> Any:
    try:
        import diffusers
    except ImportError as error:
        raise missing_extra("diffusers", "diffusion") from error
    return diffusers
