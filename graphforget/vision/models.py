"""Reference networks of the benchmarks; any ``nn.Module`` with ``model(x) -> [B, C]`` will do.

All can be re-initialised, so that gold and destroyers need no factory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import torch.nn.functional as F
from torch import Tensor, nn

from graphforget.errors import missing_extra, unknown

Shape = tuple[int, int, int]


def mlp(shape: Shape, classes: int) -> nn.Module:
    """Inputs - 256 - 128 - classes, ReLU."""
    width = shape[0] * shape[1] * shape[2]
    layers = (nn.Linear(width, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, classes))
    return nn.Sequential(nn.Flatten(), *layers)


def cnn(shape: Shape, classes: int, width: int = 32) -> nn.Module:
    """Two convolutions of ``width`` and twice as many channels, each halving the image, and two linear layers."""
    size = 2 * width * (shape[1] // 4) * (shape[2] // 4)
    return nn.Sequential(
        nn.Conv2d(shape[0], width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(width, 2 * width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(size, 4 * width), nn.ReLU(), nn.Linear(4 * width, classes),
    )  # fmt: skip


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outside)
        self.conv2 = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outside)
        same = stride == 1 and inside == outside
        projection = (nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside))
        self.shortcut: nn.Module = nn.Identity() if same else nn.Sequential(*projection)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C', H / stride, W / stride]."""
        h = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(h)) + self.shortcut(x))


class ResNet18(nn.Module):
    """ResNet-18 (He et al., arXiv:1512.03385, Table 1) with its 7x7 stem.

    On images of 32x32 pixels it does a small part of the work of the form with a 3x3 stem that papers use there.

    Args:
        channels: of the images.
        classes: number of labels.
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(channels, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)
        )
        widths = [(64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2)]
        self.stages = nn.Sequential(
            *(block for i, o, s in widths for block in (Block(i, o, s), Block(o, o, 1)))
        )  # fmt: skip
        self.fc = nn.Linear(512, classes)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, classes]."""
        return cast(Tensor, self.fc(self.stages(self.stem(x)).mean((2, 3))))


class ViT(nn.Module):
    """A small vision transformer from a ``transformers`` configuration.

    Patches of a quarter of the image's side, width 64, depth 4, 4 heads.

    Args:
        shape: (channels, height, width) of square images.
        classes: number of labels.

    Raises:
        MissingExtra: without transformers.
    """

    def __init__(self, shape: Shape, classes: int) -> None:
        super().__init__()
        try:
            from transformers import ViTConfig, ViTForImageClassification
        except ImportError as error:
            raise missing_extra("transformers", "vision") from error
        make: Any = ViTForImageClassification
        config = ViTConfig(
            image_size=shape[1], patch_size=shape[1] // 4, num_channels=shape[0],
            hidden_size=64, num_hidden_layers=4, num_attention_heads=4, intermediate_size=128,
        )  # fmt: skip
        config.num_labels = classes
        self._build: Callable[[], nn.Module] = lambda: make(config)
        self.net = self._build()

    def reset_parameters(self) -> None:
        """Draw every weight anew, tokens and positions included, which no layer's own rule reaches."""
        self.net.load_state_dict(self._build().state_dict())

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, classes]."""
        return cast(Tensor, self.net(x).logits)


MODELS: Mapping[str, Callable[[Shape, int], nn.Module]] = {
    "mlp": mlp,
    "cnn": cnn,
    "cnn_small": lambda shape, classes: cnn(shape, classes, width=8),
    "resnet18": lambda shape, classes: ResNet18(shape[0], classes),
    "vit": ViT,
}


def build(name: str, shape: Shape, classes: int) -> nn.Module:
    """Build a never-trained network.

    Args:
        name: a key of :data:`MODELS`.
        shape: (channels, height, width) of the images.
        classes: number of labels.

    Example:
        >>> import torch
        >>> build("mlp", (1, 28, 28), 10)(torch.zeros(2, 1, 28, 28)).shape
        torch.Size([2, 10])
    """
    if name not in MODELS:
        raise unknown("model", name, tuple(MODELS))
    return MODELS[name](shape, classes)
