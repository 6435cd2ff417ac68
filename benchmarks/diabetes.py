"""``python -m benchmarks.diabetes``: see ``--help``."""

from benchmarks.runner import main

if __name__ == "__main__":
    raise SystemExit(main("diabetes"))
