"""The whole service in one call: run what was planned, verify what waits, finish what an earlier call began."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from graphforget.deletion.confirm import Confirmed, confirm, waiting
from graphforget.deletion.plan import forget_plan, gold_price, last_plan
from graphforget.deletion.records import State
from graphforget.deletion.run import Outcome, Say, run
from graphforget.deletion.signature import Sign
from graphforget.deletion.store import Store
from graphforget.errors import InputError

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Served:
    """What a call did.

    Args:
        outcomes: batches, in order.
        confirmed: verdicts, in order; what an earlier call left open included.
        refused: requests that could not be served by any method.
    """

    outcomes: list[Outcome]
    confirmed: list[Confirmed]
    refused: int


def serve(
    store: Store,
    *,
    method: str | None = None,
    settings: Mapping[str, Any] | None = None,
    batch_size: int | None = None,
    now: bool = False,
    golds: int | None = None,
    verify: bool = True,
    operator: str | None = None,
    sign: Sign | None = None,
    say: Say = log.info,
) -> Served:
    """Work off the queue and verify. Needs :meth:`Store.writing`.

    Args:
        store: opened.
        method: catalog key or import path; None takes the plan's, else the recommendation.
        settings: fields of the method.
        batch_size: requests a batch; None takes the deployment's.
        now: run a smaller batch at once, whatever the deployment's ``batch_days``.
        golds: for the evidence; None takes as many as the deployment affords.
        verify: verify each batch at once; else it waits for ``graphforget verify``.
        operator: who runs it.
        sign: signs the receipts; None signs none.
        say: receives a line before each step.

    Raises:
        InputError: the head failed its verification, or the method cannot serve a batch.
    """
    confirmed: list[Confirmed] = []
    failed = len(store.queue.entries(State.FAILED))
    price = gold_price(store)

    def check(version: int) -> bool:
        confirmed.append(confirm(store, version, golds=golds, price=price, operator=operator, sign=sign, say=say))
        if confirmed[-1].outcome == "fail":
            say(f"version {version} failed its verification: nothing is built on it; roll back and take another method")
        return confirmed[-1].outcome != "fail"

    if store.queue.entries(State.FAILED, version=store.head, limit=1):
        raise InputError(
            f"version {store.head} failed its verification (got a failed head); roll back and take another method"
        )
    verdicts = [check(version) for version in waiting(store)] if verify else []
    planned = last_plan(store)
    outcomes = (
        run(
            store,
            method=method,
            settings=settings,
            batch_size=batch_size,
            now=now,
            planned=planned,
            say=say,
            after=(lambda one: check(one.version)) if verify else None,
        )
        if all(verdicts)
        else []
    )
    if planned is not None and not store.queue.entries(State.PLANNED, limit=1):
        forget_plan(store)
    lost = (
        len(store.queue.entries(State.FAILED))
        - failed
        - sum(len(one.receipt.requests) for one in confirmed if one.outcome == "fail")
    )
    return Served(outcomes, confirmed, max(lost, 0))
