"""What a method recovers of what planted edges spoiled, and how far ours leads."""

from benchmarks.markdown import table
from graphforget.report import Report

AUC = {
    0: {("original", ""): 0.8, ("gold", "retrain"): 0.9, ("unlearned", "utu"): 0.85, ("unlearned", "x"): 0.88},
    1: {("original", ""): 0.6, ("gold", "retrain"): 0.8, ("unlearned", "utu"): 0.7, ("unlearned", "x"): 0.76},
}


def test_shares_and_the_lead_of_ours_are_paired_by_seed() -> None:
    same = {"dataset": "cora", "model": "gcn", "task": "link", "kind": "edge", "pool": "poison", "ratio": 10.0}
    rows = [
        {**same, "count": None, "seed": seed, "role": role, "part": "test", "metric": "auc", "value": value}
        | {"method": "d2dgn_calibrated" if method == "x" else method}
        for seed, figures in AUC.items()
        for (role, method), value in figures.items()
    ]
    text = table(Report({}, rows), planned=2)
    assert "| method | share | d2dgn_calibrated minus it |" in text
    assert "| utu | 0.500 ± 0.000 | 0.300 ± 0.000 |" in text
    assert "| d2dgn_calibrated | 0.800 ± 0.000 |  |" in text
