"""RecBole's datasets as graphs, and back. Ids are RecBole's own: row 0 of users and of items is its padding.

The two padding rows have no interactions and are declared ``removed``: no task ranks them or draws them as negatives.
Every column of the interactions goes along in ``edge_attrs``, the rating and the time under those names; the items'
float_seq columns are modalities (:mod:`recsys.recbole.modalities`).
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from graphforget.errors import InputError
from graphforget.graph import Graph
from graphforget.splits import Splits
from recsys.recbole.modalities import features_of

_GRAPHS: WeakKeyDictionary[Any, tuple[Tensor, Graph]] = WeakKeyDictionary()


def to_graph(dataset: Any) -> Graph:
    """Convert a dataset of RecBole to a graph; the same dataset gives the same graph.

    Args:
        dataset: a built one, whose interactions are tensors: ``train_data.dataset``.

    Returns:
        A bipartite graph of size (user_num, item_num), both counting the padding row 0, with the items' features.

    Raises:
        InputError: the dataset is not built yet, or an id is padding or out of range.
    """
    users, items = _ids(dataset)
    cached = _GRAPHS.get(dataset)
    if cached is not None and cached[0] is users:
        return cached[1]
    size = (int(dataset.user_num), int(dataset.item_num))
    for name, ids, limit in (("user", users, size[0]), ("item", items, size[1])):
        if len(ids) and (int(ids.min()) < 1 or int(ids.max()) >= limit):
            bad = int(ids.min()) if int(ids.min()) < 1 else int(ids.max())
            raise InputError(f"{name} ids must lie in [1, {limit}), 0 is padding (got {bad}); clean the .inter file")
    removed = torch.zeros(sum(size), dtype=torch.bool)
    removed[[0, size[0]]] = True
    names = _names(dataset)
    attrs = {names[field]: dataset.inter_feat[field] for field in dataset.inter_feat if field in names}
    edges, features = torch.stack([users, items]), features_of(dataset)
    graph = Graph(edges, size, bipartite=True, features=features, edge_attrs=attrs, removed=removed)
    _GRAPHS[dataset] = (users, graph)
    return graph


def splits_of(train_data: Any, valid_data: Any, test_data: Any) -> Splits[Graph]:
    """Convert the three data loaders of RecBole to graphs over the same ids.

    Args:
        train_data: what RecBole's ``data_preparation`` gives, or the datasets inside.
        valid_data: likewise.
        test_data: likewise.
    """
    parts = [to_graph(dataset_of(part)) for part in (train_data, valid_data, test_data)]
    return Splits(parts[0], parts[1], parts[2])


def dataset_of(data: Any) -> Any:
    """Return the dataset of a data loader; a dataset is its own.

    Raises:
        InputError: it is neither.
    """
    dataset = getattr(data, "_dataset", data)
    if not hasattr(dataset, "inter_feat") or not hasattr(dataset, "token2id"):
        raise InputError(f"expected a data loader or a dataset of RecBole (got {type(data).__name__})")
    return dataset


def with_graph(dataset: Any, graph: Graph) -> Any:
    """Return a copy of a dataset whose interactions are a graph's; id maps and side features are shared.

    Raises:
        InputError: the graph has other numbers of users or items, or no interaction.
    """
    from recbole.data.interaction import Interaction

    size = (int(dataset.user_num), int(dataset.item_num))
    if graph.size != size or not graph.bipartite:
        raise InputError(f"the graph must have the dataset's {size} users and items (got {graph.size}); use to_graph")
    if not graph.num_edges:
        raise InputError("the graph has no interaction; RecBole's models need at least one")
    columns = {dataset.uid_field: graph.edge_index[0].cpu(), dataset.iid_field: graph.edge_index[1].cpu()}
    for field, name in _names(dataset).items():
        if name in graph.edge_attrs:
            columns[field] = graph.edge_attrs[name].cpu()
    return dataset.copy(Interaction(columns))


def without_rows(dataset: Any) -> Any:
    """Return a copy of a dataset that holds no interaction: its id maps, types and side features."""
    return dataset.copy(dataset.inter_feat[torch.zeros(0, dtype=torch.int64)])


def _ids(dataset: Any) -> tuple[Tensor, Tensor]:
    try:
        users, items = dataset.inter_feat[dataset.uid_field], dataset.inter_feat[dataset.iid_field]
    except (AttributeError, KeyError) as error:
        raise InputError(
            f"expected a dataset of RecBole with users and items (got {type(dataset).__name__})"
        ) from error
    if not isinstance(users, Tensor) or not isinstance(items, Tensor):
        raise InputError("the dataset is not built yet; use train_data.dataset after RecBole's data_preparation")
    return users, items


def _names(dataset: Any) -> dict[str, str]:
    """Column of the interactions -> its name in ``edge_attrs``."""
    special = {dataset.config["RATING_FIELD"]: "rating", dataset.config["TIME_FIELD"]: "time"}
    known = {dataset.uid_field, dataset.iid_field}
    return {field: special.get(field, field) for field in dataset.field2type if field not in known}
