"""Read idx files, the format of MNIST."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt

from graphforget.folders import BadFile, reading


def read_idx(path: Path, dims: int) -> npt.NDArray[np.uint8]:
    """Read a gzipped idx file of bytes, the format of MNIST.

    Args:
        path: the file.
        dims: number of dimensions that it must have.

    Raises:
        BadFile: not such a file, or cut short.
    """
    with reading(path), gzip.open(path) as file:
        zero, kind, found = struct.unpack(">HBB", file.read(4))
        if (zero, kind, found) != (0, 8, dims):
            raise BadFile(path, f"expected the header of {dims}-dimensional bytes (got {zero}, {kind}, {found})")
        shape = struct.unpack(f">{dims}I", file.read(4 * dims))
        data = np.frombuffer(file.read(), dtype=np.uint8).copy()
    if len(data) != np.prod(shape):
        raise BadFile(path, f"expected {np.prod(shape):,} bytes (got {len(data):,})")
    return data.reshape(shape)
