"""What a method is priced by: whole where that is quick, else by short runs."""

from __future__ import annotations

import pytest

from graphforget.deletion import plan
from graphforget.deletion.plan import method_price
from recsys.models.bpr import BPR
from recsys.scif import SCIF
from tests.recsys.test_mmrecun import TASK, job


@pytest.mark.parametrize(("quick", "whole"), [(float("inf"), True), (0.0, False)])
def test_a_quick_method_is_run_whole_since_it_may_stop_before_its_last_pass(monkeypatch, quick, whole):
    ran, timed = [], plan._timed
    monkeypatch.setattr(plan, "QUICK", quick)
    monkeypatch.setattr(plan, "_timed", lambda method, *rest: ran.append(method) or timed(method, *rest))
    split, method = job().split, SCIF(iterations=400)
    seconds, mib = method_price(method, BPR(24, 16, dim=6), TASK, split)
    assert {each.iterations for each in ran[:5]} == {1, 3}
    assert (method in ran) == whole
    assert seconds > 0 <= mib
