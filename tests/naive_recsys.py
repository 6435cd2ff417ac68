"""Slow, obvious oracles of the reference recommenders in plain numpy, written from the papers' equations.

Tables are float64 arrays; a dropout mask is an array of 0 and 1 / (1 - p); a linear map is a pair (weight [out, in],
bias [out]). ``triples`` are lists of (user, positive, negative).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Linear = tuple[Array, Array]
Triples = list[tuple[int, int, int]]


def sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


def apply(linear: Linear, x: Array) -> Array:
    return np.asarray(x @ linear[0].T + linear[1])


def cosine(a: Array, b: Array) -> float:
    lengths = np.linalg.norm(a) * np.linalg.norm(b)
    return float(a @ b / lengths) if lengths else 0.0


def adjacency(edges: list[tuple[int, int]], num_users: int, num_items: int) -> Array:
    """[U + I, U + I] D^-1/2 A D^-1/2."""
    a = np.zeros((num_users + num_items,) * 2)
    for u, i in edges:
        a[u, num_users + i] = a[num_users + i, u] = 1
    d = a.sum(1)
    scale = np.where(d > 0, 1 / np.sqrt(np.where(d > 0, d, 1)), 0)
    return np.asarray(scale[:, None] * a * scale[None])


def knn(features: Array, k: int, weighted: bool) -> Array:
    """[I, I] item graph of the k nearest by cosine, the item among them; items without features stand alone."""
    present = [i for i in range(len(features)) if np.abs(features[i]).sum()]
    s = np.zeros((len(features),) * 2)
    for i in present:
        near = sorted(present, key=lambda j: -cosine(features[i], features[j]))[:k]
        for j in near:
            s[i, j] = cosine(features[i], features[j]) if weighted else 1
    d = s.sum(1)
    scale = np.where(d > 0, 1 / np.sqrt(np.where(d > 0, d, 1)), 0)
    return np.asarray(scale[:, None] * s * scale[None])


def lightgcn(a: Array, users: Array, items: Array, layers: int) -> tuple[Array, Array]:
    x = np.concatenate([users, items])
    z = sum(np.linalg.matrix_power(a, layer) @ x for layer in range(layers + 1)) / (layers + 1)
    return z[: len(users)], z[len(users) :]


def bpr(users: Array, items: Array, triples: Triples) -> float:
    """-mean log sigmoid(y_up - y_un)."""
    return float(np.mean([-np.log(sigmoid(users[u] @ items[p] - users[u] @ items[n])) for u, p, n in triples]))


def embedding_norm(users: Array, items: Array, triples: Triples) -> float:
    """Un-squared Frobenius norms of the three batch matrices over the rows of the last."""
    u, p, n = (list(column) for column in zip(*triples, strict=True))
    return float(sum(np.sqrt((part**2).sum()) for part in (users[u], items[p], items[n])) / len(triples))


def vbpr_items(items: Array, linear: Linear, text: Array, image: Array) -> Array:
    """[e_i ; W [t_i ; v_i] + b]."""
    return np.concatenate([items, apply(linear, np.concatenate([text, image], axis=1))], axis=1)


def freedom(
    a: Array, s: Array, users: Array, items: Array, contents: list[Array], triples: Triples, weight: float
) -> tuple[Array, Array, float]:
    """Users, items and loss; ``a`` is the drawn or the whole adjacency, ``s`` the mixed item graph."""
    u, i = lightgcn(a, users, items, 2)
    i = i + s @ items
    return u, i, bpr(u, i, triples) + weight * sum(bpr(u, content, triples) for content in contents)


def bm3(
    a: Array,
    users: Array,
    items: Array,
    contents: list[Array],
    predictor: Linear,
    pairs: list[tuple[int, int]],
    masks: list[Array],
    layers: int,
    reg: float,
    modal_weight: float,
) -> tuple[Array, Array, float]:
    """Scores' factors and loss; ``masks`` are the dropout masks of the users, the items and each modality."""
    u, i = lightgcn(a, users, items, layers)
    i = i + items
    pu, pi = apply(predictor, u), apply(predictor, i)
    u_target, i_target = u * masks[0], i * masks[1]
    total = np.mean([1 - cosine(pu[x], i_target[y]) for x, y in pairs])
    total += np.mean([1 - cosine(pi[y], u_target[x]) for x, y in pairs])
    for f, mask in zip(contents, masks[2:], strict=True):
        pf, f_target = apply(predictor, f), f * mask
        total += modal_weight * np.mean([1 - cosine(pf[y], i_target[y]) for _, y in pairs])
        total += modal_weight * np.mean([1 - cosine(pf[y], f_target[y]) for _, y in pairs])
    return pu, pi, float(total + reg * (np.sqrt((u**2).sum()) + np.sqrt((i**2).sum())) / len(items))


def mgcn_views(
    a: Array,
    graphs: list[Array],
    users: Array,
    items: Array,
    contents: list[Array],
    gates: list[Linear],
    query: tuple[Linear, Array],
    preferences: list[Linear],
) -> tuple[Array, Array]:
    """C and side, users above items; ``query`` is ((W1, b1), w2)."""
    num_users = len(users)
    r = a[:num_users, num_users:]
    c = np.concatenate(lightgcn(a, users, items, 2))
    views = []
    for s, content, gate in zip(graphs, contents, gates, strict=True):
        x = s @ (items * sigmoid(apply(gate, content)))
        views.append(np.concatenate([r @ x, x]))
    scores = np.stack([np.tanh(apply(query[0], v)) @ query[1].ravel() for v in views])
    attention = np.exp(scores) / np.exp(scores).sum(0)
    common = sum(w[:, None] * v for w, v in zip(attention, views, strict=True))
    side = common + sum(sigmoid(apply(p, c)) * (v - common) for p, v in zip(preferences, views, strict=True))
    return c, np.asarray(side / (1 + len(views)))


def info_nce(one: Array, other: Array, ids: list[int], temperature: float) -> float:
    """Mean over the batch, repetitions included, of -log(e^(own cosine) / sum of e^(cosines with the batch))."""
    losses = []
    for i in ids:
        scores = np.array([np.exp(cosine(one[i], other[j]) / temperature) for j in ids])
        losses.append(-np.log(np.exp(cosine(one[i], other[i]) / temperature) / scores.sum()))
    return float(np.mean(losses))


def mgcn_loss(c: Array, side: Array, num_users: int, triples: Triples, reg: float, contrast_weight: float) -> float:
    z = c + side
    users, items = z[:num_users], z[num_users:]
    squares = sum((users[u] ** 2).sum() + (items[p] ** 2).sum() + (items[n] ** 2).sum() for u, p, n in triples)
    contrast = info_nce(side, c, [num_users + p for _, p, _ in triples], 0.2)
    contrast += info_nce(side, c, [u for u, _, _ in triples], 0.2)
    return float(bpr(users, items, triples) + reg * squares / 2 / len(triples) + contrast_weight * contrast)
