"""What each data set of the linear models is: source, licence, counts, files: plain data, read by ``data``.

The counts are checked whenever a data set is read. Nothing is fetched but ``breast_cancer``, which comes with
scikit-learn: the files are the user's own, and ``source`` says where they come from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Card:
    """The facts of one data set.

    Args:
        title: as papers write it.
        source: where it comes from.
        licence: as far as it is stated.
        rows: number of rows in all files together.
        inputs: columns of x.
        layout: how it is read: ``digits``, ``table`` or ``bundled``.
        folder: below the data root.
        files: name -> SHA-256 of the copy whose counts these are.
        note: what a reader of figures should know.
    """

    title: str
    source: str
    licence: str
    rows: int
    inputs: int
    layout: str
    folder: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    note: str = ""


_MNIST = {
    "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}
_DIGITS = "https://github.com/fgnt/mnist (LeCun et al.)"
_TERMS = "CC BY-SA 3.0 is commonly stated (not checked)"

DATASETS: dict[str, Card] = {
    "breast_cancer": Card(
        "Breast cancer Wisconsin",
        "scikit-learn's copy of UCI, no download",
        "CC BY 4.0 by UCI's list (not checked)",
        569,
        30,
        "bundled",
    ),
    "mnist_3v8": Card(
        "MNIST, 3 against 8",
        _DIGITS,
        _TERMS,
        1984,
        784,
        "digits",
        "mnist_t10k",
        _MNIST,
        "of the 10,000 test images; 1,600 train rows; pixels - .5, rows scaled to length 1, no intercept",
    ),
    "mnist_3v8_small": Card(
        "MNIST, 3 against 8, 14 x 14",
        _DIGITS,
        _TERMS,
        1984,
        196,
        "digits",
        "mnist_t10k",
        _MNIST,
        "as mnist_3v8, of 2 x 2 pixels each the mean",
    ),
    "adult": Card(
        "Adult",
        "UCI (adult.data, adult.test)",
        "CC BY 4.0 by UCI's list (not checked)",
        48842,
        108,
        "table",
        "tabular",
        {
            "adult-train.csv": "5b00264637dbfec36bdeaab5676b0b309ff9eb788d63554ca0a249491c86603d",
            "adult-test.csv": "72567b94f5c1a6f8501377dd80f93892c3848ff071cf91ba47e00b0785a28074",
        },
        "its own split, a tenth of train held out; one column a category and a missing value; rows scaled to length 1",
    ),
}
