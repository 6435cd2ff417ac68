"""RecBole checkpoints as deployments: read without running their code, and written again without the forgotten."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from graphforget.deletion.vocabulary import Vocabulary
from graphforget.errors import InputError
from graphforget.graph import Graph
from graphforget.splits import Splits

if TYPE_CHECKING:
    from graphforget.deletion.deployment import Deployment
    from graphforget.deletion.store import Store

PREFIX = "recbole:"


def is_recbole(factory: str) -> bool:
    """Does a deployment's factory name a RecBole checkpoint.

    Example:
        >>> is_recbole("recbole:saved/BPR.pth"), is_recbole("package.module:factory")
        (True, False)
    """
    return factory.startswith(PREFIX)


def load_run(deployment: Deployment) -> Any:
    """The checkpoint and its data, as :func:`recsys.recbole.load` gives them."""
    from recsys import recbole

    folder = deployment.factory_args.get("dataset_folder")
    return recbole.load(deployment.factory.removeprefix(PREFIX), None if folder is None else str(folder))


def wrapped(run: Any) -> Any:
    """The model of a run under the contract of recommenders."""
    from recsys import recbole

    return recbole.Wrapped(run.model, run.train_data, run.config).eval()


def data_of(run: Any) -> tuple[Splits[Graph], Vocabulary]:
    """The three views of a run and its raw tokens; row 0 of either side is RecBole's padding and has no name."""
    from recsys.recbole.convert import dataset_of, splits_of

    splits = splits_of(run.train_data, run.valid_data, run.test_data)
    dataset = dataset_of(run.train_data)
    tokens = {
        kind: ("", *map(str, dataset.field2id_token[field][1:]))
        for kind, field in (("user", dataset.uid_field), ("item", dataset.iid_field))
    }
    return splits, Vocabulary(tokens)


def write_checkpoint(store: Store, path: Path) -> Path:
    """Write the head as a checkpoint of RecBole with a folder of data that no longer holds the forgotten.

    Args:
        store: of a RecBole deployment.
        path: of the new .pth.

    Returns:
        The folder of data.

    Raises:
        InputError: another deployment, or the file is there already.
    """
    from recsys import recbole
    from recsys.recbole.bridge import Result, rebuilt
    from recsys.recbole.compat import compatible
    from recsys.recbole.convert import dataset_of
    from recsys.recbole.loaders import loaders_of
    from recsys.recbole.places import places
    from recsys.recbole.request import Forgotten

    if not is_recbole(store.deployment.factory):
        raise InputError(
            f"the deployment is no RecBole checkpoint (got {store.deployment.factory!r}); export its weights"
        )
    run = load_run(store.deployment)
    before, after = data_of(run)[0], store.head_data()
    users = before.train.size[0]
    removed = torch.zeros(sum(before.train.size), dtype=torch.bool)
    if after.train.removed is not None:
        removed = after.train.removed.clone()
    removed[[0, users]] = False  # padding
    pairs = torch.cat([_lost(old, new) for old, new in zip(before, after, strict=True)], dim=1)
    blanked = {
        name: ((before.train.features[name] != 0).any(1) & (values == 0).all(1)).nonzero().flatten()
        for name, values in after.train.features.items()
    }
    forgotten = Forgotten(
        removed[:users].nonzero().flatten(),
        removed[users:].nonzero().flatten(),
        torch.unique(pairs, dim=1),
        {name: rows for name, rows in blanked.items() if len(rows)},
        (),
    )
    with compatible():
        kept = [forgotten.filtered(dataset_of(part)) for part in (run.train_data, run.valid_data, run.test_data)]
        data = loaders_of(run.config, kept)
        state = {name.removeprefix("inner."): value for name, value in store.model().state_dict().items()}
        model = rebuilt(type(run.model), run.config, kept[0], state, store.deployment.seed)
    found = Result(model.eval(), run.config, kept[0], *data, (), places(run.config, forgotten), {})
    return recbole.save(found, path)


def _lost(before: Graph, after: Graph) -> Tensor:
    """[2, n] the edges of one view that the other no longer has."""
    width = before.size[1]
    gone = ~torch.isin(
        before.edge_index[0] * width + before.edge_index[1], after.edge_index[0] * width + after.edge_index[1]
    )
    return before.edge_index[:, gone]
