"""``python -m benchmarks.cure4rec``: see ``--help``."""

from benchmarks.runner import main

if __name__ == "__main__":
    raise SystemExit(main("cure4rec"))
