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
