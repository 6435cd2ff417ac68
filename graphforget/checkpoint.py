"""Checkpoints of long trainings: go on after a crash as if there had been none.

    with graphforget.checkpoints("run"):
        model = task.fit(model, train, val, seed=0)
        result = CalibratedD2DGN().unlearn(model, task, split, seed=0)

Every training loop inside the block, in the order in which they come, has a file of its own: weights, Adam's state,
random streams, the best weights and the curve, in safetensors with a JSON header, replaced in one step. When the script
runs again, finished loops are read back, the broken one goes on, and the result is the one of an unbroken run. A file
whose settings, or whose first loss, are not those of the script (other data, another seed) is refused. No data is in
the files; the weights of a model that has not forgotten are, so they are removed when the block ends well.
Under :func:`graphforget.workers` the first process writes and reads, for all.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save_file
from torch import Tensor, nn

from graphforget import parallel
from graphforget.errors import InputError
from graphforget.whole import whole

CLOSE = 1e-5  # how near two first losses of one training are: processes and machines differ in the last digits
State = tuple[dict[str, Tensor], dict[str, Any]]  # tensors by name, and what JSON can hold


class Memory(Protocol):
    """What a loop remembers from epoch to epoch beside weights and random streams."""

    def keep(self) -> State:
        """What to write."""

    def recall(self, state: State) -> None:
        """Take it back."""


@dataclass
class Folder:
    """Where the files of a block go.

    Args:
        path: the folder.
        every: epochs between two files.
    """

    path: Path
    every: int
    loops: int = 0
    written: list[Path] = field(default_factory=list)


_OPEN: list[Folder] = []
_STREAMS: list[torch.Generator] = []  # of the ``seeded`` blocks that are open, outermost first


@contextmanager
def checkpoints(folder: str | Path, every: int = 10) -> Iterator[None]:
    """Write a checkpoint of every training loop inside the block, and go on from what an earlier run has left.

    Args:
        folder: made where it is missing; one script, one folder.
        every: epochs between two files.

    Raises:
        InputError: a file in the folder is damaged, or belongs to another training.
    """
    if every < 1:
        raise InputError(f"every must be at least 1 epoch (got {every})")
    _OPEN.append(Folder(Path(folder), every))
    try:
        yield
        if parallel.current().first:
            _clear(_OPEN[-1])
    finally:
        _OPEN.pop()


def _clear(folder: Folder) -> None:
    for path in folder.written:
        path.unlink(missing_ok=True)
    if folder.path.exists() and not any(folder.path.iterdir()):
        folder.path.rmdir()


@contextmanager
def stream(rng: torch.Generator) -> Iterator[None]:
    """Let checkpoints inside the block hold this random stream too."""
    _STREAMS.append(rng)
    try:
        yield
    finally:
        _STREAMS.remove(rng)


@dataclass(eq=False)
class Loop:
    """One training loop and its file.

    Args:
        model: whose weights and buffers are written.
        optimiser: whose state is written.
        identity: what tells this loop from others: a file of another is refused.
        memory: what else the loop remembers; None where ``whole``.
        whole: write only when the loop has ended, since it remembers what cannot be written.
        first: loss of the first step; another one, and the data, the seed or the code is another.
    """

    model: nn.Module
    optimiser: torch.optim.Optimizer
    identity: dict[str, Any]
    memory: Memory | None = None
    whole: bool = False
    first: float | None = None

    def __post_init__(self) -> None:
        self.folder = _OPEN[-1] if _OPEN else None
        if self.folder is not None:
            self.path = self.folder.path / f"{self.folder.loops:03d}.safetensors"
            self.folder.loops += 1
            self.folder.written.append(self.path)

    def resume(self, first: Callable[[], float]) -> tuple[int, bool]:
        """Take back what an earlier run has left: epochs that are done, and whether these were all.

        Args:
            first: computes the loss of the first step as it would be now.

        Raises:
            InputError: the file is damaged, or belongs to another training.
        """
        if self.folder is None:
            return 0, False
        found = self.path.read_bytes() if parallel.current().first and self.path.exists() else None
        data = parallel.from_first(found)
        if data is None:
            return 0, False
        try:
            tensors = load(data)
            header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
            note = json.loads(header["__metadata__"]["note"])
        except (SafetensorError, ValueError, KeyError) as error:
            raise InputError(f"the checkpoint {self.path} is damaged ({error}); remove it to start anew") from error
        asked = json.loads(json.dumps(self.identity))
        other = {key: value for key, value in note["identity"].items() if asked.get(key) != value}
        self.first = first() if not other else None
        if self.first is not None and not math.isclose(self.first, note["first"], rel_tol=CLOSE, abs_tol=CLOSE):
            other, asked = {"first loss": note["first"]}, {"first loss": self.first}
        if other:
            now = {key: asked.get(key) for key in other}
            raise InputError(
                f"the checkpoint {self.path} belongs to another training (got {other}, now {now}): data, seed or "
                "settings have changed; use another folder, or remove it"
            )
        self._take_back(tensors, note)
        return int(note["epochs"]), bool(note["ended"])

    def _take_back(self, tensors: dict[str, Tensor], note: dict[str, Any]) -> None:
        self.model.load_state_dict(_below(tensors, "model."))
        for number, parameter in enumerate(self._parameters()):
            kept = _below(tensors, f"adam.{number}.")
            if kept:
                self.optimiser.state[parameter] = {key: value.to(parameter.device) for key, value in kept.items()}
        if self.memory is not None:
            self.memory.recall((_below(tensors, "memory."), note["memory"]))
        for number, rng in enumerate(_STREAMS):
            rng.set_state(tensors[f"rng.{number}"])
        torch.set_rng_state(tensors["rng.torch"])
        for number in range(torch.cuda.device_count()):
            torch.cuda.set_rng_state(tensors[f"rng.cuda.{number}"], number)
        kind, keys, rest = "MT19937", tensors["rng.numpy"].numpy().astype(np.uint32), note["numpy"]
        np.random.set_state((kind, keys, *rest))  # noqa: NPY002
        version, numbers, gauss = note["random"]
        random.setstate((version, tuple(numbers), gauss))

    def save(self, epochs: int, ended: bool = False) -> None:
        """Write the state after so many epochs, where it is due."""
        if self.folder is None or not parallel.current().first:
            return
        if not ended and (self.whole or epochs % self.folder.every):
            return
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        for number, parameter in enumerate(self._parameters()):
            tensors |= {f"adam.{number}.{key}": value for key, value in self.optimiser.state[parameter].items()}
        kept: State = ({}, {}) if self.memory is None else self.memory.keep()
        tensors |= {f"memory.{name}": value for name, value in kept[0].items()}
        tensors |= {f"rng.{number}": rng.get_state() for number, rng in enumerate(_STREAMS)}
        tensors["rng.torch"] = torch.get_rng_state()
        tensors |= {f"rng.cuda.{n}": torch.cuda.get_rng_state(n) for n in range(torch.cuda.device_count())}
        _, keys, *rest = np.random.get_state()  # noqa: NPY002
        tensors["rng.numpy"] = torch.from_numpy(np.asarray(keys).astype(np.int64))
        note = {"identity": self.identity, "epochs": epochs, "ended": ended, "first": self.first, "memory": kept[1]}
        note |= {"numpy": rest, "random": random.getstate()}
        self.folder.path.mkdir(parents=True, exist_ok=True)
        plain = {name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()}
        with whole(self.path) as part:
            save_file(plain, part, {"note": json.dumps(note)})

    def _parameters(self) -> list[nn.Parameter]:
        return [parameter for group in self.optimiser.param_groups for parameter in group["params"]]


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
