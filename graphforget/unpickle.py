"""The one door for pickles: a short allow-list and inert stubs, else a refusal that names the global.

A pickle is a program: ``pickle.load`` runs whatever callable the file names. Here a name is looked up in one table of
exact (module, name) keys. What it finds is a plain container or one of our own small constructors for arrays, sparse
matrices and tensors; attribute paths, ``getattr``, ``eval`` and everything else are refused before anything is called.
Names below a prefix given in ``stubs`` become inert classes, which take any argument and do nothing.

Arrays come back as they were written: check indices before compiled code trusts them (a CSR matrix from a hostile file
may point outside itself; ``check_format(full_check=True)`` finds that).
"""

from __future__ import annotations

import collections
import io
import pickle
import zipfile
from collections.abc import Callable, Sequence
from os import PathLike, fspath
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from graphforget.errors import InputError

MAGIC = 0x1950A86A20F9469CFC6C  # first pickle of a file that torch.save wrote before 1.6


class Inert:
    """Base of the stubs: can be built, filled and given a state, and does nothing."""

    def __init__(self, *_: Any, **__: Any) -> None: ...  # honest: a stub is there to do nothing

    def __setstate__(self, state: Any) -> None: ...  # honest: a stub is there to do nothing

    def __setitem__(self, key: Any, value: Any) -> None: ...  # honest: a stub is there to do nothing

    def append(self, value: Any) -> None:
        """Take an item of a pickled list and drop it."""

    def extend(self, values: Any) -> None:
        """Take the items of a pickled list and drop them."""

    def add(self, value: Any) -> None:
        """Take an item of a pickled set and drop it."""


class Kept(Inert):
    """A stub that keeps its pickled state as plain data in ``state``, for the reader to check."""

    state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


def load(
    source: str | PathLike[str] | BinaryIO,
    *,
    stubs: Sequence[str] = (),
    keep: Sequence[str] = (),
    encoding: str = "ASCII",
) -> Any:
    """Read one pickle through the allow-list.

    Args:
        source: a path or a binary file, left open.
        stubs: module prefixes whose names become inert classes: ``("recbole", "yaml")``.
        keep: of those, the full names whose stub keeps its state: ``("recbole.config.configurator.Config",)``.
        encoding: of Python 2 strings; "latin1" for old numpy arrays.

    Raises:
        InputError: the pickle names a global that is not on the list, or is no complete pickle.

    Example:
        >>> load(io.BytesIO(pickle.dumps({"a": [1, 2]})))
        {'a': [1, 2]}
        >>> load(io.BytesIO(pickle.dumps(print)))
        Traceback (most recent call last):
        graphforget.errors.InputError: <bytes> names the global builtins.print, which is not on the allow-list...
    """
    if isinstance(source, str | PathLike):
        with open(source, "rb") as file:
            return _read(file, fspath(source), _Stubs(stubs, keep), encoding)
    return _read(source, getattr(source, "name", "<bytes>"), _Stubs(stubs, keep), encoding)


def load_torch(path: str | PathLike[str], *, stubs: Sequence[str] = (), keep: Sequence[str] = ()) -> Any:
    """Read a file that ``torch.save`` wrote, in its zip form or its old form without tensors.

    Tensors come back dense and on the CPU. ``torch.load(weights_only=True)`` refuses numpy arrays and every pickle of
    another protocol than 2; this reads those too, and runs nothing.

    Args:
        path: the file.
        stubs: as in :func:`load`.
        keep: as in :func:`load`.

    Raises:
        InputError: as in :func:`load`, or a tensor that reaches outside its storage.
    """
    name = fspath(path)
    if not zipfile.is_zipfile(path):
        with open(path, "rb") as file:
            if _read(file, name, _Stubs(), "ASCII") != MAGIC:
                raise InputError(f"{name} was not written by torch.save; give a checkpoint")
            for _ in range(2):  # protocol version, system info
                _read(file, name, _Stubs(), "ASCII")
            return _read(file, name, _Stubs(stubs, keep), "ASCII")
    try:
        with zipfile.ZipFile(path) as archive:
            (entry,) = [each for each in archive.namelist() if each.endswith("data.pkl")]
            folder = entry.removesuffix("data.pkl")
            if f"{folder}byteorder" in archive.namelist() and archive.read(f"{folder}byteorder") != b"little":
                raise InputError(f"{name} is big-endian; save it again on a little-endian machine")

            def storage(identity: Any) -> Any:
                kind, dtype, key = identity[:3]
                if kind != "storage" or not isinstance(dtype, _Storage) or not str(key).isalnum():
                    raise InputError(f"{name} names a persistent object {identity!r}, which is not a tensor storage")
                return dtype.of(archive.read(f"{folder}data/{key}"))

            return _read(io.BytesIO(archive.read(entry)), name, _Stubs(stubs, keep), "utf-8", storage)
    except (zipfile.BadZipFile, KeyError, EOFError) as error:
        raise InputError(f"{name} is no complete checkpoint ({error}); get it again") from error


