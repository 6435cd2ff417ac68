"""Figures that compare answers: ranking, classification, distance between two models.

Outputs are logits [B, C] with C >= 2; a link prediction is [0, s], so s is its log-odds. Logarithms are natural and
everything is computed in float64 on the device of the first argument. Nothing trains, prints or touches the global
random state. Distances are sums of terms that are each >= 0 and exact for near-equal outputs; nothing is clamped.

Conventions: ``mi_ratio`` is before / after (GNNDelete's code divides the other way round), ``js`` is the true
Jensen-Shannon divergence (Bad Teaching's ``JSDiv`` averages over elements and is not).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from scipy.stats import entropy
from torch import Tensor

from graphforget import checked
from graphforget.errors import InputError

LN2 = math.log(2.0)


def auc(positive: Tensor, negative: Tensor) -> float:
    """Return the chance that a positive outscores a negative, ties counted half (Mann-Whitney).

    Args:
        positive: scores [P].
        negative: scores [M]; infinite scores are ranked like any other.

    Raises:
        InputError: empty, not a vector, or NaN.

    Example:
        >>> auc(torch.tensor([0.9, 0.5]), torch.tensor([0.5, 0.1]))
        0.875
    """
    positive, negative = checked.scores(positive, "positive"), checked.scores(negative, "negative").to(positive.device)
    ranked = negative.sort().values
    below = torch.searchsorted(ranked, positive, right=False)
    not_above = torch.searchsorted(ranked, positive, right=True)
    return int((below + not_above).sum()) / (2 * len(positive) * len(negative))


def auc_of_labels(scores: Tensor, labels: Tensor) -> float:
    """Return :func:`auc` of scores [N] with labels [N] in {0, 1}; both labels must occur."""
    scores = checked.scores(scores, "scores")
    labels = checked.same_shape(checked.scores(labels, "labels"), scores, "labels", "scores")
    positive, negative = labels == 1, labels == 0
    if not bool((positive | negative).all()) or not bool(positive.any()) or not bool(negative.any()):
        raise InputError(f"labels must be 0 or 1 and hold both (got {labels.unique().tolist()[:5]}); recode them")
    return auc(scores[positive], scores[negative])


def average_precision(positive: Tensor, negative: Tensor) -> float:
    """Return the mean over positives [P] of the precision at their score against negatives [M]; ties share one cut.

    Equals ``sklearn.metrics.average_precision_score``. It depends on the ratio P : M.

    Example:
        >>> average_precision(torch.tensor([3.0, 1.0]), torch.tensor([2.0]))  # (1/1 + 2/3) / 2
        0.8333333333333333
    """
    positive, negative = checked.scores(positive, "positive"), checked.scores(negative, "negative").to(positive.device)
    hits = len(positive) - torch.searchsorted(positive.sort().values, positive)
    misses = len(negative) - torch.searchsorted(negative.sort().values, positive)
    return float((hits.double() / (hits + misses).double()).mean())


def accuracy(outputs: Tensor, labels: Tensor) -> float:
    """Return the share of outputs [B, C] whose largest logit is at the label [B] (the first of equal ones)."""
    outputs = checked.rows(outputs, "outputs")
    return float((outputs.argmax(1) == _labels(labels, outputs)).double().mean())


def f1_macro(outputs: Tensor, labels: Tensor) -> float:
    """Return the plain mean of the F1 of every class that is predicted or true.

    Equals ``sklearn.metrics.f1_score(average="macro")``; a class that occurs on one side only counts 0.

    Args:
        outputs: logits [B, C].
        labels: classes [B].

    Example:
        >>> f1_macro(torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([0, 1]))  # (2/3 + 0) / 2
        0.3333333333333333
    """
    outputs = checked.rows(outputs, "outputs")
    labels, classes = _labels(labels, outputs), outputs.shape[1]
    predicted = outputs.argmax(1)
    both = torch.bincount(labels, minlength=classes) + torch.bincount(predicted, minlength=classes)
    right = torch.bincount(labels[labels == predicted], minlength=classes)
    return float((2 * right[both > 0].double() / both[both > 0].double()).mean())


def js(outputs_a: Tensor, outputs_b: Tensor) -> Tensor:
    """Return the Jensen-Shannon divergence [B] of two models' outputs [B, C]: 0 if equal, at most ln 2.

    With m = (p + q) / 2, delta = log p - log q and d = (p - q) / (p + q) = tanh(delta / 2) a class adds
    m (d delta + log(1 - d^2)) / 2 >= 0: the textbook sum with its cancelling terms taken out. (Lin 1991)

    Example:
        >>> js(torch.tensor([[2000.0, 0.0]]), torch.tensor([[0.0, 2000.0]])) / LN2
        tensor([1.], dtype=torch.float64)
    """
    log_p, log_q = _log_pair(outputs_a, outputs_b)
    delta = log_p - log_q
    d, size = (delta / 2).tanh(), delta.abs()
    far = size > 1  # 1 - d^2 vanishes there: log(1 - d^2) = -2 log cosh(delta / 2), and size is added to d delta first
    near_term = d * delta + torch.log1p(-(d.masked_fill(far, 0.0).square()))
    far_term = size * (d.abs() - 1) + 2 * (LN2 - torch.log1p((-size).exp()))
    return ((log_p.exp() + log_q.exp()) / 4 * torch.where(far, far_term, near_term)).sum(1)


def kl(teacher: Tensor, student: Tensor) -> Tensor:
    """Return KL(teacher || student) [B] of outputs [B, C]; finite for finite logits.

    A class adds p delta - p + q >= 0 with delta = log p - log q; the last two terms sum to 0 over the classes.

    Example:
        >>> kl(torch.tensor([[0.0, 0.0]]), torch.tensor([[0.0, 2000.0]]))  # 1000 - ln 2
        tensor([999.3069], dtype=torch.float64)
    """
    log_p, log_q = _log_pair(teacher, student)
    p, delta = log_p.exp(), log_p - log_q
    far = delta < -1  # expm1(-delta) may overflow there
    near_term = p * (delta + torch.expm1(-delta.masked_fill(far, 0.0)))
    return torch.where(far, p * (delta - 1) + log_q.exp(), near_term).sum(1)


def activation_distance(outputs_a: Tensor, outputs_b: Tensor) -> Tensor:
    """Return the L2 distance [B] of the softmax of two outputs [B, C]; at most sqrt 2."""
    log_p, log_q = _log_pair(outputs_a, outputs_b)
    return (log_p.exp() - log_q.exp()).square().sum(1).sqrt()


def logit_mse(outputs_a: Tensor, outputs_b: Tensor) -> float:
    """Return the mean over all B C entries of the squared difference of logits [B, C]; not blind to a shift."""
    a, b = _pair(outputs_a, outputs_b)
    return float((a - b).square().mean())


def spearman(scores_a: Tensor, scores_b: Tensor) -> float:
    """Return the rank correlation of two score vectors [N], ties at their mean rank; NaN if either is constant.

    Example:
        >>> spearman(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([10.0, 100.0, 1000.0]))
        1.0
    """
    a = checked.scores(scores_a, "scores_a")
    b = checked.same_shape(checked.scores(scores_b, "scores_b"), a, "scores_b", "scores_a")
    a, b = _centred_ranks(a), _centred_ranks(b)
    scale = math.sqrt(float(a.square().sum()) * float(b.square().sum()))
    return float((a * b).sum()) / scale if scale else math.nan


def mean_shift(outputs_a: Tensor, outputs_b: Tensor, labels: Tensor) -> float:
    """Return the mean of p_a - p_b of the label class: the signed gap in belief. Outputs [B, C], labels [B]."""
    log_p, log_q = _log_pair(outputs_a, outputs_b)
    column = _labels(labels, log_p)[:, None]
    return float((log_p.gather(1, column).exp() - log_q.gather(1, column).exp()).mean())


def to_gold(outputs: Tensor, gold: Tensor, labels: Tensor) -> dict[str, float]:
    """Return the mean distances of outputs [B, C] to gold's on the same elements; labels [B].

    Example:
        >>> to_gold(torch.zeros(1, 2), torch.zeros(1, 2), torch.tensor([0]))
        {'js_to_gold': 0.0, 'kl_to_gold': 0.0, 'shift_to_gold': 0.0}
    """
    return {
        "js_to_gold": float(js(outputs, gold).mean()),
        "kl_to_gold": float(kl(gold, outputs).mean()),
        "shift_to_gold": mean_shift(outputs, gold, labels),
    }


def wasserstein(outputs_a: Tensor, outputs_b: Tensor) -> float:
    """Return the Wasserstein-1 distance between two sets of values [n, D] and [m, D], the mean over the D columns.

    Raises:
        InputError: empty, not [n, D], NaN, or another D.

    Example:
        >>> wasserstein(torch.tensor([[0.0], [1.0]]), torch.tensor([[3.0], [2.0]]))
        2.0
    """
    from scipy.stats import wasserstein_distance

    a, b = checked.rows(outputs_a, "outputs_a", columns=1).cpu(), checked.rows(outputs_b, "outputs_b", columns=1).cpu()
    if a.shape[1] != b.shape[1]:
        raise InputError(f"both must have the same columns (got {a.shape[1]} and {b.shape[1]})")
    each = [float(wasserstein_distance(p.numpy(), q.numpy())) for p, q in zip(a.T, b.T, strict=True)]
    return sum(each) / len(each)


def mi_ratio(before: Tensor, after: Tensor) -> float:
    """Return the mean of p_before / p_after: over 1, the forgotten look less like members than they did.

    The papers' convention (GNNDelete, ScaleGUN Table 12). The ratio is IEEE's: infinite where only p_after is 0.

    Args:
        before: an attack's or the model's probability of presence [B] under the original.
        after: the same elements [B] under the unlearned model.

    Raises:
        InputError: a value outside [0, 1], empty, NaN, or two lengths.

    Example:
        >>> mi_ratio(torch.tensor([0.75, 0.5]), torch.tensor([0.25, 0.5]))
        2.0
    """
    first = checked.scores(before, "before")
    second = checked.same_shape(checked.scores(after, "after"), first, "after", "before")
    for name, values in (("before", first), ("after", second)):
        low, high = float(values.min()), float(values.max())
        if low < 0 or high > 1:
            raise InputError(f"{name} must be probabilities in [0, 1] (got {low:.4g} to {high:.4g}); apply a sigmoid")
    return float((first / second).mean())


def aus(original: float, retained: float, forgotten: float, goal: float) -> float:
    """Return the adaptive unlearning score (1 - (original - retained)) / (1 + |goal - forgotten|); gold is close to 1.

    It exceeds 1 where the retained gain.

    Args:
        original: accuracy of the original on what must be kept, of unseen data, in [0, 1].
        retained: of the model, on the same.
        forgotten: of the model on what must go: of the class's unseen data, or of the forgotten samples.
        goal: what the last should be: 0 for a class, the accuracy on unseen data for samples.

    Raises:
        InputError: an accuracy outside [0, 1].

    Source:
        DUCK (Cotogni et al., arXiv:2312.02052).

    Example:
        >>> aus(0.9, 0.9, 0.0, 0.0), aus(0.9, 0.9, 1.0, 0.0)
        (1.0, 0.5)
    """
    for value in (original, retained, forgotten, goal):
        if not 0 <= value <= 1:
            raise InputError(f"accuracies must lie in [0, 1] (got {value}); divide per cents by 100")
    return (1 - (original - retained)) / (1 + abs(goal - forgotten))


def klom(unlearned: Tensor, oracle: Tensor, bins: int = 20) -> Tensor:
    """Return KL of margins [B]: for each element, of N models that unlearned from N' that never saw it.

    Margins are the label's logit less the log-sum-exp of the others, clipped to [-100, 100]; histograms have common
    bins over both, an oracle's empty bin counts 1e-5. Two samples of one distribution do not give 0: print the figure
    of two halves of the oracles beside it, and read nothing below 50 models.

    Args:
        unlearned: [N, B] margins.
        oracle: [N', B].
        bins: of the histograms.

    Raises:
        InputError: shapes, NaN, or no model.

    Source:
        Georgiev et al., arXiv:2410.23232.

    Example:
        >>> klom(torch.zeros(50, 2), torch.zeros(50, 2))
        tensor([0., 0.], dtype=torch.float64)
    """
    a, b = checked.rows(unlearned, "unlearned", columns=1), checked.rows(oracle, "oracle", columns=1)
    if a.shape[1] != b.shape[1]:
        raise InputError(f"both must have one column an element (got {a.shape[1]} and {b.shape[1]}); align them")
    found = []
    for one, other in zip(a.clamp(-100, 100).T.cpu().numpy(), b.clamp(-100, 100).T.cpu().numpy(), strict=True):
        edges = np.histogram_bin_edges(np.concatenate([one, other]), bins)
        p, q = (np.histogram(each, edges)[0] / len(each) for each in (one, other))
        found.append(float(entropy(p, np.where(p > 0, np.maximum(q, 1e-5), q))))  # scipy makes q sum to 1 again
    return torch.tensor(found, dtype=torch.float64)


def verification_error(state_a: Mapping[str, Tensor], state_b: Mapping[str, Tensor]) -> float:
    """Return the sum over common floating parameters of the L2 norm of their difference.

    It means something only if both models started from the same initialisation. A ``state_dict`` holds floating buffers
    too (BatchNorm's running statistics); give ``dict(model.named_parameters())`` to leave them out.

    Raises:
        InputError: nothing in common, a parameter of two shapes, or one that is not finite.
    """
    common = [key for key, value in state_a.items() if value.is_floating_point() and key in state_b]
    if not common:
        raise InputError("the two states have no floating parameter in common (got 0); compare one architecture's")
    total = 0.0
    for key in common:
        a, b = state_a[key].detach().double(), state_b[key].detach().double()
        difference = a - checked.same_shape(b, a, f"state_b[{key!r}]", "state_a's")
        if not bool(difference.isfinite().all()):
            raise InputError(f"parameter {key!r} must be finite in both states (got NaN or infinity); did one diverge?")
        total += float(torch.linalg.vector_norm(difference))
    return total


def _pair(outputs_a: Tensor, outputs_b: Tensor) -> tuple[Tensor, Tensor]:
    a = checked.rows(outputs_a, "the first outputs")
    return a, checked.same_shape(checked.rows(outputs_b, "the second outputs"), a, "the second outputs", "the first")


def _log_pair(outputs_a: Tensor, outputs_b: Tensor) -> tuple[Tensor, Tensor]:
    a, b = _pair(outputs_a, outputs_b)
    return a.log_softmax(1), b.log_softmax(1)


def _labels(labels: Tensor, outputs: Tensor) -> Tensor:
    if labels.shape != outputs.shape[:1] or labels.is_floating_point():
        got = f"{labels.dtype} {list(labels.shape)}"
        raise InputError(
            f"labels must be integers, one for each of {len(outputs)} rows (got {got}); index or cast them"
        )
    found = labels.to(device=outputs.device, dtype=torch.int64)
    low, high = int(found.min()), int(found.max())
    if low < 0 or high >= outputs.shape[1]:
        raise InputError(f"labels must be in [0, {outputs.shape[1]}) (got {low} to {high}); leave unlabelled rows out")
    return found


def _centred_ranks(values: Tensor) -> Tensor:
    _, place, count = values.unique(return_inverse=True, return_counts=True)
    last = count.cumsum(0)  # rank of the last of equal values, from 1
    middle: Tensor = last.double() - (count.double() - 1) / 2
    return middle[place] - (len(values) + 1) / 2
