"""``python -m benchmarks.kin8nm``: see ``--help``."""

from benchmarks.runner import main

if __name__ == "__main__":
    raise SystemExit(main("kin8nm"))
