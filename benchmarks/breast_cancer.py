"""``python -m benchmarks.breast_cancer``: see ``--help``."""

from benchmarks.runner import main

if __name__ == "__main__":
    raise SystemExit(main("breast_cancer"))
