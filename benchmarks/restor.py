"""``python -m benchmarks.restor``: see ``--help``."""

from benchmarks.runner import main

if __name__ == "__main__":
    raise SystemExit(main("restor"))
