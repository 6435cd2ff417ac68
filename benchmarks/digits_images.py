"""``python -m benchmarks.digits_images``: see ``--help``."""

from benchmarks.runner import main

if __name__ == "__main__":
    raise SystemExit(main("digits_images"))
