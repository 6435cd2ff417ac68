"""User and item embeddings of RecBole's models: their dot product is the score that the model itself ranks by.

Each function takes a model of one class with its data in place and returns (users [U, d], items [I, d]) with gradient,
in train or eval mode as the model is. Biases are two more dimensions. Where ``full_sort_predict`` puts a sigmoid on
top, the dot product is what goes into it: the ranking is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

Embeddings = tuple[Tensor, Tensor]
CHUNK = 4096  # rows of the dense interaction matrix that exist at a time


def tables(model: Any) -> Embeddings:
    """BPR, LINE: the two tables."""
    return model.user_embedding.weight, model.item_embedding.weight


def propagated(model: Any) -> Embeddings:
    """LightGCN, NGCF, DGCF, SpectralCF, NCL: the tables after message passing."""
    users, items = model.forward()[:2]
    return users, items


def sgl(model: Any) -> Embeddings:
    """SGL: message passing on the whole graph, not on a view."""
    users, items = model.forward(model.train_graph)
    return users, items


def gcmc(model: Any) -> Embeddings:
    """GCMC: the logit of "interacts" is bilinear, u^T (sum_k c_k W_k) i; the form goes to the user's side."""
    users, items = model.GcEncoder(model.user_features, model.item_features)
    decoder = model.BiDecoder
    form = sum(c * w for c, w in zip(decoder.dense_layer.weight[1], decoder.weights, strict=True))
    return users @ form, items


def enmf(model: Any) -> Embeddings:
    """ENMF: a weighted dot product; the weights go to the user's side."""
    return model.user_embedding.weight * model.H_i.weight, model.item_embedding.weight


def simplex(model: Any) -> Embeddings:
    """SimpleX: the cosine between an item and the user mixed with the user's history."""
    users = []
    for ids in _chunks(model.n_users, model.history_item_id):
        history = model.item_emb(model.history_item_id[ids])
        mixed = model.get_UI_aggregation(model.user_emb(ids), history, model.history_item_len[ids])
        users.append(F.normalize(model.dropout(mixed), dim=1))
    return torch.cat(users), F.normalize(model.item_emb.weight, dim=1)


def fism(model: Any) -> Embeddings:
    """FISM: the user is the scaled sum of the history's source rows; a user without history has a bias alone."""
    users = []
    for ids in _chunks(model.n_users, model.history_item_matrix):
        total = (model.item_src_embedding(model.history_item_matrix[ids]) * model.mask_mat[ids].unsqueeze(2)).sum(1)
        users.append(total * model.history_lens[ids].clamp(min=1).float().pow(-model.alpha).unsqueeze(1))
    sums, targets = torch.cat(users), model.item_dst_embedding.weight
    return (
        torch.cat([sums, model.user_bias[:, None], torch.ones_like(sums[:, :1])], dim=1),
        torch.cat([targets, torch.ones_like(targets[:, :1]), model.item_bias[:, None]], dim=1),
    )


def dmf(model: Any) -> Embeddings:
    """DMF: two towers on the rows and the columns of the interaction matrix."""
    users = [model.user_fc_layers(model.user_linear(rows)) for _, rows in _user_rows(model)]
    columns = _rows(model.n_items, model.n_users, model.history_user_id, model.history_user_value)
    items = [model.item_fc_layers(model.item_linear(rows)) for _, rows in columns]
    return torch.cat(users), torch.cat(items)


def cdae(model: Any) -> Embeddings:
    """CDAE: the hidden layer, and the rows of the output layer."""
    hidden = [model.h_act(model.h_user(ids) + model.h_item(model.dropout(rows))) for ids, rows in _user_rows(model)]
    return _with_bias(torch.cat(hidden), model.out_layer)


def multi_dae(model: Any) -> Embeddings:
    """MultiDAE: all but the decoder's last layer, and the rows of that layer."""
    hidden = []
    for _, rows in _user_rows(model):
        code = model.encoder(F.dropout(F.normalize(rows), model.drop_out, training=model.training))
        hidden.append(model.decoder[:-1](code))
    return _with_bias(torch.cat(hidden), model.decoder[-1])


def multi_vae(model: Any) -> Embeddings:
    """MultiVAE: likewise, from the mean of the code in eval mode and a sample of it in train mode."""
    return _variational(model, 1.0)


def ract(model: Any) -> Embeddings:
    """RaCT: MultiVAE's actor, whose input is scaled by the share that dropout keeps, in eval mode too."""
    return _variational(model, 1.0 - model.drop_out)


def rec_vae(model: Any) -> Embeddings:
    """RecVAE: the code, and the rows of its linear decoder."""
    codes = []
    for _, rows in _user_rows(model):
        mean, log_variance = model.encoder(rows, dropout_prob=model.dropout_prob)
        codes.append(model.reparameterize(mean, log_variance))
    return _with_bias(torch.cat(codes), model.decoder)


def _variational(model: Any, scale: float) -> Embeddings:
    hidden = []
    half = int(model.lat_dim / 2)
    for _, rows in _user_rows(model):
        given = F.dropout(F.normalize(rows), model.drop_out, training=model.training) * scale
        code = model.encoder(given)
        hidden.append(model.decoder[:-1](model.reparameterize(code[:, :half], code[:, half:])))
    return _with_bias(torch.cat(hidden), model.decoder[-1])


def _with_bias(users: Tensor, layer: Any) -> Embeddings:
    """[h, 1] and [W, b]: a linear layer as item embeddings."""
    ones = torch.ones_like(users[:, :1])
    return torch.cat([users, ones], dim=1), torch.cat([layer.weight, layer.bias[:, None]], dim=1)


def _user_rows(model: Any) -> Iterator[tuple[Tensor, Tensor]]:
    return _rows(model.n_users, model.n_items, model.history_item_id, model.history_item_value)


def _rows(count: int, width: int, ids: Tensor, values: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield (row ids, dense rows [n, width]) of the matrix that RecBole keeps as padded lists [count, longest]."""
    for rows in _chunks(count, ids):
        dense = torch.zeros(len(rows), width, device=ids.device)
        where = torch.arange(len(rows), device=ids.device).repeat_interleave(ids.shape[1])
        dense.index_put_((where, ids[rows].flatten()), values[rows].flatten())
        yield rows, dense


def _chunks(count: int, like: Tensor) -> Iterator[Tensor]:
    yield from torch.arange(count, device=like.device).split(CHUNK)


Embed = Callable[[Any], Embeddings]
