"""``python -m benchmarks.digits_angle``: see ``--help``."""

from benchmarks.runner import main

if __name__ == "__main__":
    raise SystemExit(main("digits_angle"))
