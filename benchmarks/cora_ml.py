"""``python -m benchmarks.cora_ml``: see ``--help``."""

from benchmarks.runner import main

if __name__ == "__main__":
    raise SystemExit(main("cora_ml"))
