"""Run the queue: batch after batch, each a new version that is whole or not there.

::

    received -> resolved -> planned -> running -> pending_verification -> deleted | deleted_unverified | failed

Weights, data and drift are carried from batch to batch. When the drift budget is spent, the batch is retrained instead.
The moment a version is in place its requests turn into HMACs, in the queue and in the vocabulary.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from torch import Tensor, nn

from graphforget import metrics
from graphforget.cost import Cost, measure
from graphforget.deletion.choose import Choice, recommend
from graphforget.deletion.deployment import method_of, task_of
from graphforget.deletion.manifest import Drift, Manifest
from graphforget.deletion.prices import Plan
from graphforget.deletion.queue import Entry
from graphforget.deletion.records import State
from graphforget.deletion.resolve import Batch, Resolver, counts, remaining
from graphforget.deletion.rows import fresh_rows
from graphforget.deletion.store import Store
from graphforget.deletion.suppress import suppress
from graphforget.errors import InputError
from graphforget.forget import ForgetSplit
from graphforget.graph import Graph
from graphforget.splits import Splits
from graphforget.task import Task
from graphforget.unlearner import Unlearned

log = logging.getLogger(__name__)
Say = Callable[[str], None]
LAST = timedelta(days=1)  # before its deadline a request is run whatever else waits; our default


@dataclass(frozen=True)
class Outcome:
    """What a batch came to.

    Args:
        version: of the model that forgot it.
        method: that did it.
        reason: why this one.
        requests: ids.
        counts: what they resolved to.
        seconds: of the method.
        predicted: seconds that the plan expected, or None.
        drift: since the last training from scratch.
    """

    version: int
    method: str
    reason: str
    requests: tuple[str, ...]
    counts: Mapping[str, int]
    seconds: float
    predicted: float | None
    drift: Drift


@dataclass(frozen=True)
class Wish:
    """Which method the caller wants.

    Args:
        method: named for this run, or None.
        settings: its fields.
        planned: the plan, or None.
    """

    method: str | None
    settings: dict[str, Any]
    planned: Plan | None


@dataclass(frozen=True, eq=False)
class Work:
    """What a batch is worked on with.

    Args:
        model: of the head.
        task: how it runs.
        splits: its data.
        manifest: of the head.
    """

    model: nn.Module
    task: Task[Any]
    splits: Splits[Graph]
    manifest: Manifest

    @classmethod
    def of(cls, store: Store) -> Work:
        """Load the head, after checking that it is what its manifest says."""
        store.check_head()
        model = store.model()
        return cls(model, task_of(store.deployment, model), store.head_data(), store.manifest())


def resolve_received(store: Store) -> dict[str, int]:
    """Resolve what was received; nothing but the states changes. Needs :meth:`Store.writing`.

    Returns:
        {state: how many came to it}.
    """
    entries = store.queue.entries(State.RECEIVED)
    if not entries:
        return {}
    resolver = Resolver(store.head_data(), store.vocabulary(), store.key)
    groups: dict[tuple[State, str], list[str]] = {}
    for entry in entries:
        try:
            found = resolver.one(entry.request)
            outcome = found.state, found.reason
            if (mark := resolver.mark(entry.request)) != entry.mark:
                store.queue.remark(entry.request.request_id, mark)
        except InputError as error:
            outcome = State.REJECTED, str(error)
        groups.setdefault(outcome, []).append(entry.request.request_id)
        if outcome[0] is State.OPTED_OUT:
            suppress(
                store.queue,
                {entry.request.request_id: [(resolver.mark(entry.request), entry.request.kind)]},
                store.head,
            )
    with store.queue.transaction():
        for (state, reason), names in groups.items():
            store.queue.move(names, state, reason, hide=state is not State.RESOLVED)
    store.queue.scrub()
    tally: dict[str, int] = {}
    for (state, _), names in groups.items():
        tally[state.value] = tally.get(state.value, 0) + len(names)
    return tally


def run(
    store: Store,
    *,
    method: str | None = None,
    settings: Mapping[str, Any] | None = None,
    batch_size: int | None = None,
    now: bool = False,
    planned: Plan | None = None,
    say: Say = log.info,
    after: Callable[[Outcome], bool] | None = None,
) -> list[Outcome]:
    """Work off the queue. Needs :meth:`Store.writing`.

    Args:
        store: opened.
        method: catalog key or import path; None takes the recommendation.
        settings: fields of the method.
        batch_size: requests a batch; None takes the deployment's.
        now: run a smaller batch at once, whatever the deployment's ``batch_days``.
        planned: the plan, whose recommendation is taken and whose prices go into the manifests.
        say: receives a line before each step.
        after: called with each outcome once it is committed, for its verification; False ends the run.

    Raises:
        InputError: a method that cannot serve a batch; its requests wait as before.
        Diverged: likewise.
    """
    resolve_received(store)
    outcomes: list[Outcome] = []
    size = batch_size or store.deployment.batch_size
    while entries := store.queue.entries(State.PLANNED, State.RESOLVED, limit=size):
        if len(entries) < size and not now and (due := _due(store, entries)):
            say(f"{len(entries)} requests wait: fewer than a batch of {size}, which is run at the latest on {due}")
            break
        names = [entry.request.request_id for entry in entries if entry.state is State.RESOLVED]
        store.queue.move(names, State.PLANNED)
        covered = None if names else planned  # a plan says nothing of requests that came after it
        outcome = _batch(store, entries, Wish(method, dict(settings or {}), covered), say)
        if outcome is not None:
            outcomes.append(outcome)
            if after is not None and not after(outcome):
                break
    return outcomes


def _due(store: Store, entries: list[Entry]) -> str:
    """When the batch of all that waits has to be run at the latest; "" where that is now."""
    days = store.deployment.batch_days
    if days is None:
        return ""
    due = min(
        min(
            datetime.fromisoformat(entry.request.received_at) + timedelta(days=days),
            datetime.fromisoformat(entry.request.deadline) - LAST,
        )
        for entry in entries
    )
    with store.queue.transaction():
        at, _ = store.queue.stamp()
    return "" if due <= datetime.fromisoformat(at) else due.isoformat(timespec="minutes")


def _batch(
    store: Store,
    entries: list[Entry],
    wish: Wish,
    say: Say,
) -> Outcome | None:
    names = [entry.request.request_id for entry in entries]
    work = Work.of(store)
    resolver = Resolver(work.splits, store.vocabulary(), store.key)
    batch = resolver.together([(e.request.request_id, e.request, resolver.one(e.request)) for e in entries])
    with store.queue.transaction():  # the list first: what is asked for must not come back, whatever happens next
        suppress(store.queue, batch.marks, store.head + 1)
        store.queue.move(names, State.RUNNING, f"batch of {len(names)}")
    try:
        split, left = remaining(work.splits, batch)
    except InputError as error:
        store.queue.move(names, State.FAILED, str(error), hide=True)
        say(f"failed: {error}")
        return None
    try:
        choice = _choose(store, work, split, wish, len(names))
        say(f"{len(names)} requests: {_told(counts(split, batch))}; {choice.name}, {choice.reason}")
        seed = store.deployment.seed + store.head + 1
        with measure() as cost:
            result = _unlearn(work, split, choice, seed)
        drift = _drift(work, split, result, choice.name == "retrain", len(names))
    except BaseException:
        store.queue.move(names, State.PLANNED, "the run was interrupted")
        raise
    expected = wish.planned.predicted().get(choice.name, {}) if wish.planned else {}
    manifest = store.commit(
        result.model.state_dict(),
        left,
        pending=_pending(batch),
        kind="data_only" if split is None else "retrained" if choice.name == "retrain" else "unlearned",
        method=choice.name,
        settings=asdict(choice.method),
        reason=choice.reason,
        seed=seed,
        requests=names,
        counts=counts(split, batch),
        cost=_cost(cost, expected),
        prices=wish.planned.predicted() if wish.planned else {},
        drift=drift,
        notes={key: value for key, value in result.record.items() if isinstance(value, bool | int | float | str)},
    )
    store.enter(manifest.version, names)
    return Outcome(
        manifest.version,
        choice.name,
        choice.reason,
        tuple(names),
        manifest.counts,
        cost.seconds,
        expected.get("seconds"),
        drift,
    )


def _choose(
    store: Store,
    work: Work,
    split: ForgetSplit[Graph] | None,
    wish: Wish,
    requests: int,
) -> Choice:
    if split is None:
        return Choice("none", method_of("retrain", {}), "the model was trained on none of it: only the data changes")
    budget, drift = store.deployment.drift, work.manifest.drift
    if drift.requests + requests > budget.requests:
        spent = (
            f"the drift budget of {budget.requests} requests is spent ({drift.requests} unlearned, {requests} to come)"
        )
        return Choice("retrain", method_of("retrain", {}), spent)
    if budget.distance is not None and drift.distance > budget.distance:
        spent = f"the drift budget of {budget.distance:g} is spent (drift {drift.distance:.3g})"
        return Choice("retrain", method_of("retrain", {}), spent)
    if wish.method is not None:
        return Choice(wish.method, method_of(wish.method, wish.settings), "named for this run")
    if wish.planned is not None and wish.planned.prices and store.deployment.method is None:
        planned = wish.planned
        return Choice(planned.recommended, method_of(planned.recommended, planned.settings), planned.reason)
    return recommend(store.deployment, work.task, split)


def _unlearn(work: Work, split: ForgetSplit[Graph] | None, choice: Choice, seed: int) -> Unlearned:
    if split is None:
        return Unlearned(work.model, work.splits.train, {})
    if not choice.method.drop_in:
        raise InputError(f"the method must return a drop-in for the model (got {choice.name}); choose another")
    result = choice.method.unlearn(work.model, work.task, split, seed=seed)
    if not _has_rows(result.model, split.data):
        return result
    return result._replace(model=fresh_rows(result.model, work.task, split, seed=seed))


def _has_rows(model: nn.Module, data: Graph) -> bool:
    """Has the model a row for each user, item or node: those of the deleted are drawn anew, whatever the method did."""
    sizes = {*data.size, data.num_nodes}
    named = any(each.dim() == 2 and each.shape[0] in sizes for each in model.parameters())
    return named or callable(getattr(model, "reset_rows", None))


def _drift(work: Work, split: ForgetSplit[Graph] | None, result: Unlearned, anew: bool, requests: int) -> Drift:
    """The drift after a batch; a training from scratch begins anew."""
    if anew:
        return Drift()
    old = work.manifest.drift
    if split is None:
        return old
    moved = distance(work.task, split, work.model, result)
    return Drift(requests=old.requests + requests, distance=old.distance + moved, batches=old.batches + 1)


def distance(task: Task[Any], split: ForgetSplit[Graph], before: nn.Module, after: Unlearned) -> float:
    """Mean root of the divergence of two models' answers on the held-out elements; 0 of none.

    The Jensen-Shannon divergence, or the task's own where an answer is one number.
    """
    if next(iter(task.batches(split.retain, split.held_out, None)), None) is None:
        return 0.0
    batch = task.elements(split.retain, split.held_out)
    old, new = task.teacher(before, split.data)(batch), task.teacher(after.model, after.context)(batch)
    apart = metrics.js(old, new) if old.shape[1] > 1 else task.divergence(old, new, 1.0)
    return float(apart.clamp(min=0).sqrt().mean())


def _pending(batch: Batch) -> dict[str, Tensor]:
    """The resolved request as tensors, for the verification."""
    return {} if batch.request is None else {kind: ids.contiguous() for kind, ids in batch.request.parts.items()}


def _cost(cost: Cost, expected: Mapping[str, float]) -> dict[str, float | None]:
    return {
        "seconds": cost.seconds,
        "peak_mib": cost.peak_mib,
        "predicted_seconds": expected.get("seconds"),
        "predicted_mib": expected.get("mib"),
        "predicted_factor": expected.get("factor"),
        "retrain_predicted_seconds": expected.get("retrain_seconds"),
    }


def _told(found: Mapping[str, int]) -> str:
    return ", ".join(f"{value:,} {name.replace('_', ' ')}" for name, value in found.items()) or "nothing to forget"
