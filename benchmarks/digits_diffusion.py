"""``python -m benchmarks.digits_diffusion``: see ``--help``."""

from benchmarks.runner import main

if __name__ == "__main__":
    raise SystemExit(main("digits_diffusion"))
