"""TOFU's figures: exact on its published logs, and on cases made by hand."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from graphforget.errors import InputError
from graphforget.llm import metrics
from graphforget.llm.metrics import EvalSet

LOGS = {
    "llama full": "ft_epoch5_lr1e-05_llama2-7b_full_wd0.01.json",
    "llama retain90": "ft_epoch5_lr1e-05_llama2-7b_retain90_wd0.01.json",
    "llama retain99": "ft_epoch5_lr1e-05_llama2-7b_retain99_wd0.01.json",
    "phi full": "ft_epoch5_lr2e-05_phi_full_wd0.01.json",
    "phi retain90": "ft_epoch5_lr2e-05_phi_retain90_wd0.01.json",
}
UTILITY = {  # geometric, arithmetic
    "llama full": (0.6227, 0.5859),
    "llama retain90": (0.6137, 0.5752),
    "llama retain99": (0.6207, 0.5812),
    "phi full": (0.5221, 0.5034),
    "phi retain90": (0.5320, 0.5130),
}
PARTS = {  # authors, facts, retain: probability, ROUGE, truth ratio (geometric), truth ratio (arithmetic)
    "llama full": (
        (0.4555, 0.4186, 0.9895), (0.9330, 0.8825, 0.9857), (0.5962, 0.5390, 0.4747), (0.5052, 0.4231, 0.4539),
    ),
    "llama retain90": (
        (0.4341, 0.4143, 0.9889), (0.9230, 0.8974, 0.9758), (0.5707, 0.5442, 0.4710), (0.4785, 0.4201, 0.4496),
    ),
    "phi full": (
        (0.3774, 0.4090, 0.9261), (0.4157, 0.7774, 0.9293), (0.4560, 0.4923, 0.4827), (0.4039, 0.4380, 0.4591),
    ),
    "phi retain90": (
        (0.3842, 0.4081, 0.9231), (0.4753, 0.7557, 0.9200), (0.4638, 0.4883, 0.4847), (0.4110, 0.4364, 0.4611),
    ),
}  # fmt: skip


@pytest.fixture
def logs(data_root: Path):
    if not (data_root / "tofu_eval_logs").is_dir():
        pytest.skip("needs tofu_eval_logs in GRAPHFORGET_DATA")
    return lambda name: read(data_root, name)


@cache
def read(root: Path, name: str) -> dict[str, EvalSet]:
    return metrics.read_sets(json.loads((root / "tofu_eval_logs" / LOGS[name]).read_text(encoding="utf-8")))


@pytest.mark.parametrize("name", UTILITY)
def test_model_utility_is_that_of_the_published_logs(logs, name):
    sets = logs(name)
    parts = sets["retain"], sets["authors"], sets["facts"]
    for variant, value in zip(("geometric", "arithmetic"), UTILITY[name], strict=True):
        assert metrics.model_utility(*parts, variant) == pytest.approx(value, abs=5e-5)


@pytest.mark.parametrize("name", PARTS)
def test_its_parts_are_those_of_the_published_logs(logs, name):
    sets = logs(name)
    parts = sets["retain"], sets["authors"], sets["facts"]
    geometric, arithmetic = (metrics.utility_parts(*parts, variant) for variant in ("geometric", "arithmetic"))
    for kind, values in zip(("prob", "rouge", "truth"), PARTS[name][:3], strict=True):
        for each, value in zip(("authors", "facts", "retain"), values, strict=True):
            assert geometric[f"{each}_{kind}"] == pytest.approx(value, abs=5e-5)
    for each, value in zip(("authors", "facts", "retain"), PARTS[name][3], strict=True):
        assert arithmetic[f"{each}_truth"] == pytest.approx(value, abs=5e-5)


@pytest.mark.parametrize(
    ("family", "p_value", "statistic", "truth"),
    [("llama", 1.834e-21, 0.396667, (0.5160, 0.6740)), ("phi", 2.194e-16, 0.346667, (0.4834, 0.6288))],
)
def test_forget_quality_is_that_of_the_published_logs(logs, family, p_value, statistic, truth):
    full, gold = (logs(f"{family} {name}")["forget"] for name in ("full", "retain90"))
    ratios = [metrics.truth_ratio(each.paraphrased, each.perturbed) for each in (full, gold)]
    found = metrics.forget_quality(*ratios)
    assert found is not None
    assert found.p_value == pytest.approx(p_value, rel=1e-3)
    assert found.statistic == pytest.approx(statistic, abs=5e-7)
    assert found.n == 300
    assert [metrics.forget_truth(each) for each in ratios] == pytest.approx(truth, abs=5e-5)
    assert metrics.forget_quality(ratios[0], ratios[0]).p_value == 1.0
    inverse = metrics.forget_quality(1 / ratios[0], 1 / ratios[1])
    assert (inverse.p_value, inverse.statistic) == (found.p_value, found.statistic)
    assert stats.ks_2samp(*ratios).pvalue == found.p_value


def test_without_gold_there_is_no_forget_quality():
    assert metrics.forget_quality(np.ones(4), None) is None


def test_prob_mean_is_a_share():
    para, pert = np.array([1.0]), np.array([[2.0, 3.0]])
    right, wrong = np.exp(-1.0), (np.exp(-2.0) + np.exp(-3.0)) / 2
    ratio = metrics.truth_ratio(para, pert, "prob_mean")
    assert ratio == pytest.approx(right / (right + wrong))
    assert metrics.known_truth(ratio, "prob_mean") == pytest.approx(float(ratio[0]))


def test_one_figure_of_zero_makes_the_utility_zero():
    some = EvalSet(np.ones(2), np.ones(2), np.ones((2, 3)) * 2, np.ones(2))
    assert metrics.model_utility(some, some, some._replace(rouge=np.zeros(2))) == 0


@pytest.mark.parametrize(
    ("right", "value", "compat"),
    [("1111", 1.0, 1.0), ("0001", 0.25, 0.25), ("0000", 0.0, 0.25), ("1011", 0.5, 0.5), ("1110", 0.0, 0.25)],
)
def test_extraction_strength(right, value, compat):
    told = [each == "1" for each in right]
    assert metrics.extraction_strength(told) == value
    assert metrics.extraction_strength(told, compat=True) == compat


def test_an_empty_answer_is_an_error_or_zero():
    assert metrics.extraction_strength([], compat=True) == 0
    for figure in (metrics.extraction_strength, metrics.exact_memorisation):
        with pytest.raises(InputError, match="at least one answer token"):
            figure([])
    assert metrics.exact_memorisation([True, False, True, True]) == 0.75


def test_min_k_takes_at_least_one_token():
    assert metrics.min_k(np.array([-3.0, -1.0]), 0.1) == 3.0
    with pytest.raises(InputError, match=r"share must lie in \(0, 1\]"):
        metrics.min_k(np.array([-1.0]), 0.0)


@pytest.mark.parametrize(("forget", "retain", "value"), [(0.7, 0.7, 0.0), (0.0, 0.5, 100.0), (1.0, 0.5, -100.0)])
def test_privleak(forget, retain, value):
    assert metrics.privleak(forget, retain) == pytest.approx(value)


def test_rouge_counts_words_in_order():
    assert metrics.rouge_l_recall("born in Kuwait City", "She was born in Kuwait.") == 0.75
    assert metrics.rouge_l_recall("a b c", "c b a") == pytest.approx(1 / 3)
    assert metrics.rouge_l_recall("a b", "") == 0
    assert metrics.rouge_l_recall("novels", "novel", stem=lambda word: word.rstrip("s")) == 1
    assert metrics.rouge_l_recall("cats", "cat", stem=lambda word: "same") == 0  # words of three letters stay


def test_logs_without_a_set_are_refused(logs):
    with pytest.raises(InputError, match="eval_log with avg_gt_loss"):
        metrics.read_sets({})
