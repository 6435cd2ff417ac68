"""Figures of language-model unlearning on arrays; TOFU's conventions (arXiv:2401.06121), every variant named.

Losses are mean negative log-likelihoods per answer token. Of the truth ratio three variants are in use, and they move
the model utility by 0.02 to 0.04: say which.

================  ==========================================================================
variant           P_pert
================  ==========================================================================
``geometric``     exp(-mean_j l_j): TOFU's code (commit bdc209e) and open-unlearning's
``arithmetic``    mean_j exp(-l_j): a line that TOFU's code has commented out
``prob_mean``     as ``arithmetic``, the ratio being P_para / (P_para + P_pert) (open-unlearning)
================  ==========================================================================
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

from graphforget.errors import InputError, unknown

Array = npt.NDArray[np.float64]
VARIANTS = ("geometric", "arithmetic", "prob_mean")


class Quality(NamedTuple):
    """Forget quality: a p-value falls with n alone, so both stand beside it.

    Args:
        p_value: of the two-sample Kolmogorov-Smirnov test.
        statistic: largest distance of the two distributions, in [0, 1].
        n: items of the smaller sample.
    """

    p_value: float
    statistic: float
    n: int


class EvalSet(NamedTuple):
    """One evaluation set, per item.

    Args:
        gold: [n] losses of the gold answer.
        paraphrased: [n] losses of the paraphrased answer (of the gold answer, where there is no paraphrase).
        perturbed: [n, k] losses of wrong answers.
        rouge: [n] ROUGE-L recall of the generated answer.
    """

    gold: Array
    paraphrased: Array
    perturbed: Array
    rouge: Array


def probability(loss: Array, perturbed: Array | None = None) -> Array:
    """[n] exp(-loss) of the gold answer; with [n, k] losses of other options its share among all of them.

    Example:
        >>> probability(np.array([0.0]), np.array([[0.0, 0.0, 0.0]])).tolist()
        [0.25]
    """
    own: Array = np.exp(-loss)
    return own if perturbed is None else own / (own + np.exp(-perturbed).sum(1))


def truth_ratio(paraphrased: Array, perturbed: Array, variant: str = "geometric") -> Array:
    """[n] P_pert / P_para; for ``prob_mean`` P_para / (P_para + P_pert).

    Args:
        paraphrased: [n] losses of the right answer in other words.
        perturbed: [n, k] losses of wrong answers.
        variant: see the table of this module.

    Example:
        >>> truth_ratio(np.array([1.0]), np.array([[1.0, 1.0]])).tolist()
        [1.0]
    """
    if variant not in VARIANTS:
        raise unknown("truth ratio", variant, VARIANTS)
    if perturbed.ndim != 2 or len(perturbed) != len(paraphrased):
        raise InputError(f"perturbed must be [{len(paraphrased)}, k] as paraphrased (got {list(perturbed.shape)})")
    right = np.exp(-paraphrased)
    wrong = np.exp(-perturbed.mean(1)) if variant == "geometric" else np.exp(-perturbed).mean(1)
    found: Array = right / (right + wrong) if variant == "prob_mean" else wrong / right
    return found


def forget_truth(ratio: Array) -> float:
    """Mean min(r, 1/r) of the forget set: best 1."""
    return float(np.minimum(ratio, 1 / ratio).mean())


def known_truth(ratio: Array, variant: str = "geometric") -> float:
    """Mean max(0, 1 - r) of the other sets (the mean itself for ``prob_mean``): best 1."""
    return float(ratio.mean() if variant == "prob_mean" else np.maximum(0, 1 - ratio).mean())


def model_utility(retain: EvalSet, authors: EvalSet, facts: EvalSet, variant: str = "geometric") -> float:
    """Harmonic mean of nine figures: probability, ROUGE and truth ratio of three sets; 0 as soon as one is 0.

    Args:
        retain: of the retained authors; its probability is the gold answer's own.
        authors: of real authors; their probability is the share among all options.
        facts: of world facts, likewise.
        variant: of the truth ratio.
    """
    return float(stats.hmean(list(utility_parts(retain, authors, facts, variant).values())))


def utility_parts(retain: EvalSet, authors: EvalSet, facts: EvalSet, variant: str = "geometric") -> dict[str, float]:
    """The nine figures of :func:`model_utility` by name."""
    found = {}
    for name, each in (("authors", authors), ("facts", facts), ("retain", retain)):
        found[f"{name}_prob"] = float(probability(each.gold, None if name == "retain" else each.perturbed).mean())
        found[f"{name}_rouge"] = float(each.rouge.mean())
        found[f"{name}_truth"] = known_truth(truth_ratio(each.paraphrased, each.perturbed, variant), variant)
    return found


def forget_quality(ratio: Array, gold: Array | None) -> Quality | None:
    """Compare truth ratios of the forget set with gold's; None without gold, never a number.

    Args:
        ratio: [n] of the unlearned model.
        gold: [m] of a model trained without the forgotten, or None.

    Example:
        >>> forget_quality(np.arange(1.0, 9.0), np.arange(1.0, 9.0))
        Quality(p_value=1.0, statistic=0.0, n=8)
        >>> forget_quality(np.arange(1.0, 9.0), None) is None
        True
    """
    if gold is None:
        return None
    found = stats.ks_2samp(ratio, gold)
    return Quality(float(found.pvalue), float(found.statistic), min(len(ratio), len(gold)))


def rouge_l_recall(reference: str, answer: str, stem: Callable[[str], str] | None = None) -> float:
    """Return the longest common subsequence of words as a share of the reference's words.

    Args:
        reference: the gold answer.
        answer: what was generated.
        stem: of words of more than three letters; ``nltk.PorterStemmer().stem`` gives what TOFU reports, by the package
            rouge_score. Without it words must be the same.

    Example:
        >>> rouge_l_recall("She writes long novels", "she is writing long novels")
        0.75
    """
    gold, said = (_words(text, stem) for text in (reference, answer))
    return _common(gold, said) / len(gold) if gold else 0.0


def rouge_l(reference: str, answer: str, stem: Callable[[str], str] | None = None) -> float:
    """ROUGE-L F1, the harmonic mean of the share of the reference's and of the answer's words that they have in common.

    Example:
        >>> rouge_l("She writes long novels", "she is writing long novels and plays")  # 3 of 4, 3 of 7
        0.5454545454545454
    """
    gold, said = (_words(text, stem) for text in (reference, answer))
    return 2 * _common(gold, said) / (len(gold) + len(said)) if gold and said else 0.0


def _common(gold: Sequence[str], said: Sequence[str]) -> int:
    """Length of the longest common subsequence."""
    row = [0] * (len(said) + 1)
    for word in gold:
        last = row
        row = [0]
        for place, other in enumerate(said):
            row.append(last[place] + 1 if word == other else max(last[place + 1], row[place]))
    return row[-1]


def _words(text: str, stem: Callable[[str], str] | None) -> list[str]:
    """Lower case, letters and digits of ASCII, as rouge_score has it."""
    found = re.findall(r"[a-z0-9]+", text.lower())
    return found if stem is None else [stem(word) if len(word) > 3 else word for word in found]


def exact_memorisation(right: Sequence[bool]) -> float:
    """Share of an answer's tokens whose first choice under teacher forcing is right; leave the end token out.

    Raises:
        InputError: no token.
    """
    if not len(right):
        raise InputError("exact memorisation needs at least one answer token (got none)")
    return float(np.mean(right))


def extraction_strength(right: Sequence[bool], *, compat: bool = False) -> float:
    """1 - k/T with k the shortest prefix after which every later token is right; leave the end token out.

    Args:
        right: [T] is each token the first choice under teacher forcing?
        compat: give 1/T, as open-unlearning's code does, and not 0 where even the last token is wrong; and 0 of an
            empty answer.

    Raises:
        InputError: no token, without ``compat``.

    Example:
        >>> [extraction_strength([False, False, False, last]) for last in (True, False)]
        [0.25, 0.0]
    """
    total = len(right)
    if not total and not compat:
        raise InputError("extraction strength needs at least one answer token (got none)")
    if not total:
        return 0.0
    wrong = [place for place, each in enumerate(right) if not each]
    prefix = wrong[-1] + 1 if wrong else 0
    return 1 - (min(prefix, total - 1) if compat else prefix) / total


def min_k(log_probs: Array, share: float = 0.4) -> float:
    """Minus the mean of the lowest ``max(1, int(share T))`` token log-probabilities.

    Args:
        log_probs: [T] of the answer's tokens.
        share: K, 0.4 in open-unlearning's TOFU configuration (0.2 is its class's default).

    Example:
        >>> min_k(np.array([-1.0, -2.0, -3.0, -4.0]), 0.5)
        3.5
    """
    if not 0 < share <= 1 or not len(log_probs):
        raise InputError(f"share must lie in (0, 1] and there must be tokens (got {share}, {len(log_probs)} tokens)")
    return float(-np.sort(log_probs)[: max(1, int(share * len(log_probs)))].mean())


def privleak(auc_forget: float, auc_retain: float = 0.5) -> float:
    """100 ((1 - AUC_f) - (1 - AUC_r)) / (1 - AUC_r): 0 is best; AUC 1 means that the forgotten are likelier.

    Args:
        auc_forget: of forgotten against holdout items by Min-K, of the unlearned model.
        auc_retain: the same of the model trained without them; 0.5 where there is none.

    Example:
        >>> privleak(0.5), privleak(0.0), privleak(0.8, 0.8)
        (0.0, 100.0, 0.0)
    """
    if not 0 <= auc_forget <= 1 or not 0 <= auc_retain < 1:
        raise InputError(f"AUCs must lie in [0, 1], that of retain below 1 (got {auc_forget} and {auc_retain})")
    return 100 * ((1 - auc_forget) - (1 - auc_retain)) / (1 - auc_retain)


def read_sets(logs: Mapping[str, Mapping[str, Sequence[float]]]) -> dict[str, EvalSet]:
    """Arrays of TOFU's evaluation logs: ``retain``, ``authors``, ``facts`` and, where it is there, ``forget``.

    Raises:
        InputError: a set or a figure of one is missing.
    """
    names = {
        "retain": "eval_log",
        "authors": "eval_real_author_wo_options",
        "facts": "eval_real_world_wo_options",
        "forget": "eval_log_forget",
    }
    fields = ("avg_gt_loss", "avg_paraphrased_loss", "average_perturb_loss", "rougeL_recall")
    found = {}
    for short, name in names.items():
        if name not in logs and short == "forget":
            continue
        if missing := [each for each in fields if each not in logs.get(name, {})]:
            raise InputError(f"the logs must hold {name} with {', '.join(fields)} (got none of {missing[0]})")
        found[short] = EvalSet(*(np.asarray(logs[name][each], dtype=np.float64) for each in fields))
    return found
