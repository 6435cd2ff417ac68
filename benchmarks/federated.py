"""``python -m benchmarks.federated --data mnist``: see ``--help``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from rich.console import Console

from benchmarks.federations import FEDERATIONS, PREFIX
from benchmarks.runner import main as run
from graphforget.errors import unknown

SHORT = {"digits": "digits_images"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark of one data set whose rows lie with clients; returns the exit status."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--data", default="digits")
    flags, rest = parser.parse_known_args(sys.argv[1:] if argv is None else argv)
    name = PREFIX + SHORT.get(flags.data, flags.data)
    if name not in FEDERATIONS:
        known = ("digits", "mnist", "notmnist", "cifar10")
        Console(stderr=True).print(f"[bold red]error:[/] {unknown('data set', flags.data, known)}", highlight=False)
        return 2
    return run(name, rest)


if __name__ == "__main__":
    raise SystemExit(main())
