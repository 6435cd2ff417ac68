"""Our recommenders as models of RecBole: its trainer trains them, its evaluator scores them, its checkpoints hold them.

    FREEDOM = recbole.model_class("freedom")
    model = FREEDOM(config, train_data.dataset).to(config["device"])

``MGCN``, ``FREEDOM``, ``VBPR`` and ``BM3`` are new to RecBole; ours of the two that it has itself are ``OwnBPR`` and
``OwnLightGCN``. A setting is read from the config where it is there: ``embedding_size`` is ``dim``, ``n_layers`` is
``layers``, ``reg_weight`` is ``reg``, every other has its own name (:func:`recsys.models.defaults` lists them).
Features come from the data (:mod:`recsys.recbole.modalities`).

Inside :func:`recsys.recbole.compatible` RecBole finds the classes by these names, as its own loader asks for them.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Self

import torch
from torch import Tensor, nn

from graphforget.errors import InputError, missing_extra, unknown
from recsys.models import build, defaults
from recsys.recbole.convert import to_graph

NAMES = {
    "OwnBPR": "bpr",
    "OwnLightGCN": "lightgcn",
    "VBPR": "vbpr",
    "FREEDOM": "freedom",
    "MGCN": "mgcn",
    "BM3": "bm3",
}
WORDS = {"dim": "embedding_size", "layers": "n_layers", "reg": "reg_weight"}
PREFIX = "recommender."  # of the names of weights


class Own(nn.Module):
    """One of our recommenders under the contract of RecBole's GeneralRecommender, the other base of every class here.

    Args:
        config: of RecBole.
        dataset: the built training data; the model sees its interactions and its items' features.
    """

    key: str
    USER_ID: str
    ITEM_ID: str
    NEG_ITEM_ID: str

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.graph = to_graph(dataset).validate().to(config["device"])
        self.recommender = build(self.key, self.graph, **_settings(self.key, config))
        self._kept: tuple[Any, tuple[Tensor, Tensor]] | None = None

    def calculate_loss(self, interaction: Any) -> Tensor:
        """Return the model's own loss of a batch of users, items and negatives."""
        index = torch.stack([interaction[field] for field in (self.USER_ID, self.ITEM_ID, self.NEG_ITEM_ID)])
        own: Any = self.recommender
        found: Tensor = own.loss(self.graph, index)
        return found

    def predict(self, interaction: Any) -> Tensor:
        """Return [B] scores of pairs."""
        users, items = self._embedded()
        return (users[interaction[self.USER_ID]] * items[interaction[self.ITEM_ID]]).sum(1)

    def full_sort_predict(self, interaction: Any) -> Tensor:
        """Return [B * n_items] scores of all items for each user."""
        users, items = self._embedded()
        return (users[interaction[self.USER_ID]] @ items.T).view(-1)

    def train(self, mode: bool = True) -> Self:
        """Set the mode; RecBole's trainer does it once an epoch, and that is when FREEDOM draws its edges."""
        self._kept = None
        super().train(mode)
        begin = getattr(self.recommender, "begin_epoch", None)
        if mode and callable(begin):
            begin(self.graph, torch.Generator().manual_seed(int(torch.randint(2**31, ()))))
        return self

    def _embedded(self) -> tuple[Tensor, Tensor]:
        """Embeddings of everybody, computed once an evaluation and never from weights that have changed since."""
        if torch.is_grad_enabled():
            return self.recommender(self.graph)  # type: ignore[no-any-return]
        weights = [(weight.data_ptr(), weight._version) for weight in self.recommender.parameters()]
        if self._kept is None or self._kept[0] != weights:
            self._kept = (weights, self.recommender(self.graph))
        return self._kept[1]


def model_class(name: str) -> Any:
    """Return one of our recommenders as a class that RecBole trains, scores and saves.

    Args:
        name: ``bpr lightgcn vbpr freedom mgcn bm3``.

    Raises:
        InputError: unknown name.
        MissingExtra: RecBole is not installed.

    Example:
        >>> model_class("freedom").__name__
        'FREEDOM'
    """
    found = {key: attribute for attribute, key in NAMES.items()}
    if name not in found:
        raise unknown("model", name, tuple(found))
    return _made(found[name])


def state_of(model: nn.Module) -> dict[str, Tensor]:
    """Return the weights of one of our recommenders by the names they have in a model of RecBole."""
    return {f"{PREFIX}{name}": value for name, value in model.state_dict().items()}


@cache
def _made(attribute: str) -> Any:
    try:
        from recbole.model.abstract_recommender import GeneralRecommender
        from recbole.utils import InputType
    except ModuleNotFoundError as error:
        raise missing_extra(error.name or "recbole", "recbole") from error
    text = f"Our ``{NAMES[attribute]}`` as a model of RecBole."
    body = {"__module__": __name__, "__doc__": text, "key": NAMES[attribute], "input_type": InputType.PAIRWISE}
    return type(attribute, (Own, GeneralRecommender), body)


def __getattr__(name: str) -> Any:
    """Make a class when it is first asked for: its base lies in RecBole, which is optional."""
    if name in NAMES:
        return _made(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _settings(key: str, config: Any) -> dict[str, Any]:
    found = {}
    for name, usual in defaults(key).items():
        word = WORDS.get(name, name)
        value = config[word]
        if value is None:
            continue
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or type(usual)(value) != value:
            raise InputError(f"{word} of the config must be of type {type(usual).__name__} (got {value!r}); correct it")
        found[name] = type(usual)(value)
    return found
