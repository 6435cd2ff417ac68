"""What is the calibrated method's own: the targets are reached, and a stopped run goes on as it was."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import recsys.mmrecun_calibrated as ours
from graphforget.calibrate import calibrate
from graphforget.checkpoint import checkpoints
from graphforget.errors import InputError
from graphforget.train import descend
from recsys.mmrecun_calibrated import LEAD, CalibratedMMRecUN
from tests.recsys.test_mmrecun import job

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


def test_a_stopped_run_goes_on_with_its_correction(monkeypatch, tmp_path):
    now = job()
    method = replace(METHOD, epochs=LEAD + 4)
    whole = method.unlearn(now.original, now.task, now.split, seed=0).model.state_dict()

    class Broken(Exception):
        pass

    def breaks(model, steps, **settings):
        def until(epoch):
            if epoch == LEAD + 2:
                raise Broken
            return steps(epoch)

        return descend(model, until, **settings)

    with monkeypatch.context() as patch, checkpoints(tmp_path, every=1):
        patch.setattr(ours, "descend", breaks)
        with pytest.raises(Broken):
            method.unlearn(now.original, now.task, now.split, seed=0)
    with checkpoints(tmp_path, every=1):
        again = method.unlearn(now.original, now.task, now.split, seed=0).model.state_dict()
    assert all(torch.equal(whole[name], again[name]) for name in whole)


@pytest.mark.parametrize("correction", [-0.1, 1.0])
def test_a_correction_that_swings_is_refused(correction):
    with pytest.raises(InputError, match=r"correction must lie in \[0, 1\) \(got"):
        CalibratedMMRecUN(correction=correction)
