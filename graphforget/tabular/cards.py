"""What each table is: source, licence, counts, files: plain data, read by ``data``.

Nothing is fetched: files are the user's own, and ``source`` says where they come from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Card:
    """The facts of one table.

    Args:
        title: as papers write it.
        source: where it comes from.
        licence: as far as it is stated.
        rows: in all files together.
        columns: their names, the target last; () of a bundled table.
        categorical: those that hold categories.
        target_type: ``class`` or ``regr``.
        header: lines before the rows.
        numbered: its categories are numbers in the file.
        files: name -> SHA-256 of the copy whose counts these are.
    """

    title: str
    source: str
    licence: str
    rows: int
    columns: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    target_type: str = "class"
    header: int = 0
    numbered: bool = False
    files: Mapping[str, str] = field(default_factory=dict)


_UCI = "CC BY 4.0 by UCI's list (not checked)"
_WINE = (
    "fixed acidity", "volatile acidity", "citric acid", "residual sugar", "chlorides", "free SO2", "total SO2",
    "density", "pH", "sulphates", "alcohol", "quality",
)  # fmt: skip
_ADULT = (
    "age", "workclass", "fnlwgt", "education", "education-num", "marital-status", "occupation", "relationship", "race",
    "sex", "capital-gain", "capital-loss", "hours-per-week", "native-country", "income",
)  # fmt: skip
_ADULT_TEXT = (
    "workclass", "education", "marital-status", "occupation", "relationship", "race", "sex", "native-country", "income",
)  # fmt: skip
_GERMAN = (*(f"a{place}" for place in range(1, 21)), "credit")
_GERMAN_NUMBERS = ("a2", "a5", "a8", "a11", "a13", "a16", "a18")

DATASETS: dict[str, Card] = {
    "iris": Card("Iris", "scikit-learn's copy of UCI, no download", _UCI, 150),
    "breast_cancer": Card("Breast cancer Wisconsin", "scikit-learn's copy of UCI, no download", _UCI, 569),
    "digits": Card("Digits", "scikit-learn's copy of UCI, no download", _UCI, 1797),
    "wine": Card(
        "Wine quality, white",
        "UCI (winequality-white.csv, no header, its own row order)",
        _UCI,
        4898,
        _WINE,
        ("quality",),
        numbered=True,
        files={"winequality-white.csv": "659d419fff887f225bf977d20520bb64a64cae203e460087f809721d4430ba27"},
    ),
    "wine_red": Card(
        "Wine quality, red",
        "UCI (winequality-red.csv, no header)",
        _UCI,
        1599,
        _WINE,
        ("quality",),
        numbered=True,
        files={"winequality-red.csv": "c9614512e980f1cbd221c796daa97f00c4898c3cd1716863abac60f6cd1a522e"},
    ),
    "concrete": Card(
        "Concrete compressive strength",
        "UCI (concrete.csv, with its header)",
        _UCI,
        1030,
        ("cement", "slag", "ash", "water", "superplastic", "coarseagg", "fineagg", "age", "strength"),
        target_type="regr",
        header=1,
        files={"concrete.csv": "d7d8bd087f832935e902bcb2687667238cac3fe06799677a93ca2f46dce8db02"},
    ),
    "german": Card(
        "Statlog German credit",
        "UCI (german.csv, no header)",
        _UCI,
        1000,
        _GERMAN,
        tuple(name for name in _GERMAN if name not in _GERMAN_NUMBERS),
        files={"german.csv": "ec12a88b9fc14d74ba646ea0410cf7ff4533bec2eb61652f8ad76796bbfec017"},
    ),
    "adult": Card(
        "Adult",
        "UCI (adult.data, adult.test as adult-train.csv, adult-test.csv)",
        _UCI,
        48842,
        _ADULT,
        _ADULT_TEXT,
        files={
            "adult-train.csv": "5b00264637dbfec36bdeaab5676b0b309ff9eb788d63554ca0a249491c86603d",
            "adult-test.csv": "72567b94f5c1a6f8501377dd80f93892c3848ff071cf91ba47e00b0785a28074",
        },
    ),
}
