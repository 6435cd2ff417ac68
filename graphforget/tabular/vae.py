"""A small variational autoencoder of rows: numbers as normal scores, categories one-hot.

A baseline that is trained by gradients, so that each component of a score can be watched while it learns; every size is
our default.

    loss = sum over numbers (x - x')^2 / (2 s^2) + sum over categories of cross-entropy + KL(q(z|x) || N(0, I))
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy.special import ndtr, ndtri
from torch import Tensor, nn

from graphforget.errors import InputError
from graphforget.tabular.generator import Sampler, check, sampler
from graphforget.tabular.table import FloatArray, Table
from graphforget.train import descend, seeded

Watch = Callable[[int, Sampler], None]
NOISE = 0.2  # s of the numbers' reconstruction


@dataclass(frozen=True)
class Vae:
    """Train encoder and decoder by Adam.

    Args:
        epochs: passes over the rows.
        width: of the two hidden layers.
        latent: size of z.
        lr: learning rate.
        batch_size: rows a step.

    Example:
        >>> from graphforget.tabular.data import load_table
        >>> Vae(epochs=2).fit(load_table("iris")).sample(20).size
        20
    """

    epochs: int = 100
    width: int = 128
    latent: int = 16
    lr: float = 2e-3
    batch_size: int = 128

    def fit(self, table: Table, *, seed: int = 0, every: int = 10, watch: Watch | None = None) -> Sampler:
        """Learn from a table.

        Args:
            table: of rows.
            seed: of weights, order and noise; global random state is the same before and after.
            every: epochs between two looks.
            watch: called with (epochs so far, what it would draw now).
        """
        check(table)
        for name in ("epochs", "width", "latent", "batch_size"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1 (got {getattr(self, name)})")
        code = _Code.of(table)
        x = torch.from_numpy(code.encode(table)).float()
        with seeded(seed) as rng:
            sizes = (x.shape[1], self.width, self.width)
            encoder = _mlp(*sizes, 2 * self.latent)
            decoder = _mlp(self.latent, self.width, self.width, x.shape[1])
            both = nn.ModuleList([encoder, decoder])

            def steps(epoch: int) -> Iterator[Tensor]:
                for rows in torch.randperm(len(x), generator=rng).split(self.batch_size):
                    mean, log_var = encoder(x[rows]).chunk(2, dim=1)
                    z = mean + (log_var / 2).exp() * torch.randn(mean.shape, generator=rng)
                    kl = 0.5 * (mean**2 + log_var.exp() - 1 - log_var).sum(1)
                    yield (code.loss(decoder(z), x[rows]) + kl).mean()

            def draw(count: int, seed: int) -> FloatArray:
                noise = torch.Generator().manual_seed(seed)
                with torch.no_grad():
                    return code.decode(decoder(torch.randn(count, self.latent, generator=noise)), noise)

            made = sampler(table, draw)

            def after(epoch: int, loss: float) -> bool:
                if watch is not None and ((epoch + 1) % every == 0 or epoch == 0):
                    watch(epoch + 1, made)
                return False

            descend(both, steps, epochs=self.epochs, lr=self.lr, after_epoch=after, title="vae")
            both.eval()
        return made


def _mlp(first: int, *widths: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for a, b in zip((first, *widths[:-1]), widths, strict=True):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


@dataclass(frozen=True, eq=False)
class _Code:
    """A table's rows as the network sees them: 256 quantiles of each number, the levels of each category."""

    levels: tuple[FloatArray, ...]
    nominal: np.typing.NDArray[np.bool_]

    @classmethod
    def of(cls, table: Table) -> _Code:
        at = np.linspace(0, 1, 257)
        nominal = table.is_categorical
        each = (np.unique(c) if nominal[j] else np.quantile(c, at) for j, c in enumerate(table.values.T))
        return cls(tuple(each), nominal)

    def encode(self, table: Table) -> FloatArray:
        """[n, F]."""
        parts = []
        for levels, column, nominal in zip(self.levels, table.values.T, self.nominal, strict=True):
            if nominal:
                parts.append((column[:, None] == levels[None]).astype(np.float64))
            else:  # the middle of the quantiles that are one value
                low, high = (np.searchsorted(levels, column, side=side) for side in ("left", "right"))
                inside = np.interp(column, *_steps(levels))
                u = np.where(high - low > 1, (low + high - 1) / 2 / 256, inside)
                parts.append(ndtri(u.clip(0.002, 0.998))[:, None])
        return np.concatenate(parts, axis=1)

    def loss(self, out: Tensor, x: Tensor) -> Tensor:
        """[B] of reconstruction."""
        total, at = out.new_zeros(len(out)), 0
        for levels, nominal in zip(self.levels, self.nominal, strict=True):
            if nominal:
                span = slice(at, at + len(levels))
                total = total + F.cross_entropy(out[:, span], x[:, span].argmax(1), reduction="none")
                at += len(levels)
            else:
                total = total + (out[:, at] - x[:, at]) ** 2 / (2 * NOISE**2)
                at += 1
        return total

    def decode(self, out: Tensor, noise: torch.Generator) -> FloatArray:
        """[n, d] values; numbers with the noise of their reconstruction, categories drawn."""
        found, at = [], 0
        for levels, nominal in zip(self.levels, self.nominal, strict=True):
            if nominal:
                p = out[:, at : at + len(levels)].softmax(1)
                found.append(levels[torch.multinomial(p, 1, generator=noise).flatten().numpy()])
                at += len(levels)
            else:
                u = ndtr((out[:, at] + NOISE * torch.randn(len(out), generator=noise)).double().numpy())
                found.append(np.interp(u, np.linspace(0, 1, len(levels)), levels))
                at += 1
        return np.stack(found, axis=1)


def _steps(levels: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(distinct quantiles, where they stand in 0 to 1)."""
    distinct, first = np.unique(levels, return_index=True)
    return distinct, first / (len(levels) - 1)