class _Stubs(NamedTuple):
    prefixes: Sequence[str] = ()
    keep: Sequence[str] = ()

    def find(self, module: str, name: str) -> Any:
        if not any(module == prefix or module.startswith(f"{prefix}.") for prefix in self.prefixes):
            return None
        base = Kept if f"{module}.{name}" in self.keep else Inert
        return type(name, (base,), {"__module__": module})


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: BinaryIO, name: str, stubs: _Stubs, encoding: str, storage: Any) -> None:
        super().__init__(file, encoding=encoding)
        self.name, self.stubs, self.storage = name, stubs, storage

    def find_class(self, module: str, name: str) -> Any:
        found = ALLOWED.get((module, name))
        if found is None and module in ("torch", "torch.storage") and name.endswith("Storage"):
            found = _storage(name)
        if found is None:
            found = self.stubs.find(module, name)
        if found is None:
            raise InputError(
                f"{self.name} names the global {module}.{name}, which is not on the allow-list of graphforget.unpickle;"
                " nothing was run; convert the file to npz, safetensors or text where you trust it"
            )
        return found

    def persistent_load(self, identity: Any) -> Any:
        if self.storage is None:
            raise InputError(f"{self.name} names a persistent object {identity!r}; only checkpoints may hold tensors")
        return self.storage(identity)


