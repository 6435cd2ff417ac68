"""``python -m benchmarks.tofu``: see ``--help``."""

from benchmarks.runner import main

if __name__ == "__main__":
    raise SystemExit(main("tofu"))
