"""``python -m benchmarks.ml_posters``: see ``--help``."""

from benchmarks.runner import main

if __name__ == "__main__":
    raise SystemExit(main("ml_posters"))
