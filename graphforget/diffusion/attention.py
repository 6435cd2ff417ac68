"""Cross-attention seen from outside: the probabilities of each ``attn2`` of a UNet, with gradient.

They are computed from what its ``to_q`` and ``to_k`` gave, whichever kernel the model itself multiplies with.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from graphforget.errors import NotApplicable


def cross_attentions(model: nn.Module) -> dict[str, Any]:
    """{name: the attention block} of every cross-attention.

    Raises:
        NotApplicable: the model has none.
    """
    found = {
        name: module for name, module in model.named_modules() if name.endswith("attn2") and hasattr(module, "to_q")
    }
    if not found:
        raise NotApplicable("forgetting by attention needs cross-attention, blocks named 'attn2' (got none); use esd")
    return found


def attended(model: nn.Module, run: Callable[[], Any]) -> list[Tensor]:
    """[B, heads, pixels, tokens] probabilities of each cross-attention while ``run`` calls the model.

    Args:
        model: with cross-attention, as diffusers builds it.
        run: calls the model once.
    """
    seen: dict[tuple[str, str], Tensor] = {}
    blocks = cross_attentions(model)
    handles = [
        getattr(block, part).register_forward_hook(lambda _m, _i, out, key=(name, part): seen.__setitem__(key, out))
        for name, block in blocks.items()
        for part in ("to_q", "to_k")
    ]
    try:
        run()
    finally:
        for handle in handles:
            handle.remove()
    found = []
    for name, block in blocks.items():
        q, k = (_heads(seen[name, part], block.heads) for part in ("to_q", "to_k"))
        found.append((block.scale * q @ k.transpose(-1, -2)).softmax(-1))
    return found


def _heads(x: Tensor, heads: int) -> Tensor:
    """[B, N, heads * d] -> [B, heads, N, d]."""
    return x.view(len(x), x.shape[1], heads, -1).transpose(1, 2)
