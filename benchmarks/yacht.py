"""``python -m benchmarks.yacht``: see ``--help``."""

from benchmarks.runner import main

if __name__ == "__main__":
    raise SystemExit(main("yacht"))
