"""Load recommender data sets by name, checked against their published counts, and split them.

Files are used in place: the folder given, else the environment variable GRAPHFORGET_DATA, then the folder of downloads,
GRAPHFORGET_CACHE or ./data. Nothing is fetched. What each data set is stands in :data:`DATASETS`.
"""

from __future__ import annotations

import importlib.util
import re
from dataclasses import replace
from os import PathLike
from pathlib import Path

import numpy as np
import torch
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from torch import Tensor

from graphforget import folders
from graphforget.errors import InputError, missing_extra, unknown
from graphforget.graph import Graph
from graphforget.splits import Splits
from recsys.cards import DATASETS, FORGET_SETS, Array, Card, Interactions, Vocabulary
from recsys.readers import PARTS, read_atomic, read_cure4rec, read_lightgcn, read_mmrec, read_movies, read_users

__all__ = [
    "DATASETS",
    "Card",
    "Interactions",
    "Vocabulary",
    "forget_users",
    "load_splits",
    "load_vocabulary",
    "text_features",
    "to_splits",
]

Root = str | PathLike[str] | None

READERS = {"mmrec": read_mmrec, "atomic": read_atomic, "lightgcn": read_lightgcn, "cure4rec": read_cure4rec}
TEXT_COLUMNS = 64  # our default


def load_splits(name: str = "ml100k", root: Root = None, *, seed: int = 0) -> Splits[Graph]:
    """Load a data set as bipartite graphs, in its own split where the source gives one.

    ``gowalla`` and ``cure4rec`` have no validation part: 5 % of each user's train interactions are held out.
    ``ml100k`` has no split at all: per user 10 % validation and 10 % test at random; see :func:`to_splits`.

    Args:
        name: a key of :data:`DATASETS`.
        root: data folder; else the environment variable GRAPHFORGET_DATA, else the cache.
        seed: of what is drawn; a data set with all three parts given does not depend on it.

    Returns:
        Splits: users are rows, items columns; ``features`` maps a modality to [num_items, F] float32, and
        ``edge_attrs`` holds ``time`` [E] float64 and ``rating`` [E] float32 where they are known.

    Raises:
        InputError: unknown name, files missing or broken, or counts other than published.
        MissingExtra: ``ml100k`` is in no folder and RecBole, whose wheel holds it, is not installed.

    Example:
        >>> load_splits("ml100")
        Traceback (most recent call last):
        ...
        graphforget.errors.UnknownName: unknown data set (got 'ml100'); did you mean 'ml100k'? known: ml100k, ...
    """
    data = _read(_card(name), root)[0]
    if name == "ml100k":
        data = replace(data, features={"text": text_features(data.vocabulary)})
    return to_splits(data, seed=seed)


def load_vocabulary(name: str = "ml100k", root: Root = None) -> Vocabulary:
    """Load the raw user and item ids in row order, and the titles and genres where they are known.

    Args:
        name: a key of :data:`DATASETS`.
        root: as in :func:`load_splits`.

    Raises:
        InputError: as in :func:`load_splits`.

    Example:
        >>> load_vocabulary("gowala")
        Traceback (most recent call last):
        ...
        graphforget.errors.UnknownName: unknown data set (got 'gowala'); did you mean 'gowalla'? known: ml100k, ...
    """
    card = _card(name)
    data, folder = _read(card, root)
    movies = folder / card.movies
    if not card.movies or not movies.is_file():
        return data.vocabulary
    titles, genres = read_movies(movies, data.vocabulary.items)
    return replace(data.vocabulary, titles=titles, genres=genres)