def _read(file: BinaryIO, name: str, stubs: _Stubs, encoding: str, storage: Any = None) -> Any:
    try:
        return _Unpickler(file, name, stubs, encoding, storage).load()
    except InputError:
        raise
    except (
        pickle.UnpicklingError,
        EOFError,
        AttributeError,
        ImportError,
        IndexError,
        KeyError,
        MemoryError,
        OverflowError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        raise InputError(f"{name} is no complete pickle ({type(error).__name__}: {error}); get it again") from error


# --- our constructors: what a file may build, and nothing more


class _Array:
    """Stands for numpy.ndarray in a file: only :func:`_reconstruct` takes it, nothing can build it directly."""

    def __new__(cls, *_: Any) -> _Array:
        raise InputError("a pickled array must be built by numpy's _reconstruct")


def _reconstruct(kind: Any, shape: tuple[int, ...], code: bytes) -> npt.NDArray[Any]:
    if kind is not _Array or tuple(shape) != (0,):
        raise InputError(f"a pickled array must start empty (got {kind!r} of shape {shape})")
    return np.empty(0, dtype="b")


def _dtype(spec: Any, align: bool = False, copy: bool = True) -> np.dtype[Any]:
    if not isinstance(spec, str):
        raise InputError(f"a pickled dtype must be named by a string (got {spec!r})")
    return np.dtype(spec, align=bool(align), copy=True)


def _scalar(dtype: np.dtype[Any], data: Any = b"") -> Any:
    if dtype.hasobject or not isinstance(data, bytes | str):
        raise InputError(f"a pickled scalar must be plain data (got dtype {dtype})")
    raw = data.encode("latin1") if isinstance(data, str) else data
    return np.frombuffer(raw, dtype=dtype, count=1)[0]


def _frombuffer(data: Any, dtype: np.dtype[Any], shape: tuple[int, ...], order: str) -> npt.NDArray[Any]:
    if dtype.hasobject:
        raise InputError(f"a pickled buffer must be plain data (got dtype {dtype})")
    return np.frombuffer(bytearray(data), dtype=dtype).reshape(shape, order="F" if order == "F" else "C")


def _encode(text: str, encoding: str = "latin1", errors: str = "strict") -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise InputError(f"pickled bytes must be latin1 text (got encoding {encoding!r})")
    return str(text).encode("latin1")


def _bytes(value: Any = b"") -> bytes:
    if not isinstance(value, bytes | list):
        raise InputError(f"pickled bytes must come from bytes (got {type(value).__name__})")
    return bytes(value)


def _object(kind: Any, base: Any, state: Any) -> Any:
    if base is not object or not isinstance(kind, type) or not issubclass(kind, Inert | sp.csr_matrix):
        raise InputError(f"copyreg may only rebuild plain objects (got {kind!r} on {base!r})")
    return object.__new__(kind)


STORAGES = {
    "Double": "float64",
    "Float": "float32",
    "Half": "float16",
    "BFloat16": "bfloat16",
    "ComplexDouble": "complex128",
    "ComplexFloat": "complex64",
    "Long": "int64",
    "Int": "int32",
    "Short": "int16",
    "Char": "int8",
    "Byte": "uint8",
    "Bool": "bool",
}


class _Storage:
    """A typed storage of a checkpoint: bytes become a flat tensor."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype

    def of(self, data: bytes) -> Any:
        import torch

        if not data:
            return torch.empty(0, dtype=self.dtype)
        return torch.frombuffer(bytearray(data), dtype=self.dtype)


def _storage(name: str) -> _Storage | None:
    import torch

    kind = STORAGES.get(name.removesuffix("Storage"))
    return None if kind is None else _Storage(getattr(torch, kind))


def _tensor(storage: Any, offset: int, size: Sequence[int], stride: Sequence[int], grad: bool = False, *_: Any) -> Any:
    import torch

    if not isinstance(storage, torch.Tensor):
        raise InputError(f"a pickled tensor must be built on a storage (got {type(storage).__name__})")
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    outside = 0 not in size and not 0 <= offset <= last < storage.numel()
    if outside or min(stride, default=0) < 0:
        raise InputError(f"a pickled tensor of size {tuple(size)} reaches outside its storage of {storage.numel()}")
    return storage.as_strided(tuple(size), tuple(stride), offset).requires_grad_(bool(grad))


def _parameter(data: Any, grad: bool = True, *_: Any) -> Any:
    import torch

    if not isinstance(data, torch.Tensor):
        raise InputError(f"a pickled parameter must hold a tensor (got {type(data).__name__})")
    return torch.nn.Parameter(data.detach(), requires_grad=bool(grad))


def _size(values: Sequence[int] = ()) -> Any:
    import torch

    return torch.Size([int(value) for value in values])


def _device(kind: str, index: int | None = None) -> str:
    return str(kind) if index is None else f"{kind}:{index}"


def _spelled(modules: Sequence[str], **values: Any) -> dict[tuple[str, str], Any]:
    return {(module, name): value for module in modules for name, value in values.items()}


_PLAIN: dict[str, Callable[..., Any]] = {
    each.__name__: each for each in (list, dict, set, frozenset, tuple, int, float, complex, bool, object)
}

# (module, name) as a file spells it -> what it gets. Python 2 and 3, numpy 1 and 2, old and new scipy.
ALLOWED: dict[tuple[str, str], Any] = {
    **_spelled(["builtins", "__builtin__"], **_PLAIN, bytes=_bytes),
    **_spelled(["collections"], defaultdict=collections.defaultdict, OrderedDict=collections.OrderedDict),
    **_spelled(["copyreg", "copy_reg"], _reconstructor=_object),
    **_spelled(["_codecs"], encode=_encode),
    **_spelled(["numpy"], ndarray=_Array, dtype=_dtype),
    **_spelled(["numpy.core.multiarray", "numpy._core.multiarray"], _reconstruct=_reconstruct, scalar=_scalar),
    **_spelled(["numpy.core.numeric", "numpy._core.numeric"], _frombuffer=_frombuffer),
    **_spelled(["scipy.sparse.csr", "scipy.sparse._csr", "scipy.sparse"], csr_matrix=sp.csr_matrix),
    **_spelled(["torch._utils"], _rebuild_tensor_v2=_tensor, _rebuild_parameter=_parameter),
    **_spelled(["torch"], Size=_size, device=_device),
}
