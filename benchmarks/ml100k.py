"""``python -m benchmarks.ml100k``: see ``--help``."""

from benchmarks.runner import main

if __name__ == "__main__":
    raise SystemExit(main("ml100k"))