def forget_users(name: str = "cure4rec", which: str = "core-5", root: Root = None) -> Tensor:
    """Load a published list of users to forget.

    The source lists all ratings of these users, test rows included. Only those in train can be forgotten: 14,831 of
    core-5, 40,583 of core-20, 750 of edge-5 and 3,443 of edge-20, less the few that validation holds out.

    Args:
        name: ``cure4rec``, the only data set with such lists.
        which: ``core`` (the most active users) or ``edge`` (the least active), 5 or 20 % of them: ``core-5``.
        root: as in :func:`load_splits`.

    Returns:
        [n] user rows, ascending, each with a train interaction.

    Raises:
        InputError: unknown name or list, or as in :func:`load_splits`.

    Example:
        >>> forget_users(which="core-6")
        Traceback (most recent call last):
        ...
        graphforget.errors.UnknownName: unknown forget set (got 'core-6'); did you mean 'core-5'? known: core-5, ...
    """
    if name != "cure4rec":
        raise unknown("data set with forget sets", name, ["cure4rec"])
    if which not in FORGET_SETS:
        raise unknown("forget set", which, FORGET_SETS)
    card, listed = DATASETS[name], FORGET_SETS[which]
    data, folder = _read(card, root)
    rows = read_users(folder / listed.file, data.size[0])
    trained = data.user[np.isin(data.user, rows) & (data.part == 0)]
    users = np.unique(trained)
    found = (len(users), len(rows), len(trained))
    if found != (listed.users, listed.rows, listed.train_rows):
        expected = f"{listed.users} users, {listed.rows:,} rows and {listed.train_rows:,} of them in train"
        raise InputError(f"{folder / listed.file}: expected {expected} (got {found}); get the file again")
    return torch.from_numpy(users)


def to_splits(data: Interactions, *, seed: int = 0) -> Splits[Graph]:
    """Make train, validation and test graphs of interactions that a reader returned.

    Given parts are kept. Where there is no validation part, max(1, 5 %) of the train interactions of each user who has
    two or more are held out. Where there is no split, max(1, 10 %) of each user's interactions are validation and as
    many are test. A user or an item that this would leave without a train interaction gets one back.

    Args:
        data: of :mod:`recsys.readers`.
        seed: of the draws.

    Raises:
        InputError: no interaction at all, or the given parts have no train or no test part.

    Example:
        >>> names = Vocabulary(("ann", "bob"), ("x", "y", "z"))
        >>> data = Interactions(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 2]), names, np.array([0, 1, 0, 2]))
        >>> [part.edge_index.T.tolist() for part in to_splits(data)]
        [[[0, 0], [1, 1]], [[0, 1]], [[1, 2]]]
    """
    if not len(data.user):
        raise InputError("the data hold no interaction (got a header alone); check the file")
    rng = np.random.default_rng(seed)
    if data.part is None:
        part = _held_out(data, np.zeros_like(data.user), {2: 0.1, 1: 0.1}, rng)
    else:
        counts = np.bincount(data.part, minlength=3)
        if not counts[0] or not counts[2]:
            raise InputError(f"the split needs a train and a test part (got {counts.tolist()} of {PARTS})")
        part = data.part if counts[1] else _held_out(data, data.part, {1: 0.05}, rng)
    edges = torch.from_numpy(np.stack([data.user, data.item]))
    features = {name: torch.from_numpy(values) for name, values in data.features.items()}
    known = {name: value for name, value in (("time", data.time), ("rating", data.rating)) if value is not None}
    attrs = {name: torch.from_numpy(value) for name, value in known.items()}
    whole = Graph(edges, data.size, bipartite=True, features=features, edge_attrs=attrs).validate()
    train, val, test = (whole.with_edges(torch.from_numpy(part == which)) for which in range(3))
    return Splits(train, val, test)


def text_features(vocabulary: Vocabulary, columns: int = TEXT_COLUMNS) -> Array:
    """Make item text features: TF-IDF of title words, genres and decade, reduced by an SVD, divided by the global std.

    Args:
        vocabulary: with titles and genres.
        columns: of the result.

    Returns:
        [num_items, columns] float32, the same on every call.

    Raises:
        InputError: titles or genres are not known, or more columns than different words are asked for.

    Example:
        >>> names = Vocabulary((), ("1", "2", "3"), ("Heat (1995)", "Big Heat (1953)", "Big (1988)"), ((), (), ()))
        >>> text_features(names, columns=2).shape
        (3, 2)
    """
    if vocabulary.titles is None or vocabulary.genres is None:
        raise InputError("text features need titles and genres (got a vocabulary without); pass one that has them")
    documents = [_words(*each) for each in zip(vocabulary.titles, vocabulary.genres, strict=True)]
    weights = TfidfVectorizer(analyzer=list, sublinear_tf=True).fit_transform(documents)
    if not 1 <= columns <= weights.shape[1]:
        raise InputError(f"columns must lie in [1, {weights.shape[1]}], the number of words (got {columns})")
    reduced = TruncatedSVD(columns, random_state=0).fit_transform(weights)
    return np.asarray(reduced / reduced.std(), dtype=np.float32)


