"""Where the rows of a request may still be after a deletion: the graph is data, and so are its copies on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from recsys.recbole.request import Forgotten


def places(config: Any, forgotten: Forgotten) -> dict[str, str]:
    """Return where the forgotten rows may still be, after :func:`unlearn` and before :func:`save`."""
    name, folder = str(config["dataset"]), Path(str(config["data_path"]))
    checkpoints = Path(str(config["checkpoint_dir"]))
    files = {
        "interaction files": [folder / f"{name}.{part}inter" for part in ("", "train.", "valid.", "test.")],
        "item files": sorted(folder.glob(f"{name}.item*")) if len(forgotten.items) or forgotten.features else [],
        "saved data set": [Path(str(config["dataset_save_path"] or checkpoints / f"{name}-Dataset.pth"))],
        "saved data loaders": [
            Path(str(config["dataloaders_save_path"] or checkpoints / f"{name}-for-{config['model']}-dataloader.pth"))
        ],
        "checkpoints": sorted(checkpoints.glob(f"{config['model']}-*.pth")) if checkpoints.is_dir() else [],
    }
    report = {
        "given objects": "the model and the data loaders that were passed in are unchanged: drop them",
        "optimizer": "none is given back; a checkpoint of the original holds moments of the forgotten rows",
        "caches": "none: every cached embedding of the new model is None, and save() writes None",
        "id maps": f"the tokens of {len(forgotten.users)} users and {len(forgotten.items)} items stay, so no id shifts",
    }
    if config["normalize_all"] or config["normalize_field"]:
        report["scaled columns"] = "minimum and maximum of ratings and times were taken with the forgotten rows"
    for place, paths in files.items():
        there = [str(path) for path in paths if path.is_file()]
        if there:
            report[place] = f"may hold the forgotten rows or what was learned from them: {', '.join(there)}"
    return report
