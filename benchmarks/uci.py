"""``python -m benchmarks.uci --dataset power_plant kin8nm``: the UCI tables, one after the other.

Every other flag is that of the data set's own benchmark; see ``python -m benchmarks.power_plant --help``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from benchmarks.runner import main as run_benchmark
from graphforget.regression.data import DATASETS

TABLES = tuple(name for name, card in DATASETS.items() if card.folder == "uci_regression")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmarks of the named tables; returns the highest exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.uci", description=__doc__, add_help=False)
    parser.add_argument("--dataset", nargs="+", default=["power_plant"], choices=TABLES)
    given = list(sys.argv[1:] if argv is None else argv)
    flags, rest = parser.parse_known_args(given)
    return max(run_benchmark(name, rest) for name in flags.dataset)


if __name__ == "__main__":
    raise SystemExit(main())
