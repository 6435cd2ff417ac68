"""SDMetrics' scores of a synthetic table, printed as JSON, from an environment of its own.

SDMetrics wants pandas under 3 and cannot live beside this package's own. This file imports nothing of the package, so
that another environment's Python runs it as a script::

    python -m venv sdmetrics && sdmetrics/bin/pip install "sdmetrics==0.32.0" "pandas<3"
    sdmetrics/bin/python benchmarks/sdmetrics_reference.py real.csv synthetic.csv --categorical quality

The two files have a header with the same columns. It prints ``quality`` (0 to 1), its halves ``shapes`` and ``pairs``,
and the mean KSComplement and TVComplement over the columns.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path


def main() -> int:
    """Score the files named on the command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("real", type=Path)
    parser.add_argument("synthetic", type=Path)
    parser.add_argument("--categorical", nargs="*", default=[], metavar="COLUMN")
    flags = parser.parse_args()
    try:
        import pandas as pd
        from sdmetrics.reports.single_table import QualityReport
        from sdmetrics.single_column import KSComplement, TVComplement
    except ImportError as error:
        sys.stderr.write(f"error: {error}; run this with the Python of an environment that holds sdmetrics\n")
        return 2
    real, synthetic = pd.read_csv(flags.real), pd.read_csv(flags.synthetic)
    missing = sorted(set(flags.categorical) - set(real.columns))
    if missing or list(real.columns) != list(synthetic.columns):
        sys.stderr.write(f"error: the files must have the same columns, the categories among them (got {missing})\n")
        return 2
    kinds = {name: "categorical" if name in flags.categorical else "numerical" for name in real.columns}
    report = QualityReport()
    report.generate(real, synthetic, {"columns": {n: {"sdtype": k} for n, k in kinds.items()}}, verbose=False)
    halves = dict(report.get_properties().values.tolist())
    found = {"quality": float(report.get_score()), "shapes": halves["Column Shapes"]}
    found["pairs"] = halves["Column Pair Trends"]
    for name, metric, kind in (("ks", KSComplement, "numerical"), ("tv", TVComplement, "categorical")):
        scores = [metric.compute(real[n], synthetic[n]) for n, k in kinds.items() if k == kind]
        if scores:
            found[name] = float(sum(scores) / len(scores))
    sys.stdout.write(json.dumps(found) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
