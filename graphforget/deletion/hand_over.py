"""What a store gives to those who serve its model: never anything but the head."""

from __future__ import annotations

import shutil
from pathlib import Path

from graphforget.deletion.bridge import is_recbole, write_checkpoint
from graphforget.deletion.files import storing
from graphforget.deletion.handoff import to_onnx, to_program, to_tables
from graphforget.deletion.manifest import DATA, MANIFEST, MODEL
from graphforget.deletion.store import VOCABULARY, Store
from graphforget.errors import InputError


def hand_over(store: Store, out: Path, *, onnx: bool = False) -> list[Path]:
    """Write the head's weights, data, ids and manifest; of a recommender its embedding tables, of a GNN a program.

    Args:
        store: opened.
        out: a new or empty folder; of a RecBole deployment the new .pth, beside which its data folder is written.
        onnx: of a GNN, write ONNX beside the torch.export program.

    Returns:
        What was written.

    Raises:
        InputError: the folder is in use, the checkpoint is there already, or ONNX of a recommender.
    """
    store.check_head()
    context = store.head_data().train
    if onnx and context.bipartite:
        raise InputError("ONNX is written of GNNs (got a recommender); its embeddings are exported as npy and parquet")
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
    if context.bipartite:
        names = store.vocabulary().ids
        written += to_tables(store.model(), context, out, ids={"user": names["user"], "item": names["item"]})
        return written
    asked = store.model(), context.features.get("x"), context.edge_index
    written.append(to_program(*asked, out / "model.pt2").path)
    return [*written, to_onnx(*asked, out / "model.onnx").path] if onnx else written
