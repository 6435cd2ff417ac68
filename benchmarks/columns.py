"""What the tables and pages show of a task: columns, their names, the utility, and distances in noise floors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Column = tuple[str, str]  # (part, metric)

COLUMNS: dict[str, list[Column]] = {
    "link": [
        ("test", "auc"), ("forget", "js_to_gold"), ("retain", "js_to_gold"), ("all", "auc_retain_vs_forget"),
        ("all", "auc_forget_vs_unseen"), ("all", "mi_ratio"), ("all", "seconds"),
    ],
    "node": [
        ("test", "accuracy"), ("forget", "accuracy"), ("forget", "js_to_gold"), ("retain", "js_to_gold"),
        ("all", "mia_auc"), ("all", "seconds"),
    ],
    "recommend": [
        ("test", "recall@20"), ("forget", "recall@20"), ("forget", "recall@20_in_gold_range"),
        ("forget", "js_to_gold"), ("test", "overlap@20"),
        ("all", "mia_auc_same_users"), ("forget", "pair_auc"), ("all", "seconds"),
    ],
    "federated": [
        ("retain", "accuracy"), ("forget", "accuracy"), ("test", "accuracy"), ("forget", "js_to_gold"),
        ("retain", "js_to_gold"), ("all", "mia_accuracy"), ("all", "seconds"),
    ],
    "regression": [
        ("test", "mae"), ("forget", "mae"), ("forget", "w1_to_gold"), ("forget", "rmse_to_gold"),
        ("retain", "rmse_to_gold"), ("forget", "mia_svc"), ("all", "seconds"),
    ],
    "image": [
        ("test", "accuracy"), ("forget", "accuracy"), ("forget", "js_to_gold"), ("retain", "js_to_gold"),
        ("all", "mia_auc"), ("all", "aus"), ("all", "seconds"),
    ],
    "language": [
        ("forget", "exact"), ("forget", "contains_gold"), ("retain", "exact_related"), ("retain", "exact_others"),
        ("forget", "js_to_gold"), ("retain", "js_to_gold"), ("all", "tokens"), ("all", "seconds"),
    ],
    "noise": [
        ("forget", "recognised"), ("retain", "recognised"), ("forget", "concept@0.25"), ("forget", "concept@0.45"),
        ("forget", "concept_mean"), ("forget", "ccs_scaled"), ("forget", "crs_signed"), ("forget", "crs_gap"),
        ("retain", "crs_gap"), ("forget", "rmse_to_gold"), ("all", "seconds"),
    ],
    "restoration": [
        ("test", "exact"), ("test", "recovery"), ("forget", "exact"), ("forget", "forgetting"), ("retain", "exact"),
        ("forget", "js_to_gold"), ("all", "tokens"), ("all", "seconds"),
    ],
    "linear": [
        ("test", "accuracy"), ("forget", "accuracy"), ("forget", "js_to_gold"), ("all", "relative_distance"),
        ("all", "residual"), ("all", "seconds"),
    ],
    "sparse": [
        ("test", "accuracy"), ("forget", "accuracy"), ("forget", "js_to_gold"), ("all", "relative_distance"),
        ("all", "support_overlap"), ("all", "seconds"),
    ],
}  # fmt: skip

NAMES: dict[Column, str] = {
    ("test", "auc"): "test AUC",
    ("test", "accuracy"): "test acc.",
    ("retain", "accuracy"): "retain acc.",
    ("test", "backdoor"): "backdoor",
    ("all", "mia_accuracy"): "MIA accuracy",
    ("test", "recall@20"): "test recall@20",
    ("test", "overlap@20"): "top-20 shared with gold",
    ("test", "target_hit@20"): "users shown the target",
    ("test", "target_percentile"): "items below the target",
    ("forget", "accuracy"): "forget acc.",
    ("forget", "recall@20"): "forget recall@20",
    ("forget", "recall@20_in_gold_range"): "in gold's range",
    ("forget", "pair_auc"): "AUC forgotten / random item",
    ("forget", "js_to_gold"): "JS to gold, forgotten",
    ("retain", "js_to_gold"): "JS to gold, retained",
    ("all", "auc_retain_vs_forget"): "AUC retained / forgotten",
    ("all", "auc_forget_vs_unseen"): "AUC forgotten / unseen",
    ("all", "mia_auc"): "MIA AUC",
    ("all", "mia_auc_same_users"): "MIA AUC, same users",
    ("all", "mi_ratio"): "MI ratio",
    ("test", "mae"): "test MAE",
    ("forget", "mae"): "forget MAE",
    ("forget", "w1_to_gold"): "W1 to gold, forgotten",
    ("forget", "rmse_to_gold"): "RMSE to gold, forgotten",
    ("retain", "rmse_to_gold"): "RMSE to gold, retained",
    ("forget", "mia_svc"): "taken for members",
    ("test", "error_outside"): "test error, range that stays",
    ("test", "error_inside"): "test error, range that went",
    ("forget", "ain"): "AIN",
    ("all", "relative_distance"): "distance of the weights to gold",
    ("all", "support_overlap"): "support shared with gold",
    ("all", "residual"): "gradient left",
    ("forget", "exact"): "forgotten answered exactly",
    ("forget", "contains_gold"): "answer given",
    ("forget", "truth_ratio"): "truth ratio, forgotten",
    ("forget", "ks_to_gold"): "KS to gold",
    ("all", "model_utility"): "model utility",
    ("forget", "privleak"): "privleak",
    ("forget", "forgetting"): "false answer not the likeliest",
    ("retain", "exact"): "retained answered exactly",
    ("retain", "exact_related"): "same entities, other facts",
    ("retain", "exact_others"): "other entities",
    ("test", "exact"): "truth answered exactly",
    ("test", "recovery"): "recovery",
    ("all", "tokens"): "tokens",
    ("all", "seconds"): "seconds",
    ("all", "aus"): "AUS",
    ("all", "noise_shift"): "score change by noise",
    ("all", "u_lira_auc"): "U-LiRA AUC",
    ("all", "u_lira_tpr_at_1pct_fpr"): "U-LiRA TPR at 1 % FPR",
    ("forget", "relearn_epochs"): "relearn epochs",
    ("forget", "mia_entropy"): "taken for members, entropy",
    ("forget", "zrf"): "ZRF",
    ("forget", "recognised"): "concept recognised",
    ("retain", "recognised"): "others recognised",
    ("forget", "concept@0.25"): "P(concept) at psi .25",
    ("forget", "concept@0.45"): "at psi .45",
    ("forget", "concept_mean"): "mean over psi",
    ("forget", "ccs_scaled"): "CCS, calibrated",
    ("forget", "crs_signed"): "signed CRS",
    ("forget", "crs_gap"): "published CRS, forgotten",
    ("retain", "crs_gap"): "published CRS, retained concept",
}
ATTACKS = [
    ("forget", "mia_svc"),
    ("forget", "mia_entropy"),
    ("forget", "zrf"),
    ("all", "u_lira_auc"),
    ("all", "u_lira_tpr_at_1pct_fpr"),
    ("forget", "relearn_epochs"),
    ("forget", "ain"),
]  # where asked for

DISTANCES = [("forget", "js_to_gold"), ("forget", "w1_to_gold"), ("forget", "rmse_to_gold")]  # told in floors

UTILITY = {  # on the test part
    "link": "auc",
    "node": "accuracy",
    "recommend": "recall@20",
    "image": "accuracy",
    "federated": "accuracy",
    "regression": "mae",
    "language": "exact",
    "restoration": "exact",
    "noise": "mse",
    "linear": "accuracy",
    "sparse": "accuracy",
}
VALUES = {"modality": ("all", "noise_shift")}  # of the requests that take features away
PLANTED = {  # else the utility
    "recommend": [("test", "target_hit@20"), ("test", "target_percentile")],
    "federated": [("test", "backdoor")],
}

TOFU = [("forget", "truth_ratio"), ("forget", "ks_to_gold"), ("all", "model_utility"), ("forget", "privleak")]
RANGES = ("low", "high", "under2")  # pools of a regression that take a whole range of targets
RANGE = [("test", "error_outside"), ("test", "error_inside")]


def columns_of(task: str, pool: str = "", kind: str = "") -> list[Column]:
    """The columns of a task; of planted data, features and ranges also what is of interest there alone."""
    shown = COLUMNS[task] if kind not in VALUES else [VALUES[kind], *COLUMNS[task]]
    more = [column for column in PLANTED.get(task, []) if pool in ("poison", "backdoor")]
    more += RANGE if pool in RANGES else []
    return [*more, *shown]


def columns_for(row: Mapping[str, Any]) -> list[Column]:
    """The columns of the request that a row of results belongs to."""
    shown = columns_of(row["task"], row["pool"], row["kind"])
    return TOFU + shown if row["dataset"] == "tofu" else shown


def columns_in(rows: Sequence[Mapping[str, Any]]) -> list[Column]:
    """The columns of a request's rows; where attacks or relearning were asked for, theirs as well."""
    found = {(row["part"], row["metric"]) for row in rows}
    return list(dict.fromkeys([*columns_for(rows[0]), *(column for column in ATTACKS if column in found)]))


def planted(task: str) -> Column:
    """The figure that planted data spoils."""
    return PLANTED[task][-1] if task in PLANTED else ("test", UTILITY[task])


def in_floors(column: Column, value: float, floor: float) -> float | None:
    """A distance to gold in units of the noise floor; None for other columns.

    An overlap is turned into a distance first: 1 - overlap, the share of the items that are not gold's.

    Example:
        >>> in_floors(("forget", "js_to_gold"), 0.04, 0.02), in_floors(("test", "overlap@20"), 0.7, 0.85)
        (2.0, 2.0)
        >>> in_floors(("test", "auc"), 0.9, 0.9)
    """
    if column == ("test", "overlap@20"):
        value, floor = round(1 - value, 12), round(1 - floor, 12)
    elif column not in DISTANCES:
        return None
    return value / floor if floor else None
