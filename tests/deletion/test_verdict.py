"""Verdicts: intervals against limits declared beforehand, two-sided, honest about few subjects."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from graphforget.deletion.verdict import MEANING, Check, Judge, Thresholds, decide
from graphforget.errors import InputError
from graphforget.intervals import Interval

JUDGE = Judge(Thresholds(), subjects=100)
POINT = (math.nan, math.nan)


def two_sided(*figures: float, judge: Judge = JUDGE) -> Check:
    return judge.check("membership", Interval(*figures), lowest=-0.05, highest=0.05)


def test_below_gold_is_a_failure_as_much_as_above():
    above, below = two_sided(0.2, 0.1, 0.3), two_sided(-0.2, -0.3, -0.1)
    assert (above.outcome, below.outcome) == ("fail", "fail")
    assert "easier to tell" in above.reason
    assert "less like trained data" in below.reason


def test_zero_earns_nothing_gold_is_the_reference():
    # AUC of the unlearned model 0.5, "nothing to find", where retrained models have 0.7: pushed too far
    assert two_sided(0.5 - 0.7, -0.25, -0.15).outcome == "fail"


def test_an_interval_that_crosses_a_limit_is_inconclusive():
    check = two_sided(0.03, -0.01, 0.07)
    assert check.outcome == "inconclusive"
    assert "limit -0.05 to 0.05" in check.detail


def test_a_figure_without_interval_is_judged_as_a_point():
    assert JUDGE.check("utility", Interval(-0.01, *POINT), lowest=-0.02).outcome == "pass"
    assert JUDGE.check("utility", Interval(-0.03, *POINT), lowest=-0.02).outcome == "fail"


def test_what_could_not_be_measured_never_passes():
    check = two_sided(math.nan, *POINT)
    assert (check.outcome, check.value, check.low) == ("inconclusive", None, None)


def test_few_subjects_never_pass_and_fail_only_by_far():
    few = Judge(Thresholds(), subjects=3)
    assert two_sided(0.0, -0.01, 0.01, judge=few).outcome == "inconclusive"
    assert two_sided(0.06, 0.055, 0.065, judge=few).outcome == "inconclusive"
    assert two_sided(0.4, 0.39, 0.41, judge=few).outcome == "fail"
    assert two_sided(-0.4, -0.41, -0.39, judge=few).outcome == "fail"
    assert "3, where 20 are declared" in two_sided(0.0, -0.01, 0.01, judge=few).reason


def test_figures_of_the_retained_do_not_wait_for_subjects():
    few = Judge(Thresholds(), subjects=1)
    assert few.check("utility", Interval(0.0, *POINT), lowest=-0.02, of_subjects=False).outcome == "pass"


@given(st.floats(-1, 1), st.floats(0, 0.5), st.floats(0, 0.5), st.integers(1, 40))
def test_the_outcome_follows_from_the_interval(value, left, right, subjects):
    check = two_sided(value, value - left, value + right, judge=Judge(Thresholds(), subjects=subjects))
    inside = value - left >= -0.05 and value + right <= 0.05
    outside = value - left > 0.05 or value + right < -0.05
    if subjects < 20:
        assert check.outcome in ("inconclusive", "fail")
        assert (check.outcome == "fail") == (abs(value) > 0.25)
    else:
        assert check.outcome == ("pass" if inside else "fail" if outside else "inconclusive")


def test_one_failed_check_fails_the_deletion_and_comes_first():
    bad, open_, good = two_sided(0.2, 0.1, 0.3), two_sided(0.03, -0.01, 0.07), two_sided(0.0, -0.01, 0.01)
    verdict = decide([good, open_, bad], ["a note"])
    assert verdict.outcome == "fail"
    assert verdict.reasons == (bad.words, "a note")
    assert decide([good, open_]).outcome == "inconclusive"
    assert decide([good]).outcome == "pass"
    assert decide([good], ["no gold"], passes=False).reasons == ("no gold",)
    assert decide([good], ["no gold"], passes=False).outcome == "inconclusive"
    with pytest.raises(InputError, match="at least one check"):
        decide([])


def test_thresholds_refuse_what_they_do_not_know():
    with pytest.raises(ValidationError, match="attack_acu"):
        Thresholds(attack_acu=0.1)
    with pytest.raises(ValidationError, match="floors"):
        Thresholds(floors=0)
    with pytest.raises(InputError, match="needs a limit"):
        JUDGE.check("distance", Interval(1.0, *POINT))


def test_every_word_of_a_check_is_there_for_a_reader():
    for name, meaning in MEANING.items():
        assert meaning.title, name
        assert meaning.unit, name
        assert meaning.above or meaning.below, name
        for text in (meaning.above, meaning.below):
            assert not {"proof", "certified"} & set(text.split()), name
