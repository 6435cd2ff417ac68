"""A request of several kinds, in two steps: first what has rows of its own, then single interactions.

Users, items and features have rows that go back to a fresh draw. Single interactions of the users and items that stay
have none: what is remembered of them is asked of the model in which the rows are gone already.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.graph import Graph
from recsys.tables import gone, withdrawn


def named_rows(data: Graph, retain: Graph) -> dict[str, torch.Tensor]:
    """{``user`` | ``item`` | ``modality:NAME``: ids} of what a request removed or withdrew; empty where no row goes.

    Example:
        >>> data = Graph(torch.tensor([[0, 0, 1], [0, 1, 1]]), (2, 2), bipartite=True)
        >>> named_rows(data, data.partition({"user": torch.tensor([1])})[1])
        {'user': tensor([1])}
    """
    users, items = gone(data, retain)
    lost = {f"modality:{name}": ids for name, ids in withdrawn(data, retain).items()}
    return {kind: ids for kind, ids in ({"user": users, "item": items} | lost).items() if len(ids)}


def interactions_left(split: ForgetSplit[Graph]) -> ForgetSplit[Graph] | None:
    """What is still to forget once the rows are gone: single interactions of users and items that stay.

    Args:
        split: a request that removes users or items, or withdraws features.

    Returns:
        The second step: the data without the rows, beside what the whole request retains; None where nothing is left.

    Example:
        >>> data = Graph(torch.tensor([[0, 0, 1, 2], [0, 1, 1, 0]]), (3, 2), bipartite=True)
        >>> request = ForgetRequest({"user": torch.tensor([1]), "interaction": torch.tensor([[0], [0]])})
        >>> split = ForgetSplit.of(data, request, data)
        >>> interactions_left(split).forget.edge_index.tolist()
        [[0], [0]]
        >>> interactions_left(ForgetSplit.of(data, ForgetRequest.of("user", [1]), data)) is None
        True
    """
    _, between = split.data.partition(named_rows(split.data, split.retain))
    pairs = between.without(split.retain).pairs()
    if not pairs.shape[1]:
        return None
    second = ForgetSplit.of(between, ForgetRequest.of("interaction", pairs.unique(dim=1)), split.held_out)
    return replace(second, retain=split.retain)
