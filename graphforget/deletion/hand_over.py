"""What a store gives to those who serve its model: never anything but the head."""

from __future__ import annotations

import shutil
from pathlib import Path

from graphforget.deletion.bridge import is_recbole, write_checkpoint
from graphforget.deletion.files import storing
from graphforget.deletion.handoff import to_tables
from graphforget.deletion.manifest import DATA, MANIFEST, MODEL
from graphforget.deletion.store import VOCABULARY, Store
from graphforget.errors import InputError


def hand_over(store: Store, out: Path) -> list[Path]:
    """Write the head's weights, data, ids and manifest; of a recommender its embedding tables as well.

    Args:
        store: opened.
        out: a new or empty folder; of a RecBole deployment the new .pth, beside which its data folder is written.

    Returns:
        What was written.

    Raises:
        InputError: the folder is in use, or the checkpoint is there already.
    """
    store.check_head()
    if is_recbole(store.deployment.factory):
        return [out, write_checkpoint(store, out)]
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"the folder must be new or empty (got {str(out)!r}); name another one")
    with storing(out):
        out.mkdir(parents=True, exist_ok=True)
        written = [out / name for name in (MODEL, DATA, MANIFEST)]
        for path in written:
            shutil.copyfile(store.existing() / path.name, path)
        written.append(out / VOCABULARY)
        shutil.copyfile(store.root / VOCABULARY, written[-1])
    context = store.head_data().train
    if context.bipartite:
        names = store.vocabulary().ids
        written += to_tables(store.model(), context, out, ids={"user": names["user"], "item": names["item"]})
    return written
