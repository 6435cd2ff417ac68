"""Which of RecBole's general recommenders can be unlearned here, and why not the others.

A model is supported when its scores are the dot product of a user and an item embedding (biases are two more
dimensions) up to a monotone function, and its weights were trained. ``python -m recsys.recbole.models`` prints the
list.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from graphforget.errors import InputError, missing_extra, unknown
from recsys.recbole import embeddings
from recsys.recbole.embeddings import Embed

Row = tuple[Literal["user", "item", "both"], int, str]


@dataclass(frozen=True)
class Kind:
    """How one class of RecBole is run.

    Args:
        embed: bound model -> (users [U, d], items [I, d]).
        asks: what its loss is given: (user, positive, negative), (user, item, label) or users alone.
        data: attributes that hold the interactions or are computed from them; "a.b" is an attribute of a submodule.
        epoch: attributes that are drawn or computed anew before each epoch.
        monotone: what its own scores put on top of the dot product.
        rows: parameters with a row for each user or item: (whose, axis, name); "-1" is the last layer of a stack.
    """

    embed: Embed
    asks: Literal["triples", "labels", "users"]
    data: tuple[str, ...] = ()
    epoch: tuple[str, ...] = ()
    monotone: Literal["", "sigmoid"] = ""
    rows: tuple[Row, ...] = (("user", 0, "user_embedding.weight"), ("item", 0, "item_embedding.weight"))


_HISTORY = ("history_item_id", "history_item_value")
_ADJACENCY = ("interaction_matrix", "norm_adj_matrix")


def _items(first: str, last: str, *more: Row) -> tuple[Row, ...]:
    """The item rows of an auto-encoder: the columns of its first layer, the rows of its last."""
    return (("item", 1, f"{first}.weight"), ("item", 0, f"{last}.weight"), ("item", 0, f"{last}.bias"), *more)


KINDS: dict[str, Kind] = {
    "BPR": Kind(embeddings.tables, "triples"),
    "CDAE": Kind(
        embeddings.cdae,
        "users",
        _HISTORY,
        monotone="sigmoid",
        rows=_items("h_item", "out_layer", ("user", 0, "h_user.weight")),
    ),
    "DGCF": Kind(
        embeddings.propagated,
        "triples",
        (
            *("interaction_matrix", "all_h_list", "all_t_list", "edge2head", "head2edge", "tail2edge"),
            *("edge2head_mat", "head2edge_mat", "tail2edge_mat", "num_edge", "cor_batch_size"),
        ),
    ),
    "DMF": Kind(
        embeddings.dmf,
        "labels",
        (*_HISTORY, "history_user_id", "history_user_value", "interaction_matrix", "max_rating"),
        monotone="sigmoid",
        rows=(("item", 1, "user_linear.weight"), ("user", 1, "item_linear.weight")),
    ),
    "ENMF": Kind(embeddings.enmf, "users", ("history_item_matrix", "history_lens")),
    "FISM": Kind(
        embeddings.fism,
        "labels",
        ("history_item_matrix", "history_lens", "mask_mat"),
        rows=(
            ("item", 0, "item_src_embedding.weight"),
            ("item", 0, "item_dst_embedding.weight"),
            ("item", 0, "item_bias"),
            ("user", 0, "user_bias"),
        ),
    ),
    "GCMC": Kind(
        embeddings.gcmc,
        "triples",
        ("interaction_matrix", "Graph", "support", "GcEncoder.support"),
        rows=(("both", 0, "GcEncoder.weights_u.0"),),
    ),
    "LINE": Kind(
        embeddings.tables,
        "triples",
        ("interaction_feat", "used_ids"),
        rows=(
            *(("user", 0, "user_embedding.weight"), ("item", 0, "item_embedding.weight")),
            *(("user", 0, "user_context_embedding.weight"), ("item", 0, "item_context_embedding.weight")),
        ),
    ),
    "LightGCN": Kind(embeddings.propagated, "triples", _ADJACENCY),
    "MultiDAE": Kind(embeddings.multi_dae, "users", _HISTORY, rows=_items("encoder.mlp_layers.1", "decoder.-1")),
    "MultiVAE": Kind(embeddings.multi_vae, "users", _HISTORY, rows=_items("encoder.0", "decoder.-1")),
    "NCL": Kind(
        embeddings.propagated,
        "triples",
        ("interaction_matrix", "norm_adj_mat", "diag"),
        ("user_centroids", "user_2cluster", "item_centroids", "item_2cluster"),
    ),
    "NGCF": Kind(embeddings.propagated, "triples", _ADJACENCY),
    "RaCT": Kind(
        embeddings.ract,
        "users",
        (
            *(*_HISTORY, "input_matrix", "predict_matrix", "true_matrix"),
            *("number_of_seen_items", "number_of_unseen_items"),
        ),
        rows=_items("encoder.0", "decoder.-1"),
    ),
    "RecVAE": Kind(
        embeddings.rec_vae,
        "users",
        _HISTORY,
        rows=_items("encoder.fc1", "decoder", ("item", 1, "prior.encoder_old.fc1.weight")),
    ),
    "SGL": Kind(embeddings.sgl, "triples", ("_user", "_item", "train_graph"), ("sub_graph1", "sub_graph2")),
    "SimpleX": Kind(
        embeddings.simplex,
        "triples",
        ("history_item_id", "history_item_len", "history_len"),
        rows=(("user", 0, "user_emb.weight"), ("item", 0, "item_emb.weight")),
    ),
    "SpectralCF": Kind(embeddings.propagated, "triples", ("interaction_matrix", "A_hat")),
}

_CLOSED = "nothing is trained: it is computed from the data when it is built, so build it anew on filtered() data"
_NETWORK = "the score is a network of user and item together, not a dot product of two embeddings"
_WALK = "the scores come from a denoising walk over the user's whole row; no item has an embedding"

EXCLUDED: dict[str, str] = {
    "ADMMSLIM": _CLOSED,
    "AsymKNN": _CLOSED,
    "ConvNCF": _NETWORK,
    "DiffRec": _WALK,
    "EASE": _CLOSED,
    "ItemKNN": _CLOSED,
    "LDiffRec": _WALK,
    "MacridVAE": "the score is a sum over latent groups of exp(dot product), not one dot product",
    "NAIS": "the user's side is an attention that differs for every item asked about, so no user has one embedding",
    "NCEPLRec": _CLOSED,
    "NNCF": _NETWORK,
    "NeuMF": _NETWORK,
    "Pop": _CLOSED,
    "Random": "nothing is trained, and nothing is remembered",
    "SLIMElastic": _CLOSED,
}


def supported() -> dict[str, str]:
    """Return the supported classes, each with a note: what its own scores put on the dot product, or nothing.

    Example:
        >>> sorted(supported())[:3]
        ['BPR', 'CDAE', 'DGCF']
    """
    return {name: f"scores through a {kind.monotone}" if kind.monotone else "" for name, kind in KINDS.items()}


def excluded() -> dict[str, str]:
    """Return every other class of ``recbole.model.general_recommender`` with the reason why it is not supported.

    Raises:
        MissingExtra: RecBole is not installed.

    Example:
        >>> excluded()["EASE"]
        'nothing is trained: it is computed from the data when it is built, so build it anew on filtered() data'
    """
    strange = "this version of the plug-in does not know it"
    return {name: EXCLUDED.get(name, strange) for name in general_recommenders() if name not in KINDS}


def general_recommenders() -> dict[str, Any]:
    """Return {name: class} of everything in ``recbole.model.general_recommender``, sorted.

    Raises:
        MissingExtra: RecBole is not installed.
    """
    try:
        from recbole.model import general_recommender
        from recbole.model.abstract_recommender import GeneralRecommender
    except ModuleNotFoundError as error:
        raise missing_extra(error.name or "recbole", "recbole") from error
    found = {
        name: value
        for name, value in vars(general_recommender).items()
        if isinstance(value, type) and issubclass(value, GeneralRecommender)
    }
    return dict(sorted(found.items()))


def name_of(model_class: type) -> str:
    """Return under which name of ``KINDS`` a class of RecBole (or one derived from it) is run.

    Raises:
        InputError: it is not supported; the message says why.
    """
    names = [each.__name__ for each in model_class.__mro__]
    for name in names:
        if name in KINDS:
            return name
        if name in EXCLUDED:
            raise InputError(f"{name} cannot be unlearned here (got {names[0]}): {EXCLUDED[name]}")
    raise unknown("RecBole model", names[0], KINDS)


def main() -> None:
    """Print the table of supported and excluded models."""
    from rich.console import Console
    from rich.table import Table

    from recsys.recbole.own import NAMES

    table = Table("model", "supported", "note or reason", title="General recommenders of RecBole")
    for name, note in supported().items():
        table.add_row(name, "yes", note)
    for name, key in NAMES.items():
        table.add_row(name, "yes", f'ours: recbole.model_class("{key}")')
    for name, reason in excluded().items():
        table.add_row(name, "no", reason)
    Console().print(table)


if __name__ == "__main__":
    main()
