"""A verification and a dossier that are made up, for what is done with them."""

from __future__ import annotations

from typing import Any

import torch

from graphforget.deletion.dossier import CostLine, Dossier, RequestLine, VersionLine
from graphforget.deletion.samples import histograms
from graphforget.deletion.verdict import Judge, Thresholds, decide
from graphforget.deletion.verify import NO_GOLD, Verification
from graphforget.intervals import Interval


def verification(value: float = 1.1, *, subjects: int = 40, golds: int = 3) -> Verification:
    """With one check, the distance in noise floors."""
    limits = Thresholds()
    judge = Judge(limits, subjects)
    check = judge.check("distance", Interval(value, 0.9 * value, 1.1 * value), highest=limits.floors)
    utility = judge.check("utility", Interval(-0.001, float("nan"), float("nan")), lowest=-0.02, of_subjects=False)
    rows: list[dict[str, Any]] = []
    for role, figure in (("original", 0.5), ("gold_other_seed", 0.1), ("unlearned", 0.1 * value)):
        rows += [
            {"role": role, "method": "", "part": part, "metric": "js_to_gold", "value": figure}
            for part in ("forget", "retain", "test")
        ]
    rows += [{"role": "unlearned", "method": "", "part": "test", "metric": "recall@20", "value": 0.25}]
    rows += [{"role": "unlearned", "method": "", "part": "all", "metric": "mia_tpr_at_1pct_fpr", "value": None}]
    rng = torch.Generator().manual_seed(0)
    drawn = {(model, "forget"): torch.randn(50, generator=rng) for model in ("before", "after", "gold")}
    return Verification(
        method="finetune",
        task="LinkPrediction",
        golds=golds,
        elements={"forget": 50, "retain": 500, "test": 100},
        subjects=subjects,
        verdict=decide([check, utility], [] if golds else [NO_GOLD], passes=bool(golds)),
        thresholds=limits,
        rows=tuple(rows),
        pictures=histograms(drawn),
        seed=0,
        cost={"seconds": 2.5, "peak_mib": None},
    )


def dossier(found: Verification | None, **changes: Any) -> Dossier:
    """With two requests, three versions and a plan."""
    given: dict[str, Any] = {
        "model": "links",
        "created_at": "2026-11-21T10:00:00Z",
        "requests": (
            RequestLine(mark="r1", kind="edge", status="deleted", received_at="2026-11-01T00:00:00Z"),
            RequestLine(mark="r2", kind="user", status="not_found", received_at="2026-11-03T00:00:00Z"),
        ),
        "method": "finetune",
        "out_of_scope": ("backups",),
        "costs": (
            CostLine(name="finetune", predicted_seconds=2.0, seconds=2.5, chosen=True),
            CostLine(name="retrain", predicted_seconds=120.0),
        ),
        "versions": versions(),
        "receipt": "9f" * 32,
        "verification": found,
    }
    return Dossier(**(given | changes))


def versions() -> tuple[VersionLine, ...]:
    """The first, a purged one, and the one that is served."""
    return (
        VersionLine(name="0", created_at="2026-10-01T10:00:00Z"),
        VersionLine(name="1", created_at="2026-11-01T10:00:00Z", method="utu", requests=2, state="purged"),
        VersionLine(
            name="2", created_at="2026-11-21T10:00:00Z", method="finetune", requests=1, state="current",
            outcome="pass", sha256="ab" * 32,
        ),
    )  # fmt: skip
