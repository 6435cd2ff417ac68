"""What a plan says: the price of each method, and what it recommends."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from graphforget.deletion.deployment import Scalar


class Price(BaseModel):
    """What a method would cost.

    Args:
        method: catalog key.
        applies: can it serve the request.
        reason: why not, or what the price rests on.
        seconds: predicted, None where it was not priced.
        mib: predicted peak memory above what is in use.
        factor: by which earlier batches have corrected the seconds.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    method: str
    applies: bool
    reason: str = ""
    seconds: float | None = None
    mib: float | None = None
    factor: float = 1.0


class UtilityCost(BaseModel):
    """What a batch is expected to cost in utility, by :mod:`graphforget.deletion.worth`.

    Args:
        metric: the held-out score.
        reason: why there is no estimate.
        whole: the score of models trained on everything, the mean over seeds.
        fall: by how much retraining without the batch is expected to lower it; None where it is not estimated.
        spread: standard deviation of the score over the seeds of training alone.
        error: standard error of the fall that the seeds leave.
        trainings: behind the estimate.
        epochs: of each.
        seconds: they took.
        cached: were they done for an earlier plan of the same version.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    metric: str
    reason: str = ""
    whole: float | None = None
    fall: float | None = None
    spread: float | None = None
    error: float | None = None
    trainings: int = 0
    epochs: int = 0
    seconds: float = 0.0
    cached: bool = False


class Plan(BaseModel):
    """What a run would do.

    Args:
        requests: how many wait for it.
        counts: what they resolve to.
        affected: nodes and edges within two hops, and their shares.
        prices: every method of the catalog and retraining.
        recommended: the method.
        settings: its fields.
        reason: why.
        utility: what the batch is expected to cost in utility; None where it was not asked for.
        drift: requests and distance since the last training from scratch, before this batch.
        states: how many requests stand where, after the resolution.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    requests: int
    counts: dict[str, int] = {}
    affected: dict[str, float] = {}
    prices: tuple[Price, ...] = ()
    recommended: str = ""
    settings: dict[str, Scalar] = {}
    reason: str = ""
    utility: UtilityCost | None = None
    drift: dict[str, float] = {}
    states: dict[str, int] = {}

    def predicted(self) -> dict[str, dict[str, float]]:
        """{method: {"seconds", "mib", "retrain_seconds"}} for the receipt."""
        known = {price.method: price for price in self.prices if price.seconds is not None}
        retrain = known["retrain"].seconds if "retrain" in known else None
        found = {}
        for name, price in known.items():
            values = {"seconds": price.seconds, "mib": price.mib, "factor": price.factor, "retrain_seconds": retrain}
            found[name] = {key: value for key, value in values.items() if value is not None}
        return found
