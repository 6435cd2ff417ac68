"""Diffusion models in the benchmarks: one class of the digits is a concept that must go."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.cell import Cell
from benchmarks.domains import Asked, Domain, Drawn
from graphforget.diffusion.audit import Audit, audit, recognised, recogniser
from graphforget.diffusion.models import MODELS, build
from graphforget.diffusion.sampling import sample
from graphforget.diffusion.task import NoisePrediction, scaled
from graphforget.errors import InputError
from graphforget.forget import ForgetRequest
from graphforget.report import Row
from graphforget.samples import Samples
from graphforget.splits import Splits
from graphforget.train import Recipe
from graphforget.unlearner import Unlearned
from graphforget.vision import cards, data

SUFFIX = "_diffusion"
SOURCES = {"digits": "digits_images", "mnist": "mnist"}
FIRST = 7  # the concept that goes; of several, those after it
PSIS = (0.001, 0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.75)
SHORT = (0.15, 0.35, 0.55)  # of the retained concept
IMAGES, ATTACKS, EACH = 40, 12, 5  # drawn for CRS and CCS; at each psi; of each concept
STEPS: int | None = None  # of inference: all that the model was trained with
RECIPE = Recipe(epochs=25, patience=25, lr=2e-3, batch_size=64, eval_every=5)  # 500 steps on the digits
_DRAWN: dict[tuple[str, int], Tensor] = {}


def card_of(cell: Cell) -> cards.ImageCard:
    """The facts of the images behind a data set of this domain."""
    return data.DATASETS[SOURCES[cell.dataset.removesuffix(SUFFIX)]]


def load(cell: Cell, root: Path | None) -> Splits[Samples]:
    """Load the cell's images, split by its seed, with pixels in [-1, 1]."""
    source = SOURCES[cell.dataset.removesuffix(SUFFIX)]
    return Splits(*(scaled(part) for part in data.load_splits(source, root=root, seed=cell.seed)))


def draw(cell: Cell, splits: Splits[Samples]) -> Drawn:
    """Name the concept, 7; of several, those after it."""
    known = card_of(cell).classes
    if cell.count is None or not 1 <= cell.count < known:
        raise InputError(f"concepts are drawn by --count, between 1 and {known - 1} (got {cell.count})")
    return Drawn(splits, ForgetRequest.of("class", [(FIRST + k) % known for k in range(cell.count)]))


def blank(cell: Cell, splits: Splits[Samples], root: Path | None) -> nn.Module:
    """Build a never-trained network for the images' shape."""
    return build(cell.model, card_of(cell).shape, card_of(cell).classes)


def more(asked: Asked, result: Unlearned) -> Row:
    """What is recognised in a model's own samples, the attack's curve, CRS and CCS; of the original the first only."""
    train: Samples = asked.split.data
    task, shape = asked.task, tuple(train.x.shape[1:])
    if not isinstance(task, NoisePrediction):
        raise InputError(f"this benchmark needs a task of noise prediction (got {type(task).__name__})")
    recognise, gone = recogniser(train), asked.request.parts["class"].tolist()
    kept = [label for label in train.y.unique().tolist() if label not in gone]
    original = asked.original()
    own = recognised(result.model, task.noise, shape, recognise, gone + kept, each=EACH, steps=STEPS)
    found: Row = {
        ("forget", "recognised"): sum(own[label] for label in gone) / len(gone),
        ("retain", "recognised"): sum(own[label] for label in kept) / len(kept),
        ("retain", "recognised_least"): min(own[label] for label in kept),
    }
    if _digest(result.model) == _digest(original):
        return found
    ask: dict[str, Any] = {"images": IMAGES, "attacks": ATTACKS, "steps": STEPS}
    told = audit(
        original, result.model, task.noise, gone[0], shape, recognise,
        psis=PSIS, reference=_reference(original, task, gone[0], shape), **ask,
    )  # fmt: skip
    found |= {("forget", f"concept@{psi:g}"): each.mean for psi, each in told.curve.items()}
    found |= {("forget", f"concept_error@{psi:g}"): each.error for psi, each in told.curve.items()}
    found["forget", "concept_mean"] = sum(each.mean for each in told.curve.values()) / len(PSIS)
    ask |= {"attacks": ATTACKS // 2}
    spared = audit(
        original, result.model, task.noise, kept[0], shape, recognise,
        psis=SHORT, reference=_reference(original, task, kept[0], shape), **ask,
    )  # fmt: skip
    return found | _scores("forget", told) | _scores("retain", spared)


def _scores(part: str, told: Audit) -> Row:
    return {
        (part, "crs_gap"): told.crs.mean,
        (part, "crs_signed"): told.signed.mean,
        (part, "ccs"): told.ccs.value.mean,
        (part, "ccs_low"): told.ccs.low,
        (part, "ccs_high"): told.ccs.high,
        (part, "ccs_scaled"): told.ccs.scaled,
    }


def _reference(original: nn.Module, task: NoisePrediction, concept: int, shape: tuple[int, ...]) -> Tensor:
    """The original's images of a concept, drawn once for all the models that are asked."""
    key = _digest(original), concept
    if key not in _DRAWN:
        _DRAWN[key] = sample(original, task.noise, torch.full((IMAGES,), concept), shape, steps=STEPS, seed=2)
    return _DRAWN[key]


def _digest(model: nn.Module) -> str:
    found = hashlib.sha256()
    for value in model.state_dict().values():
        found.update(value.cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


DIFFUSION = Domain(
    subject="a diffusion model",
    tasks={"noise": "class"},
    kinds=("class",),
    pools=("random",),
    models=tuple(MODELS),
    model="attention_unet",
    methods=("retrain", "finetune", "gradient_ascent", "d2dgn", "esd", "ablating_concepts", "forget_me_not", "sdd"),
    ratio=10.0,
    recipes={"noise": RECIPE},
    load=load,
    draw=draw,
    build=blank,
    shape=lambda cell: None,
    fields={
        "finetune": {"lr": 1e-3, "epochs": 5},
        "gradient_ascent": {"keep": 0.9, "epochs": 5, "lr": 1e-3},
        "d2dgn": {"epochs": 5},
    },
    counts={"class": 1},
    flops=False,
    more=more,
)

DIFFUSIONS = {f"{name}{SUFFIX}": DIFFUSION for name in SOURCES}
