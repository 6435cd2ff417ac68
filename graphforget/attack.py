"""Membership attacks: can what was forgotten still be told from what was never seen?

Each attack ends in one :class:`AttackResult`. 0.5 is "cannot be told"; a score's AUC under 0.5 is a leak as well
(pushed too far), so read it beside the gold's, which seldom is exactly 0.5. Scores are "higher is more member".
Everything runs on the CPU in float64, from seeds of its own.

* threshold: one score, no training.
* posterior: a classifier trained on a shadow model (Olatunji et al., arXiv:2101.06570, TSTF).
* update leakage: the answers before and after the request (Chen et al., arXiv:2005.02205).
* U-LiRA: a likelihood ratio over shadow models (Hayes et al., arXiv:2403.01218; LiRA itself: arXiv:2112.03570).
* LiRA without "in" shadows: how far a score lies above what models give that never saw the element (arXiv:2112.03570).
* ZRF: legacy, not an attack (Chundawat et al., arXiv:2205.08096).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from graphforget import checked, intervals, metrics
from graphforget.errors import InputError

FOLDS = 5
FEWEST = 10  # elements a side that a cross-fitted classifier needs: two a fold; our default


@dataclass(frozen=True)
class AttackResult:
    """What an attack achieves.

    Args:
        auc: chance that a member outscores a non-member, ties half.
        low: lower bound of the AUC's 95 % percentile bootstrap interval (members and non-members resampled apart).
        high: upper bound. An AUC of exactly 0 or 1 has no width: resampling cannot see what did not occur.
        tpr_at_1pct_fpr: the largest share of members caught by one threshold that catches at most 1 % of the
            non-members: no interpolation, equal scores fall on one side. NaN with fewer than 100 non-members, where
            1 % cannot be resolved.
        members: how many.
        non_members: how many.
    """

    auc: float
    low: float
    high: float
    tpr_at_1pct_fpr: float
    members: int
    non_members: int


class ULira(NamedTuple):
    """The log likelihood ratio [B] of every element, and how well it tells the forgotten from the never seen."""

    log_ratio: Tensor
    result: AttackResult


def threshold_attack(member_scores: Tensor, non_member_scores: Tensor, seed: int = 0) -> AttackResult:
    """Tell members from non-members by one score.

    Args:
        member_scores: [P], higher is more member.
        non_member_scores: [M]; for a forget request held-out elements of the same kind, never random ones.
        seed: of the bootstrap (1000 resamples).

    Raises:
        InputError: empty, not a vector, or NaN.

    Example:
        >>> threshold_attack(torch.tensor([2.0, 3.0]), torch.tensor([0.0, 1.0]))
        AttackResult(auc=1.0, low=1.0, high=1.0, tpr_at_1pct_fpr=nan, members=2, non_members=2)
    """
    member = checked.scores(member_scores, "member_scores").cpu()
    other = checked.scores(non_member_scores, "non_member_scores").cpu()
    # Equal scores share a place, so that a resample is two histograms and needs no sort.
    distinct, place = torch.cat([member, other]).unique(return_inverse=True)

    def auc_of_places(positive: Tensor, negative: Tensor) -> float:
        above, below = (torch.bincount(each, minlength=len(distinct)) for each in (positive, negative))
        return int((above * (2 * below.cumsum(0) - below)).sum()) / (2 * len(positive) * len(negative))

    value, low, high = intervals.bootstrap_interval(
        auc_of_places, place[: len(member)], place[len(member) :], seed=seed
    )
    return AttackResult(value, low, high, tpr_at_1pct_fpr(member, other), len(member), len(other))


def posterior_attack(
    shadow_in: Tensor,
    shadow_out: Tensor,
    target_in: Tensor,
    target_out: Tensor,
    seed: int = 0,
    hidden: tuple[int, ...] = (),
) -> AttackResult:
    """Train an attack classifier on a shadow model's features and apply it to the target's.

    Args:
        shadow_in: features [n, d] (posteriors, losses, entropies) of what the shadow was trained on.
        shadow_out: features [n', d] of what it never saw; both from the shadow's own answers.
        target_in: features [P, d] of the elements asked about: the forgotten.
        target_out: features [M, d] of elements that the target never saw.
        seed: of the bootstrap and of the hidden layers.
        hidden: widths of hidden layers; () is a balanced logistic regression, (100, 50) is TSTF's network, which an
            unsorted posterior needs: sort each row or give hidden layers.

    Raises:
        InputError: empty, not [n, d], not finite, or another d.

    Example:
        >>> low, high = torch.tensor([[0.1], [0.2]]), torch.tensor([[0.8], [0.9]])
        >>> posterior_attack(high, low, high, low).auc
        1.0
    """
    given = {"shadow_in": shadow_in, "shadow_out": shadow_out, "target_in": target_in, "target_out": target_out}
    rows = {name: checked.rows(each, name, columns=1).cpu() for name, each in given.items()}
    widths = {name: each.shape[1] for name, each in rows.items()}
    if len(set(widths.values())) > 1:
        raise InputError(f"the features must have one width d (got {widths}); take the same features everywhere")
    model = _classifier(hidden, seed)
    model.fit(*_labelled(rows["shadow_in"], rows["shadow_out"]))
    return threshold_attack(_belief(model, rows["target_in"]), _belief(model, rows["target_out"]), seed)


def update_leakage(
    before_forget: Tensor, after_forget: Tensor, before_other: Tensor, after_other: Tensor, seed: int = 0
) -> AttackResult:
    """Tell the forgotten from elements that no request touched by how their answers moved.

    Two features an element: the L2 distance of the posterior before and after, and the signed change p_before - p_after
    of class 1 (C = 2) or of the class that the original favoured (C > 2). A balanced logistic regression scores every
    element out of fold (5 folds), so no element is judged by a fit that knew its answer. Exact retraining leaks here
    too: compare with the gold. An AUC somewhat under 0.5 is no leak here: out-of-fold scores lean that way when there
    is nothing to find, and the bootstrap does not see the folds (no leak, 20 forgotten of 1020, 300 draws: mean AUC
    0.475; the interval lay above 0.5 in 3 % of them, below in 16 %).

    Args:
        before_forget: the original's logits [F, C] of the forgotten.
        after_forget: the same elements after unlearning.
        before_other: the original's logits [O, C] of elements of the same kind that were never touched.
        after_other: the same elements after unlearning.
        seed: of the folds and the bootstrap.

    Returns:
        The forgotten as members. NaN figures when either side has fewer than ten elements: too few to cross-fit.

    Raises:
        InputError: empty, not [B, C], not finite, or two shapes.
    """
    if before_forget.shape[-1:] != before_other.shape[-1:]:
        shapes = f"{list(before_forget.shape)} and {list(before_other.shape)}"
        raise InputError(f"forget and other must be [B, C] of one C (got {shapes}); take one model's outputs")
    forget, other = _movement(before_forget, after_forget), _movement(before_other, after_other)
    if min(len(forget), len(other)) < FEWEST:
        return AttackResult(math.nan, math.nan, math.nan, math.nan, len(forget), len(other))
    features, label = _labelled(forget, other)
    score = torch.empty(len(features), dtype=torch.float64)
    for train, test in StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(features, label):
        model = _classifier((), seed).fit(features[train], label[train])
        score[torch.as_tensor(test)] = _belief(model, features[test])
    return threshold_attack(score[: len(forget)], score[len(forget) :], seed)


def u_lira(
    shadow_scores: Tensor,
    shadow_forgot: Tensor,
    target_scores: Tensor,
    target_forgot: Tensor,
    seed: int = 0,
    own_variance_from: int = 32,
) -> ULira:
    """Compare "was trained in, then forgotten" with "was never in" by a Gaussian likelihood ratio an element.

    Every shadow runs the whole pipeline: each of the B candidates is either trained in and then unlearned by the method
    under test (forgot), or never seen; draw which anew for each shadow, half and half. An element that a shadow retains
    is no candidate. For element b and target score t

        log_ratio(b) = log N(t; mean_in, var_in) - log N(t; mean_out, var_out)

    with mean_in, var_in over the shadows that forgot b and mean_out, var_out over those that never saw it. If every
    element has ``own_variance_from`` shadows on both sides the variance is its own; otherwise each side has one
    variance, pooled over elements about their own means (LiRA's rule for few shadows).

    Args:
        shadow_scores: [S, B], near Gaussian: a link's s, or log p / (1 - p) of the label; not a probability.
        shadow_forgot: bool [S, B]: trained in, then forgotten; False: never seen.
        target_scores: [B], of the model under attack.
        target_forgot: bool [B]: what it forgot; False: what it never saw. Both must occur.
        seed: of the bootstrap.
        own_variance_from: shadows a side; LiRA pools under 64 shadows in all.

    Raises:
        InputError: shapes, NaN, an element without a shadow on one side, or a variance of 0.

    Example:
        >>> scores = torch.tensor([[2.0, 0.0], [4.0, 2.0], [0.0, 4.0], [2.0, 2.0]])
        >>> forgot = torch.tensor([[True, False], [True, False], [False, True], [False, True]])
        >>> u_lira(scores, forgot, torch.tensor([3.0, 1.0]), torch.tensor([True, False])).log_ratio
        tensor([ 1., -1.], dtype=torch.float64)
    """
    scores = checked.rows(shadow_scores, "shadow_scores", columns=1).cpu()
    target = checked.scores(target_scores, "target_scores").cpu()
    forgot = _mask(shadow_forgot, scores, "shadow_forgot")
    if target.shape != scores.shape[1:]:
        raise InputError(
            f"target_scores must be [{scores.shape[1]}], one a column (got {list(target.shape)}); align them"
        )
    asked = _mask(target_forgot, target, "target_forgot")
    if bool(asked.all()) or not bool(asked.any()):
        raise InputError(f"target_forgot must hold both True and False (got {int(asked.sum())} True of {len(asked)})")
    least = int(torch.minimum(forgot.sum(0), (~forgot).sum(0)).min())
    if not least:
        raise InputError(
            "every element needs a shadow that forgot it and one that never saw it (got none for some); add"
        )
    pooled = least < own_variance_from
    mean_in, var_in = _gaussian(scores, forgot, pooled)
    mean_out, var_out = _gaussian(scores, ~forgot, pooled)
    log_ratio = ((target - mean_out).square() / var_out - (target - mean_in).square() / var_in) / 2
    log_ratio = log_ratio - (var_in / var_out).log() / 2
    return ULira(log_ratio, threshold_attack(log_ratio[asked], log_ratio[~asked], seed))


def lira(shadow_scores: Tensor, target_scores: Tensor, target_in: Tensor, seed: int = 0) -> AttackResult:
    """Tell members from non-members by how far each score lies above what models give that never saw the element.

    The offline form of LiRA: member score(b) = Phi((t - mean_b) / sd_b), by its argument, over shadow models none of
    which was trained on any of the B elements. Beside :func:`u_lira` it needs no shadow that unlearns, and is weaker.

    Args:
        shadow_scores: [S, B], S >= 2, near Gaussian: log p / (1 - p) of the label; not a probability.
        target_scores: [B], of the model under attack.
        target_in: bool [B]: the forgotten; False: what the model never saw. Both must occur.
        seed: of the bootstrap.

    Raises:
        InputError: shapes, NaN, one shadow, or a variance of 0.

    Example:
        >>> lira(torch.tensor([[0.0, 1.0], [2.0, 3.0]]), torch.tensor([5.0, 2.0]), torch.tensor([True, False])).auc
        1.0
    """
    scores = checked.rows(shadow_scores, "shadow_scores", columns=1).cpu()
    target = checked.scores(target_scores, "target_scores").cpu()
    if target.shape != scores.shape[1:]:
        raise InputError(f"target_scores must be [{scores.shape[1]}] (got {list(target.shape)}); align them")
    asked = _mask(target_in, target, "target_in")
    if bool(asked.all()) or not bool(asked.any()):
        raise InputError(f"target_in must hold both True and False (got {int(asked.sum())} True of {len(asked)})")
    mean, variance = _gaussian(scores, torch.ones_like(scores, dtype=torch.bool), pooled=False)
    far = (target - mean) / variance.sqrt()  # Phi is monotone, and its values near 1 would round to ties
    return threshold_attack(far[asked], far[~asked], seed)


def tpr_at_1pct_fpr(member: Tensor, other: Tensor) -> float:
    """Return the largest share of members [P] that one threshold catches while it catches at most 1 % of others [M].

    NaN with fewer than 100 others, where 1 % cannot be resolved.

    Example:
        >>> tpr_at_1pct_fpr(torch.tensor([3.0, 0.0]), torch.arange(200) / 100)
        0.5
    """
    if len(other) < 100:
        return math.nan
    allowed = len(other) // 100  # false positives; a threshold at the next larger non-member lets no more through
    return float((member > other.topk(allowed + 1).values[-1]).double().mean())


def zrf(outputs: Tensor, random_outputs: Tensor) -> float:
    """Return 1 - mean JS to a randomly initialised model: legacy, for tables that report it.

    It rewards randomness on the forgotten, which no retrained model shows, so it is no sign of unlearning. JS is the
    true one (at most ln 2), so the figure lies in [1 - ln 2, 1]; published code feeds other quantities to ``kl_div``.

    Args:
        outputs: logits [B, C] on the forgotten.
        random_outputs: the random model's logits [B, C].

    Example:
        >>> zrf(torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 2.0]]))
        1.0
    """
    return 1.0 - float(metrics.js(outputs, random_outputs).mean())


def _classifier(hidden: tuple[int, ...], seed: int) -> Any:
    if hidden:
        return make_pipeline(StandardScaler(), MLPClassifier(hidden, random_state=seed, max_iter=1000))
    return make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=1000))


def _belief(model: Any, features: Any) -> Tensor:
    # Log-odds where the classifier has them: probabilities near 1 round to ties.
    linear = hasattr(model, "decision_function")
    found = model.decision_function(features) if linear else model.predict_proba(features)[:, 1]
    return torch.as_tensor(found, dtype=torch.float64)


def _labelled(inside: Tensor, outside: Tensor) -> tuple[Any, Any]:
    """Features and labels as numpy: 1 for the first rows."""
    label = torch.cat([torch.ones(len(inside), dtype=torch.int64), torch.zeros(len(outside), dtype=torch.int64)])
    return torch.cat([inside, outside]).numpy(), label.numpy()


def _movement(before: Tensor, after: Tensor) -> Tensor:
    """[B, 2]: L2 distance of the posteriors and signed change of the class that counts."""
    length = metrics.activation_distance(before, after).cpu()
    p, q = (checked.rows(each, "outputs").cpu().softmax(1) for each in (before, after))
    favoured = p.argmax(1) if p.shape[1] > 2 else torch.ones(len(p), dtype=torch.int64)
    return torch.stack([length, (p - q).gather(1, favoured[:, None])[:, 0]], 1)


def _mask(mask: Tensor, like: Tensor, name: str) -> Tensor:
    if mask.dtype != torch.bool or mask.shape != like.shape:
        raise InputError(f"{name} must be bool {list(like.shape)} (got {mask.dtype} {list(mask.shape)}); align it")
    return mask.cpu()


def _gaussian(scores: Tensor, chosen: Tensor, pooled: bool) -> tuple[Tensor, Tensor]:
    """Mean [B] and variance ([B], or one for all) of the chosen entries of every column."""
    count = chosen.sum(0).double()
    mean = (scores * chosen).sum(0) / count
    squares = ((scores - mean).square() * chosen).sum(0)
    free = (count - 1).sum() if pooled else count - 1
    variance = (squares.sum() if pooled else squares) / free
    if not bool((variance > 0).all()):  # 0 / 0 is NaN and fails too
        raise InputError(
            "the shadows' scores of one side must vary (got a variance of 0, or one shadow each); add shadows with "
            "seeds of their own, or raise own_variance_from to pool"
        )
    return mean, variance
