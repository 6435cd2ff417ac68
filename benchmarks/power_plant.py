"""``python -m benchmarks.power_plant``: see ``--help``."""

from benchmarks.runner import main

if __name__ == "__main__":
    raise SystemExit(main("power_plant"))
