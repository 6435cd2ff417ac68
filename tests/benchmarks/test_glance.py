"""Every request on one line, in noise floors."""

from pathlib import Path

import pytest

from benchmarks.figures import blocks
from benchmarks.glance import glance
from benchmarks.sweeps import SWEEPS
from graphforget.report import Report


def _rows(seed: int, js: dict[tuple[str, str], float], **keys: object) -> list[dict[str, object]]:
    same = {"dataset": "cora", "model": "gcn", "task": "link", "kind": "edge", "pool": "out", "seed": seed, **keys}
    same = {"ratio": 2.5, "count": None, **same}
    return [
        {**same, "role": role, "method": method, "part": "forget", "metric": "js_to_gold", "value": value}
        for (role, method), value in js.items()
    ]


FIGURES = {
    ("original", ""): 0.4,
    ("gold_other_seed", "retrain"): 0.1,
    ("unlearned", "utu"): 0.2,
    ("unlearned", "d2dgn_calibrated"): 0.12,
}


def test_a_line_holds_multiples_of_the_floor_and_the_nearest_is_bold() -> None:
    rows = _rows(0, FIGURES) + _rows(1, FIGURES)
    line = glance(Report({}, rows)).splitlines()[-1]  # type: ignore[arg-type]
    assert line == "| cora gcn link: 2.5 % edge out | 2 | 4.0 | 2.0 |  |  |  | **1.2** |"


def test_equal_to_a_tenth_are_both_bold_and_nan_is_left_out() -> None:
    figures = {**FIGURES, ("unlearned", "utu"): 0.121, ("unlearned", "finetune"): float("nan")}
    line = glance(Report({}, _rows(0, figures))).splitlines()[-1]  # type: ignore[arg-type]
    assert line.endswith("| **1.2** |  |  |  | **1.2** |")


def test_a_request_without_floor_has_no_line() -> None:
    figures = {key: value for key, value in FIGURES.items() if key[0] != "gold_other_seed"}
    assert len(glance(Report({}, _rows(0, figures))).splitlines()) == 2  # type: ignore[arg-type]
    assert glance(Report()) == "*Not yet run.*"


def test_all_sweeps_together_give_the_overview_and_some_do_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.sweeps.RESULTS", tmp_path)  # the committed results take seconds to read
    assert {"glance", "glance-recommend"} < set(blocks(SWEEPS))
    assert list(blocks(SWEEPS[:1])) == [SWEEPS[0].name]