def _words(title: str, genres: tuple[str, ...]) -> list[str]:
    year = re.search(r"\((\d{3})\d\)$", title)
    words = re.findall(r"[^\W_]+", title[: year.start()] if year else title)
    return (
        [word.lower() for word in words]
        + [f"genre={each}" for each in genres]
        + ([f"decade={year[1]}0"] if year else [])
    )


def _held_out(data: Interactions, part: Array, shares: dict[int, float], rng: np.random.Generator) -> Array:
    """[E] parts: of the pairs of each user in part 0, max(1, share) go to each part named; repeats stay together."""
    rows = np.flatnonzero(part == 0)
    code, group = np.unique(data.user[rows] * data.size[1] + data.item[rows], return_inverse=True)
    user, item = np.divmod(code, data.size[1])
    order = np.lexsort((rng.random(len(code)), user))  # by user, at random within one
    counts = np.bincount(user)
    rank = np.arange(len(code)) - (np.cumsum(counts) - counts)[user[order]]
    drawn, taken = np.zeros(len(code), dtype=np.int64), np.zeros(len(code))
    for which, share in shares.items():
        size = np.maximum(1, np.rint(share * counts))[user[order]]
        drawn[order[(rank >= taken) & (rank < taken + size)]] = which
        taken += size
    for ids in (item, user):  # nobody is left without a train interaction
        trained = np.isin(ids, ids[drawn == 0])
        lost = rng.permutation(order[~trained[order]])
        drawn[lost[np.unique(ids[lost], return_index=True)[1]]] = 0
    result = part.copy()
    result[rows] = drawn[group]
    return result


def _card(name: str) -> Card:
    if name not in DATASETS:
        raise unknown("data set", name, DATASETS)
    return DATASETS[name]


def _read(card: Card, root: Root) -> tuple[Interactions, Path]:
    """Return the checked interactions of a data set and the folder they were read from."""
    folder = _folder(card, root)
    data = READERS[card.layout](folder)
    found: dict[str, object] = {"users": data.size[0], "items": data.size[1], "interactions": len(data.user)}
    expected: dict[str, object] = {"users": card.users, "items": card.items, "interactions": card.interactions}
    if card.parts is not None and data.part is not None:
        found["train / valid / test"] = tuple(np.bincount(data.part, minlength=3).tolist())
        expected["train / valid / test"] = card.parts
    for name, columns in card.modalities.items():
        found[f"{name} columns"] = data.features[name].shape[1]
        expected[f"{name} columns"] = columns
    for count, value in found.items():
        if value != expected[count]:
            raise InputError(
                f"{folder} gives {card.title} {value} {count}, expected {expected[count]}; get the published files, or"
                f" read your own with recsys.readers.read_{card.layout} and recsys.data.to_splits"
            )
    return data, folder


def _folder(card: Card, root: Root) -> Path:
    """Return the folder that holds all files of a data set."""
    place = folders.holder(card.folder, card.files, root)
    if place is not None:
        return place
    if card.package:
        return _inside(card)
    places = " and ".join(str((base / card.folder).absolute()) for base in folders.bases(root))
    raise InputError(
        f"{card.title} is not on disk: {places} must hold {', '.join(card.files)}; get them ({card.source}), or point"
        f" GRAPHFORGET_DATA (or root) at the folder that holds {card.folder}"
    )


def _inside(card: Card) -> Path:
    """Return the folder of a data set inside the installed package that ships it, which is not imported."""
    spec = importlib.util.find_spec(card.package)
    if spec is None or not spec.submodule_search_locations:
        raise missing_extra(card.package, card.package)
    folder = Path(spec.submodule_search_locations[0]) / "dataset_example" / card.folder
    if not all((folder / file).is_file() for file in card.files):
        raise InputError(
            f"{folder} must hold {', '.join(card.files)}, as {card.package} 1.2.1 does; install that version"
        )
    return folder
