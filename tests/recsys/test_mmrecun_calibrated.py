"""What is the calibrated method's own: the targets are reached, and a stopped run goes on as it was."""

from __future__ import annotations

from dataclasses import replace

import pytest

import recsys.mmrecun_calibrated as ours
from graphforget.calibrate import calibrate
from graphforget.errors import InputError
from recsys.mmrecun_calibrated import LEAD, CalibratedMMRecUN
from tests.recsys.small import after_a_crash
from tests.recsys.test_mmrecun import job
from tests.small import equal_states

METHOD = CalibratedMMRecUN(epochs=40, lr=1e-2, samples=2, forget_weight=5.0)  # so small a world has few steps


def missed(monkeypatch, method) -> tuple[float, float]:
    """(mean score of the forgotten above its target, how far the targets were lowered)."""
    found = []
    monkeypatch.setattr(ours, "calibrate", lambda *args, **kinds: found.append(calibrate(*args, **kinds)) or found[0])
    now = job()
    result = method.unlearn(now.original, now.task, now.split, seed=0)
    (target,) = found
    before, after = (
        now.task.scores(now.task.teacher(model, result.context)(target.batch), target.batch)
        for model in (now.original, result.model)
    )
    return float((after - (before - target.delta)).mean()), float(result.record["lowered"])


def test_targets_that_the_retained_pull_away_from_are_reached_by_the_correction(monkeypatch):
    short, nothing = missed(monkeypatch, replace(METHOD, correction=0.0))
    near, lowered = missed(monkeypatch, METHOD)
    assert nothing == 0 != lowered
    assert abs(near) < abs(short) / 2


def test_a_stopped_run_goes_on_with_its_correction(tmp_path):
    now = job()
    method = replace(METHOD, epochs=LEAD + 4)

    def run():
        return method.unlearn(now.original, now.task, now.split, seed=0).model.state_dict()

    assert equal_states(run(), after_a_crash(run, ours, LEAD + 2, tmp_path))


@pytest.mark.parametrize("correction", [-0.1, 1.0])
def test_a_correction_that_swings_is_refused(correction):
    with pytest.raises(InputError, match=r"correction must lie in \[0, 1\) \(got"):
        CalibratedMMRecUN(correction=correction)
