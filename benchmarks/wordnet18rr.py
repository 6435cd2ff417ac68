"""``python -m benchmarks.wordnet18rr``: see ``--help``."""

from benchmarks.runner import main

if __name__ == "__main__":
    raise SystemExit(main("wordnet18rr"))
