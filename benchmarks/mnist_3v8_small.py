"""``python -m benchmarks.mnist_3v8_small``: see ``--help``."""

from benchmarks.runner import main

if __name__ == "__main__":
    raise SystemExit(main("mnist_3v8_small"))
