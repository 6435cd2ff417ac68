"""The bridge to MMRec (enoche/MMRec): the weights of its models into ours, and back into its own classes.

MMRec is no package, and it never saves a model. The bridge exchanges weights and files with a checkout of your own, and
imports nothing of it::

    torch.save(model.state_dict(), "freedom.pth")                     # in MMRec, once its trainer is done

    splits = to_splits(read_mmrec("data/baby"))
    model = mmrec.load_state("freedom", "freedom.pth", splits.train, config)          # config: of MMRec's run
    split = ForgetSplit.of(splits.train, ForgetRequest.of("item", [3, 8]), splits.val)
    result = CalibratedMMRecUN().unlearn(model, Recommendation(), split)
    torch.save(mmrec.state_of(result.model, result.context), "freedom-unlearned.pth")
    mmrec.write_retained(split, splits.test, "data/baby_retained")

    FREEDOM(config, train_data).load_state_dict(torch.load("freedom-unlearned.pth"))  # in MMRec, -d baby_retained

Its classes and ours have the same equations, so the scores are the same. Its graphs are no weights: it builds them from
the data set, and it keeps those of the features in files that a deletion makes stale (:func:`stale_graphs`). Hence the
retained data is a data set of its own name. A feature row that was withdrawn is written as the mean of the others, as
MMRec's own recipe fills missing images: its cosine divides by the norm of the row.

Source of names, shapes and settings: MMRec e775373, src/models and src/utils.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from graphforget.errors import InputError, unknown
from graphforget.forget import ForgetSplit
from graphforget.graph import Graph
from graphforget.splits import Splits
from graphforget.unpickle import load_torch
from recsys.cards import Vocabulary
from recsys.models import MODELS, build
from recsys.profile import remaining
from recsys.writers import write_mmrec

_ID = {"user_embedding": "user_embedding.weight", "item_embedding": "item_id_embedding.weight"}
_MODAL = {"modalities.{}.shift": "{}_embedding.weight", "modalities.{}.linear": "{}_trs"}

KEYS: dict[str, dict[str, str]] = {  # ours -> MMRec's; {} is the modality, a layer stands for its weight and its bias
    "bpr": {"user_embedding": "user_embedding.weight", "item_embedding": "item_embedding.weight"},
    "lightgcn": {"user_embedding": "embedding_dict.user_emb", "item_embedding": "embedding_dict.item_emb"},
    "vbpr": {"user_embedding": "u_embedding", "item_embedding": "i_embedding", "linear": "item_linear"},
    "freedom": {**_ID, **_MODAL},
    "bm3": {**_ID, **_MODAL, "predictor": "predictor"},
    "mgcn": {
        **_ID,
        **_MODAL,
        "query.0": "query_common.0",
        "query.2": "query_common.2",
        "gates.image": "gate_v.0",
        "gates.text": "gate_t.0",
        "preferences.{}": "gate_{}_prefer.0",
    },
}
SETTINGS: dict[str, dict[str, str]] = {  # MMRec's words -> ours
    "bpr": {"reg_weight": "reg"},
    "lightgcn": {"n_layers": "layers", "reg_weight": "reg"},
    "vbpr": {"reg_weight": "reg"},
    "freedom": {
        "n_ui_layers": "layers",
        "n_mm_layers": "item_layers",
        "knn_k": "k",
        "mm_image_weight": "image_weight",
        "dropout": "rho",
        "reg_weight": "modal_weight",
    },
    "bm3": {"n_layers": "layers", "dropout": "dropout", "reg_weight": "reg", "cl_weight": "modal_weight"},
    "mgcn": {
        "n_ui_layers": "layers",
        "n_layers": "item_layers",
        "knn_k": "k",
        "reg_weight": "reg",
        "cl_loss": "contrast_weight",
    },
}
STALE = ("mm_adj_*.pt", "image_adj_*.pt", "text_adj_*.pt", "user_graph_dict.npy")
MODALITIES = ("image", "text")


def load_state(
    name: str, state: Mapping[str, Tensor] | str | PathLike[str], graph: Graph, settings: Mapping[str, Any]
) -> nn.Module:
    """Build one of our models with the weights of a model of MMRec.

    Args:
        name: ``bpr lightgcn vbpr freedom mgcn bm3``.
        state: its ``state_dict()``, or the file that holds it, which is read without running its code.
        graph: the interactions and features that it was trained on.
        settings: values of MMRec's config for the model's words in :data:`SETTINGS`; others are not looked at.

    Returns:
        The model in eval mode, whose scores on the graph are MMRec's.

    Raises:
        InputError: an unknown name, a setting that is missing, weights of another model or another data set, or a graph
            without interactions.

    Example:
        >>> graph = Graph(torch.tensor([[0, 1], [0, 2]]), (2, 3), bipartite=True)
        >>> state = {"user_embedding.weight": torch.ones(2, 4), "item_embedding.weight": torch.ones(3, 4)}
        >>> load_state("bpr", state, graph, {"reg_weight": 0.01})(graph)[1].shape
        torch.Size([3, 4])
    """
    if name not in KEYS:
        raise unknown("model of MMRec", name, tuple(KEYS))
    if not graph.num_edges:
        raise InputError("the graph has no interaction (got an empty one); load the data that the model was trained on")
    if missing := [word for word in SETTINGS[name] if word not in settings]:
        raise InputError(f"settings must hold {', '.join(missing)} as in the config of MMRec's run; add them")
    found = load_torch(state) if isinstance(state, str | PathLike) else state
    if not isinstance(found, Mapping) or not all(isinstance(value, Tensor) for value in found.values()):
        raise InputError("state must be the state_dict() of a model of MMRec, names to tensors; save that alone")
    given = {ours: settings[word] for word, ours in SETTINGS[name].items()}
    users = found.get(KEYS[name]["user_embedding"])
    if users is None or users.dim() != 2:
        raise InputError(f"the weights are not those of MMRec's {name} (got {', '.join(sorted(found)[:5])}, ...)")
    model = build(name, graph, dim=users.shape[1] // (2 if name == "vbpr" else 1), **given)
    own, names = model.state_dict(), _pairs(name, model.state_dict())
    if wrong := sorted(set(names.values()) ^ set(found)):
        raise InputError(f"the weights are not those of MMRec's {name} on this data: {', '.join(wrong)} differ")
    for key, theirs in names.items():
        if own[key].shape != found[theirs].shape:
            raise InputError(
                f"the weights were trained on another data set: {theirs} must have shape {list(own[key].shape)} "
                f"(got {list(found[theirs].shape)}); give the graph of the run"
            )
    values = {key: found[theirs].float() for key, theirs in names.items()}
    for modality, key in _shifts(values):
        values[key] = values[key] - graph.features[modality].cpu().float()
    model.load_state_dict(values)
    return model.eval()


def state_of(model: nn.Module, graph: Graph) -> dict[str, Tensor]:
    """Return the weights of one of our models as MMRec's class of that name loads them.

    Args:
        model: one of :data:`recsys.models.MODELS`.
        graph: the context of the model; its features go into the trained tables.

    Raises:
        InputError: another kind of model.

    Example:
        >>> from recsys.models.bpr import BPR
        >>> graph = Graph(torch.tensor([[0, 1], [0, 2]]), (2, 3), bipartite=True)
        >>> sorted(state_of(BPR(2, 3), graph))
        ['item_embedding.weight', 'user_embedding.weight']
    """
    name = type(model).__name__.lower()
    if name not in KEYS or type(model).__module__ != MODELS[name].split(":")[0]:
        raise InputError(f"expected one of our models, {' '.join(KEYS)} (got {type(model).__name__}); take .model")
    values = {key: value.detach().cpu().clone() for key, value in model.state_dict().items()}
    for modality, key in _shifts(values):
        values[key] += graph.features[modality].cpu().to(values[key].dtype)
    return {theirs: values[key] for key, theirs in _pairs(name, values).items()}


def write_retained(
    split: ForgetSplit[Graph], test: Graph, folder: str | PathLike[str], vocabulary: Vocabulary | None = None
) -> Path:
    """Write what a request retains as a data set of MMRec whose ids and numbers of users and items are unchanged.

    Args:
        split: the request.
        test: the test part; rows of removed users and items are left out.
        folder: new or empty; its name is the data set's.
        vocabulary: raw ids for the mappings; None writes the row numbers.

    Returns:
        The folder.

    Raises:
        InputError: as in :func:`recsys.writers.write_mmrec`.
    """
    retain, path = split.retain, Path(folder)
    features = {modality: _filled(values) for modality, values in retain.features.items()}
    parts = Splits(replace(retain, features=features), split.held_out, remaining(test, retain))
    return write_mmrec(parts, path, path.name, vocabulary=vocabulary)


def stale_graphs(folder: str | PathLike[str]) -> list[Path]:
    """List the files of a data set's folder in which MMRec keeps graphs of features and users: delete them.

    Their names depend on neither the data nor the features, so MMRec takes them after a deletion as before it.

    Args:
        folder: of MMRec's data set.

    Raises:
        InputError: there is no such folder.
    """
    base = Path(folder)
    if not base.is_dir():
        raise InputError(f"there is no folder {str(base)!r}; give the folder of a data set of MMRec")
    return sorted(path for pattern in STALE for path in base.glob(pattern))


def _pairs(name: str, state: Mapping[str, Any]) -> dict[str, str]:
    """Our names of weights -> MMRec's, of those in a state of ours."""
    found: dict[str, str] = {}
    for ours, theirs in KEYS[name].items():
        for modality in MODALITIES if "{}" in ours else ("",):
            own, other = ours.format(modality), theirs.format(modality)
            tails = [key.removeprefix(own) for key in state if key == own or key.startswith(f"{own}.")]
            found |= {own + tail: other + tail for tail in tails}
    return found


def _shifts(state: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(modality, name) of the trained feature tables, which our models hold as shifts from the raw features."""
    for modality in MODALITIES:
        if (key := f"modalities.{modality}.shift") in state:
            yield modality, key


def _filled(values: Tensor) -> Tensor:
    """Features whose zero rows are the mean of the others."""
    empty = ~(values != 0).any(1)
    return torch.where(empty[:, None], values[~empty].mean(0), values) if bool(empty.any()) else values
