"""What a recommender data set is: its interactions as plain arrays, and the facts of each published one.

The counts are checked whenever a data set is read. Nothing is fetched: most of these may not be passed on, so the files
are the user's own, and ``source`` says where they come from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Vocabulary:
    """The names behind the rows.

    Args:
        users: raw user ids, in row order.
        items: raw item ids, in row order.
        titles: of the items, or None where they are not known.
        genres: of the items, or None where they are not known.
    """

    users: tuple[str, ...]
    items: tuple[str, ...]
    titles: tuple[str, ...] | None = None
    genres: tuple[tuple[str, ...], ...] | None = None


@dataclass(frozen=True, eq=False)
class Interactions:
    """Interactions as the files list them.

    Args:
        user: [E] int64 user rows.
        item: [E] int64 item rows.
        vocabulary: raw ids, whose numbers are the numbers of users and items.
        part: [E] int64, 0 train, 1 valid, 2 test; None where the files give no split.
        time: [E] float64, or None.
        rating: [E] float32, or None.
        features: modality -> [num_items, F] float32.
    """

    user: Array
    item: Array
    vocabulary: Vocabulary
    part: Array | None = None
    time: Array | None = None
    rating: Array | None = None
    features: Mapping[str, Array] = field(default_factory=dict)

    @property
    def size(self) -> tuple[int, int]:
        """(number of users, number of items), those without an interaction included."""
        return len(self.vocabulary.users), len(self.vocabulary.items)


@dataclass(frozen=True)
class Card:
    """The facts of one recommender data set.

    Args:
        title: as papers write it.
        source: where its files come from.
        licence: as far as it is stated.
        users: number of users.
        items: number of items.
        interactions: number of interactions, over all parts.
        parts: interactions in (train, valid, test) where the source gives a split; a source without validation has 0
            there, and some of its train part is held out instead.
        modalities: modality -> columns that the files must bring; others beside them are read as well.
        folder: below the data root.
        layout: how its files are read: ``mmrec``, ``atomic``, ``lightgcn`` or ``cure4rec``.
        files: the files that must be there, below ``folder``.
        movies: MovieLens ``movies.csv`` with titles and genres, below ``folder``; empty where there is none.
        package: installed package that ships the files, for whoever has none in a folder; empty where none does.
        note: what a reader of figures should know.
    """

    title: str
    source: str
    licence: str
    users: int
    items: int
    interactions: int
    folder: str
    layout: str
    files: tuple[str, ...]
    parts: tuple[int, int, int] | None = None
    modalities: Mapping[str, int] = field(default_factory=dict)
    movies: str = ""
    package: str = ""
    note: str = ""


@dataclass(frozen=True)
class ForgetSet:
    """A published list of users to forget.

    Args:
        file: below the data set's folder.
        users: number of users.
        rows: their ratings in all parts, as the file lists them.
        train_rows: those of them that are in the published train part.
    """

    file: str
    users: int
    rows: int
    train_rows: int


def _amazon(title: str, counts: tuple[int, int, int], parts: tuple[int, int, int]) -> Card:
    name = title.lower()
    return Card(
        f"Amazon {title}",
        "Amazon reviews 2014 (McAuley et al., SIGIR 2015), 5-core, split and features of MMRec (Zhou, 2023); MMRec's"
        " README links the download",
        "none stated",
        *counts,
        name,
        "mmrec",
        (f"{name}.inter", "image_feat.npy", "text_feat.npy"),
        parts,
        {"image": 4096, "text": 384},
    )


DATASETS: Mapping[str, Card] = {
    "ml100k": Card(
        "MovieLens 100K",
        "inside the RecBole wheel (Harper and Konstan, 2015)",
        "GroupLens: research use, no redistribution",
        943,
        1_682,
        100_000,
        "ml-100k",
        "atomic",
        ("ml-100k.inter", "ml-100k.item"),
        package="recbole",
        note="every rating is a positive; text is made of title words, genres and decade when it is read",
    ),
    "ml_posters": Card(
        "MovieLens latest-small with posters",
        "MovieLens ml-latest-small (Harper and Konstan, 2015), movies with a poster in antonsteenvoorden/ml1m-images",
        "GroupLens: research use, passing on under the same terms, no commercial use without permission",
        597,
        1_846,
        56_145,
        "ml_posters/mmrec",
        "mmrec",
        ("mlls_posters.inter", "image_feat.npy", "text_feat.npy"),
        (44_896, 5_624, 5_625),
        {"image": 128, "text": 128},
        movies="../raw/movies.csv",
        note="classical image descriptors: for testing code, not for claims about multi-modal accuracy",
    ),
    "gowalla": Card(
        "Gowalla",
        "gusye1234/LightGCN-PyTorch (Wang et al., SIGIR 2019; He et al., SIGIR 2020)",
        "none stated; check-ins from SNAP",
        29_858,
        40_981,
        1_027_370,
        "gowalla",
        "lightgcn",
        ("train.txt", "test.txt"),
        (810_128, 0, 217_242),
        note="no validation part: 5 % of each user's train interactions are held out by seed",
    ),
    "cure4rec": Card(
        "MovieLens 100K of CURE4Rec",
        "xiye7lai/CURE4Rec (Chen et al., NeurIPS 2024)",
        "none in force; MovieLens terms apply",
        943,
        1_349,
        99_287,
        "cure4rec/ml-100k",
        "cure4rec",
        ("train.csv", "test.csv", "ratings.csv"),
        (79_045, 0, 20_242),
        note="no validation part: 5 % of each user's train interactions are held out by seed; brings forget sets",
    ),
    "baby": _amazon("Baby", (19_445, 7_050, 160_792), (118_551, 20_559, 21_682)),
    "sports": _amazon("Sports", (35_598, 18_357, 296_337), (218_409, 37_899, 40_029)),
    "clothing": _amazon("Clothing", (39_387, 23_033, 278_677), (197_338, 40_150, 41_189)),
    "tiktok": Card(
        "TikTok",
        "features of HKUDS/DiffMM, split of MMHCL, in MMRec's layout",
        "none stated; research use",
        9_308,
        6_710,
        68_722,
        "tiktok",
        "mmrec",
        ("tiktok.inter", "image_feat.npy", "audio_feat.npy"),
        modalities={"image": 128, "audio": 128},
        note="other papers use other cuts of it, with other counts",
    ),
}

FORGET_SETS: Mapping[str, ForgetSet] = {
    "core-5": ForgetSet("unlearn_set/core_data_5%.csv", 47, 18_565, 14_831),
    "core-20": ForgetSet("unlearn_set/core_data_20%.csv", 188, 50_831, 40_583),
    "edge-5": ForgetSet("unlearn_set/edge_data_5%.csv", 47, 951, 750),
    "edge-20": ForgetSet("unlearn_set/edge_data_20%.csv", 188, 4_398, 3_443),
}
