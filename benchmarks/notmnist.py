"""``python -m benchmarks.notmnist``: see ``--help``."""

from benchmarks.runner import main

if __name__ == "__main__":
    raise SystemExit(main("notmnist"))
