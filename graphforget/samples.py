"""Independent rows: images, table rows, sentence pairs; the data type of every domain without a graph.

All views of a data set (training, validation and test rows, the forget and the retain part) share the very same arrays
and differ in ``mask``: a row's id never shifts. Who asks for rows asks for those that the view speaks for, so a
forgotten row is in no batch of the retain part; :meth:`Samples.compact` drops it from memory as well. Where values go
and the row stays (``feature``, ``label``), the retain part has arrays of its own, in which they are masked.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from graphforget.errors import InputError, unknown
from graphforget.forget import ForgetSplit
from graphforget.splits import Splits
from graphforget.task import Ask, Batch, Task

KINDS = ("sample", "class", "subclass", "feature", "label")
ROWS = 1024  # rows of a forward without gradient: what is asked at once may be all the data


@dataclass(frozen=True, eq=False)
class Samples:
    """Rows of a data set, or a view of some of them.

    Args:
        x: [N, ...] inputs.
        y: [N] int64 labels, -1 where unknown, or [N, D] float targets of a regression.
        groups: [N] int64 finer labels (sub-classes, customers), or None.
        mask: [N] bool, the rows this view speaks for; None means every row.

    Raises:
        InputError: arrays of different lengths, NaN in them, or a label under -1.

    Example:
        >>> data = Samples(torch.zeros(4, 2), torch.tensor([0, 0, 1, 1]))
        >>> forget, retain = data.partition({"class": torch.tensor([1])})
        >>> forget.rows().tolist(), retain.rows().tolist()
        ([2, 3], [0, 1])
    """

    x: Tensor
    y: Tensor
    groups: Tensor | None = None
    mask: Tensor | None = None

    def __post_init__(self) -> None:
        for name in ("y", "groups", "mask"):
            value = getattr(self, name)
            if value is not None and len(value) != len(self.x):
                raise InputError(f"{name} must have {len(self.x)} rows as x (got {len(value)})")
        if self.y.is_floating_point() and self.y.dim() != 2:
            raise InputError(f"targets of a regression must be [N, D] (got {list(self.y.shape)}); use y[:, None]")
        if not self.y.is_floating_point() and self.y.dim() == 1 and len(self.y) and int(self.y.min()) < -1:
            row = int(self.y.argmin())
            raise InputError(f"labels must be at least 0, or -1 where unknown (got {int(self.y[row])} in row {row})")
        for name in ("x", "y"):
            value = getattr(self, name)
            if value.is_floating_point() and not bool(torch.isfinite(value).all()):
                row = int((~torch.isfinite(value)).flatten(1).any(1).nonzero()[0])
                raise InputError(f"{name} holds NaN or infinity (first in row {row}); remove or fill such rows")

    @property
    def size(self) -> int:
        """Number of rows this view speaks for."""
        return len(self.x) if self.mask is None else int(self.mask.sum())

    def rows(self) -> Tensor:
        """[n] ids of the rows this view speaks for."""
        return torch.arange(len(self.x)) if self.mask is None else self.mask.nonzero().flatten().cpu()

    def mask_of(self, ids: Tensor) -> Tensor:
        """[N] bool of row ids [n].

        Raises:
            InputError: ids out of range.
        """
        _check_range("row", ids, len(self.x))
        mask = torch.zeros(len(self.x), dtype=torch.bool, device=self.y.device)
        mask[ids.to(mask.device)] = True
        return mask

    def view(self, mask: Tensor) -> Samples:
        """The same arrays, speaking for other rows ([N] bool); checking them again would read them all."""
        if len(mask) != len(self.x):
            raise InputError(f"mask must have {len(self.x)} rows as x (got {len(mask)})")
        other = copy.copy(self)
        object.__setattr__(other, "mask", mask)
        return other

    def to(self, device: torch.device | str) -> Samples:
        """Move all arrays."""
        groups, mask = (None if value is None else value.to(device) for value in (self.groups, self.mask))
        return Samples(self.x.to(device), self.y.to(device), groups, mask)

    def partition(self, parts: Mapping[str, Tensor]) -> tuple[Samples, Samples]:
        """Return (forget, retain); see :class:`graphforget.forget.Forgettable`.

        Args:
            parts: ``sample`` [n] row ids, ``class`` [n] labels, ``subclass`` [n] groups, ``label`` [n] rows whose label
                goes, ``feature`` [n] columns of x or [n, 2] (row, column) cells.

        Raises:
            InputError: an unknown kind, ids out of range or not in this view, or a request for everything.
        """
        asked, cells, labels = self._resolve(parts)
        own = self._own()
        gone = asked & own
        valued = (cells.flatten(1).any(1) if cells is not None else torch.zeros_like(own)) | labels
        kept = own & ~gone
        if not bool((kept & ~labels).any()) or (cells is not None and bool(cells[kept].all())):
            raise InputError("the request covers everything the model learned from; train a new model instead")
        forget = self.view(gone | (valued & own))
        if cells is None and not bool(labels.any()):
            return forget, self.view(kept)
        x = self.x if cells is None else self.x.masked_fill(cells, 0)
        y = self.y
        if bool(labels.any()):
            y = y.masked_fill(labels if y.dim() == 1 else labels[:, None], -1 if y.dim() == 1 else 0.0)
            kept = kept & ~labels
        return forget, replace(self, x=x, y=y, mask=kept)

    def scrub(self, parts: Mapping[str, Tensor], data: Samples) -> Samples:
        """Return this (validation) view without what the request names: classes and columns go here as well."""
        wide = {kind: ids for kind, ids in parts.items() if kind in ("class", "subclass")}
        columns = {kind: ids for kind, ids in parts.items() if kind == "feature" and ids.dim() == 1}
        mask, x = self._own(), self.x
        for kind, ids in wide.items():  # a class that validation does not have is no mistake
            values = self.y if kind == "class" else self.groups
            if values is not None:
                mask = mask & ~torch.isin(values, ids.to(values.device))
        if not columns:
            return self.view(mask)
        cells = self._resolve(columns)[1]
        return replace(self, x=x if cells is None else x.masked_fill(cells, 0), mask=mask)

    def compact(self) -> Samples:
        """Only the rows of this view, in arrays of their own: what may be stored once the others are forgotten."""
        rows = self.rows().to(self.y.device)
        return Samples(self.x[rows], self.y[rows], None if self.groups is None else self.groups[rows])

    def without(self, other: Samples) -> Samples:
        """The rows of this view that ``other`` does not speak for."""
        return self.view(self._own() & ~other._own())

    def _own(self) -> Tensor:
        return torch.ones(len(self.x), dtype=torch.bool, device=self.y.device) if self.mask is None else self.mask

    def _resolve(self, parts: Mapping[str, Tensor]) -> tuple[Tensor, Tensor | None, Tensor]:
        """[N] rows that go, cells of x that go or None, [N] rows whose label goes."""
        asked = torch.zeros(len(self.x), dtype=torch.bool, device=self.y.device)
        labels, cells = asked.clone(), None
        for kind, ids in parts.items():
            if kind == "sample":
                asked[self._rows(kind, ids)] = True
            elif kind == "label":
                labels[self._rows(kind, ids)] = True
            elif kind == "class":
                asked |= _among(self.y, ids, "class", "labels" if self.y.dim() == 1 else "classes; y holds targets")
            elif kind == "subclass":
                if self.groups is None:
                    raise InputError("a sub-class request needs groups (got a data set without them)")
                asked |= _among(self.groups, ids, "subclass", "groups")
            elif kind == "feature":
                cells = self._cells(ids) if cells is None else cells | self._cells(ids)
            else:
                raise unknown("request kind", kind, KINDS)
        return asked, cells, labels

    def _rows(self, kind: str, ids: Tensor) -> Tensor:
        if ids.dim() != 1:
            raise InputError(f"{kind} ids must have shape [n] (got {list(ids.shape)})")
        _check_range(kind, ids, len(self.x))
        outside = ids[~self._own()[ids.to(self.y.device)].cpu()]
        if outside.numel():
            raise InputError(f"{kind} {int(outside[0])} is not among the training rows, or was forgotten before")
        return ids.to(self.y.device)

    def _cells(self, ids: Tensor) -> Tensor:
        width = self.x.shape[1]
        if self.x.dim() != 2:
            raise InputError(f"feature requests need x [N, F] (got {list(self.x.shape)})")
        columns = ids if ids.dim() == 1 else ids[:, 1]
        if int(columns.min()) < 0 or int(columns.max()) >= width:
            raise InputError(f"feature columns must lie in [0, {width}) (got {columns.tolist()[:5]})")
        cells = torch.zeros(self.x.shape, dtype=torch.bool, device=self.x.device)
        if ids.dim() == 1:
            cells[:, ids] = True
        else:
            self._rows("feature", ids[:, 0].unique())
            cells[ids[:, 0], columns] = True
        return cells


def _check_range(kind: str, ids: Tensor, limit: int) -> None:
    low, high = (int(ids.min()), int(ids.max())) if ids.numel() else (0, -1)
    if low < 0 or high >= limit:
        raise InputError(f"{kind} ids must lie in [0, {limit}) (got {low if low < 0 else high})")


def _among(values: Tensor, ids: Tensor, kind: str, name: str) -> Tensor:
    if values.dim() != 1:
        raise InputError(f"a {kind} request needs {name}")
    known = values[values >= 0].unique().cpu()
    missing = ids.cpu()[~torch.isin(ids.cpu(), known)]
    if missing.numel():
        raise InputError(f"no row has the {kind} {int(missing[0])}; known: {known.tolist()[:20]}")
    return torch.isin(values, ids.to(values.device))


def split_rows(data: Samples, *, val: float = 0.1, test: float = 0.2, seed: int = 0) -> Splits[Samples]:
    """Split rows at random into training, validation and test views of the same arrays.

    Args:
        data: all rows.
        val: share of the rows.
        test: share of the rows.
        seed: of the permutation.

    Example:
        >>> parts = split_rows(Samples(torch.zeros(10, 2), torch.arange(10) % 2))
        >>> [part.size for part in parts]
        [7, 1, 2]
    """
    order = torch.from_numpy(np.random.default_rng(seed).permutation(data.rows().numpy()))
    first, second = round(val * len(order)), round(test * len(order))
    views = []
    for rows in (order[first + second :], order[:first], order[first : first + second]):
        mask = torch.zeros(len(data.x), dtype=torch.bool)
        mask[rows] = True
        views.append(data.view(mask))
    return Splits(*views)


@dataclass(frozen=True)
class SampleTask(Task[Samples]):
    """What all tasks on independent rows share: ``model(x) -> [B, C]``, asked in batches of ids.

    Args:
        recipe: see :class:`graphforget.task.Task`.
        factory: see :class:`graphforget.task.Task`.
        layer_names: sub-modules whose outputs are the hidden layers; () finds linear layers, convolutions and
            recurrent ones.
    """

    layer_names: tuple[str, ...] = ()

    def batches(self, context: Samples, view: Samples, rng: torch.Generator | None) -> Iterator[Batch]:
        """The view's rows; with ``rng`` shuffled, in mini-batches by the recipe."""
        rows = view.rows()
        if view.y.dim() == 1:
            rows = rows[view.y.cpu()[rows] >= 0]
        if not len(rows):
            return
        if rng is not None:
            rows = rows[torch.randperm(len(rows), generator=rng)]
        size = getattr(self.recipe, "batch_size", None) if rng is not None else None
        asked = None if view.x is context.x else view
        for part in rows.split(size or len(rows)):
            yield Batch(part.to(view.y.device), view.y[part.to(view.y.device)], asked)

    def bind(self, model: nn.Module, context: Samples) -> Ask:
        """Run the model on the rows of a batch; without gradient at most 1024 of them at once."""
        device = next((p.device for p in model.parameters()), context.x.device)

        def ask(batch: Batch) -> Tensor:
            x = cast(Samples, batch.input if batch.input is not None else context).x
            pieces = [batch.index] if torch.is_grad_enabled() else batch.index.split(ROWS)
            return torch.cat([model(x[rows].to(device)) for rows in pieces])

        return ask

    def find_layers(self, model: nn.Module) -> dict[str, nn.Module]:
        """The named layers, or every linear, convolutional and recurrent one in order.

        Raises:
            InputError: the model has no such layer; its children are named.
        """
        named = dict(model.named_modules())
        for name in self.layer_names:
            if name not in named:
                raise InputError(f"the model has no layer {name!r}; known: {sorted(filter(None, named))}")
        found = {name: named[name] for name in self.layer_names or named if self.layer_names or _is_layer(named[name])}
        if not found:
            children = [name for name, _ in model.named_children()]
            raise InputError(f"no linear, convolutional or recurrent layer was found; name them out of {children}")
        return found

    def layers(self, model: nn.Module, context: Samples, view: Samples) -> dict[str, Tensor]:
        """{name: [n, ...]} outputs of the layers for the rows the view speaks for, in their order, with gradient."""
        return self.watch(model, context, self.elements(context, view))[1]

    def watch(self, model: nn.Module, context: Samples, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """(outputs, {layer: its output}) of one pass over a batch, with gradient where it is on."""
        found: dict[str, list[Tensor]] = {}

        def keep(name: str, out: Any) -> None:
            found.setdefault(name, []).append(out[0] if isinstance(out, tuple) else out)  # a recurrent one has a state

        handles = [
            module.register_forward_hook(lambda _m, _i, out, name=name: keep(name, out))
            for name, module in self.find_layers(model).items()
        ]
        try:
            outputs = self.bind(model, context)(batch)
        finally:
            for handle in handles:
                handle.remove()
        return outputs, {name: torch.cat(pieces) for name, pieces in found.items()}

    def sample(self, view: Samples, count: int, rng: torch.Generator) -> Batch:
        """A random sample of the view's rows."""
        batch = self.elements(view, view)
        return batch.take(torch.randperm(batch.size, generator=rng)[:count].to(batch.label.device))

    def unlinked(self, split: ForgetSplit[Samples], batch: Batch) -> Samples:
        """The retain part: rows see nothing of one another."""
        return split.retain

    def structure(self, context: Samples, batch: Batch) -> npt.NDArray[np.float64]:
        """[B, 3] what the retained rows say of a row: see :func:`neighbourhood`."""
        return neighbourhood(context, batch)


def _is_layer(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.RNNBase)


def neighbourhood(context: Samples, batch: Batch, neighbours: int = 10) -> npt.NDArray[np.float64]:
    """[B, 3] of each row, among the ``neighbours`` rows of the context nearest to it in its inputs (itself left out).

    The share that have its label (of a regression: minus the distance of its target from their mean), the mean distance
    to them and the distance to the nearest. Inputs are flattened and, where wider than 64, projected by random signs;
    integers are hashed words, 0 for none: every word is 64 random signs, and a sentence the sum of its words.
    """
    from sklearn.neighbors import NearestNeighbors

    rows = context.rows()
    x = cast(Samples, batch.input if batch.input is not None else context).x
    known, asked = (_flat(value).numpy() for value in (context.x[rows], x[batch.index.cpu()]))
    count = min(neighbours + 1, len(rows))
    distance, place = NearestNeighbors(n_neighbors=count).fit(known).kneighbors(asked)
    found = rows.numpy()[place]
    other = found != batch.index.cpu().numpy()[:, None]
    other[other.all(1), -1] = False  # a row that is not in the context: as many as for one that is
    shape = (len(found), count - 1)
    distance, found = distance[other].reshape(shape), found[other].reshape(shape)
    near, own = context.y.cpu().numpy()[found], batch.label.cpu().numpy()
    labels = context.y.dim() == 1
    agree = (near == own[:, None]).mean(1) if labels else -np.linalg.norm(near.mean(1) - own, axis=1)
    return np.stack([agree, distance.mean(1), distance[:, 0]], axis=1).astype(np.float64)


def _flat(x: Tensor) -> Tensor:
    if not x.is_floating_point():
        words = x.detach().cpu().long()
        table = _signs(int(words.max()) + 1)
        table[0] = 0
        return nn.functional.embedding_bag(words.flatten(0, -2), table, mode="sum").view(len(x), -1)
    flat = x.detach().float().flatten(1).cpu()
    return flat if flat.shape[1] <= 64 else flat @ _signs(flat.shape[1])


def _signs(count: int) -> Tensor:
    """[count, 64] random signs over 8, always the same."""
    return (2.0 * torch.randint(2, (count, 64), generator=torch.Generator().manual_seed(0)) - 1) / 8
