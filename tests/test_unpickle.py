"""The one door for pickles: what it reads, and what it refuses without running anything."""

from __future__ import annotations

import collections
import io
import pickle
import struct

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch import nn

from graphforget import unpickle
from graphforget.errors import InputError
from graphforget.unpickle import Inert, load, load_torch


def read(value, protocol: int = 4, **options):
    return load(io.BytesIO(pickle.dumps(value, protocol=protocol)), **options)


def raw(text: bytes, **options):
    return load(io.BytesIO(text), **options)


def call(module: str, name: str, *arguments: object) -> bytes:
    """A protocol 4 pickle that calls module.name(*arguments)."""
    out = b"\x80\x04" + short(module) + short(name) + b"\x93("
    for argument in arguments:
        body = pickle.dumps(argument, protocol=4)
        out += body[11:-1] if body[2:3] == b"\x95" else body[2:-1]
    return out + b"tR."


def short(text: str) -> bytes:
    return b"\x8c" + bytes([len(text)]) + text.encode()


# --- what comes back


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize(
    "value",
    [
        {"a": [1, 2.5, None, True], "b": (b"xy", "z", {3}, frozenset({4}), 1 + 2j)},
        collections.OrderedDict(a=1),
        collections.defaultdict(list, {1: [2, 3]}),
        b"",
        np.float64(0.5),
    ],
)
def test_plain_values_come_back(value, protocol):
    assert read(value, protocol) == value


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("dtype", ["f4", "f8", "i4", "i8", "?", ">i4", "U3", "S2", "O"])
def test_arrays_come_back(dtype, protocol):
    array = np.array([[1, 0], [0, 1]]).astype(dtype)
    found = read(array, protocol)
    assert found.dtype == pickle.loads(pickle.dumps(array, protocol=protocol)).dtype  # numpy may swap bytes
    np.testing.assert_array_equal(found, array)
    np.testing.assert_array_equal(read(np.asfortranarray(array), protocol), array)


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_csr_matrices_come_back(protocol):
    matrix = sp.csr_matrix(np.array([[0, 1.5], [2, 0]]))
    np.testing.assert_array_equal(read(matrix, protocol).toarray(), matrix.toarray())


def test_python_2_spellings_are_read():
    old = pickle.dumps(sp.csr_matrix(np.eye(2)), protocol=2)
    for new, spelled in ((b"scipy.sparse._csr", b"scipy.sparse.csr"), (b"numpy._core", b"numpy.core")):
        old = old.replace(new, spelled)
    assert b"numpy.core.multiarray" in old
    np.testing.assert_array_equal(raw(old, encoding="latin1").toarray(), np.eye(2))
    counted = b"\x80\x02ccollections\ndefaultdict\nc__builtin__\nlist\n\x85RK\x01]K\x02as."
    assert raw(counted) == {1: [2]}
    assert raw(b"\x80\x02U\x02\xe9\x00.", encoding="latin1") == "\xe9\x00"


def test_a_path_is_read(tmp_path):
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps([1]))
    assert load(path) == load(str(path)) == [1]
    with path.open("rb") as file:
        assert load(file) == [1]
        assert not file.closed


# --- what is refused

SYSTEM = b"cos\nsystem\n(S'echo hacked > pwned'\ntR."
HOSTILE = {
    "os.system": SYSTEM,
    "posix.system": b"cposix\nsystem\n(S'echo'\ntR.",
    "nt.system": b"cnt\nsystem\n(S'echo'\ntR.",
    "subprocess.Popen": call("subprocess", "Popen", "echo"),
    "builtins.eval": call("builtins", "eval", "1 + 1"),
    "builtins.exec": call("builtins", "exec", "x = 1"),
    "__builtin__.eval": b"c__builtin__\neval\n(S'1 + 1'\ntR.",
    "builtins.getattr": call("builtins", "getattr", [], "append"),
    "builtins.__import__": call("builtins", "__import__", "os"),
    "builtins.open": call("builtins", "open", "pwned", "w"),
    "builtins.list.__class__": call("builtins", "list.__class__", "x"),
    "collections.OrderedDict.__init__.__globals__": call("collections", "OrderedDict.__init__.__globals__"),
    "numpy.core.multiarray._reconstruct.__globals__": call("numpy.core.multiarray", "_reconstruct.__globals__"),
    "operator.attrgetter": call("operator", "attrgetter", "__class__"),
    "importlib.import_module": call("importlib", "import_module", "os"),
    "pickle.loads": call("pickle", "loads", b"cos\nsystem\n."),
    "torch.load": call("torch", "load", "x"),
    "torch.hub.load": call("torch.hub", "load", "x"),
    "numpy.load": call("numpy", "load", "x"),
    "numpy.f2py.compile": call("numpy.f2py", "compile", "x"),
    "joblib.load": call("joblib", "load", "x"),
    "functools.partial": call("functools", "partial", 1),
    "types.CodeType": call("types", "CodeType", 0),
    "builtins.bytearray": call("builtins", "bytearray", 10**12),
    "graphforget.unpickle.load": call("graphforget.unpickle", "load", "x"),
    "torch.EvilStorage": call("torch", "EvilStorage", 1),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_global_is_named_and_nothing_runs(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=f"names the global {name}, which is not on the allow-list"):
        raw(HOSTILE[name])
    assert list(tmp_path.iterdir()) == []


def test_a_hostile_pickle_inside_data_is_refused_too():
    inner = b"]" + SYSTEM[:-1] + b"a."
    with pytest.raises(InputError, match=r"os\.system"):
        raw(b"\x80\x02" + inner)


def test_a_hostile_build_is_refused():
    class Evil:
        def __reduce__(self):
            return (eval, ("1",))

    with pytest.raises(InputError, match=r"builtins\.eval"):
        read({"a": [Evil()]})


def test_an_array_cannot_be_built_on_foreign_memory():
    with pytest.raises(InputError, match="_reconstruct"):
        raw(call("numpy", "ndarray", (1,), "O", b"\x01" * 8))
    with pytest.raises(InputError, match="start empty"):
        raw(b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nM\xff\xff\x85C\x01b\x87R.")
    with pytest.raises(InputError, match="start empty"):
        raw(b"\x80\x02cnumpy.core.multiarray\n_reconstruct\nc__builtin__\nlist\nK\x00\x85C\x01b\x87R.")


def test_objects_cannot_be_conjured_from_bytes():
    dtype = b"cnumpy\ndtype\nX\x01\x00\x00\x00OI00\nI01\n\x87R"
    with pytest.raises(InputError, match="plain data"):
        raw(b"\x80\x03cnumpy.core.multiarray\nscalar\n" + dtype + b"C\x08" + b"\x01" * 8 + b"\x86R.")
    with pytest.raises(InputError, match="plain data"):
        raw(
            b"\x80\x03cnumpy.core.numeric\n_frombuffer\n(C\x08"
            + b"\x01" * 8
            + dtype
            + b"K\x01\x85X\x01\x00\x00\x00CtR."
        )


def test_bytes_do_not_allocate_by_number():
    with pytest.raises(InputError, match="must come from bytes"):
        raw(b"\x80\x02c__builtin__\nbytes\nJ\xff\xff\xff\x7f\x85R.")


def test_encode_is_no_codec_machine():
    with pytest.raises(InputError, match="latin1"):
        raw(call("_codecs", "encode", "x", "zlib"))


def test_copyreg_rebuilds_plain_objects_only():
    with pytest.raises(InputError, match="copyreg"):
        raw(b"ccopy_reg\n_reconstructor\n(c__builtin__\nlist\nc__builtin__\nlist\n]tR.")


@pytest.mark.parametrize("cut", [0, 1, 5, -1])
def test_a_cut_file_is_named(tmp_path, cut):
    path = tmp_path / "half.pkl"
    path.write_bytes(pickle.dumps({"a": np.arange(9)})[:cut])
    with pytest.raises(InputError, match=r"half\.pkl is no complete pickle"):
        load(path)


@pytest.mark.parametrize("garbage", [b"\x80\x04K\x01", b"<html>404</html>", b"0.", b"\x80\x05\x97.", b"h\x05."])
def test_garbage_is_an_input_error(garbage):
    with pytest.raises(InputError):
        raw(garbage)


def test_a_persistent_object_outside_a_checkpoint_is_refused():
    with pytest.raises(InputError, match="persistent"):
        raw(b"\x80\x02X\x01\x00\x00\x00aQ.")


# --- stubs


class Config(dict):
    """Stands for a class of a foreign package."""


class HostileCall:
    def __reduce__(self):
        return (eval, ("1",))


class Settings:
    """Stands for a foreign object with attributes."""

    def __init__(self):
        self.lr, self.sizes = 0.1, [1, 2]


def test_stubs_are_inert():
    text = pickle.dumps(Config(a=1), protocol=2).replace(__name__.encode(), b"recbole.config")
    with pytest.raises(InputError, match=r"recbole\.config\.Config"):
        raw(text)
    found = raw(text, stubs=("recbole", "yaml"))
    assert isinstance(found, Inert)
    assert type(found).__name__ == "Config"
    assert type(found).__module__ == "recbole.config"


def test_a_stub_takes_any_argument_and_does_nothing():
    assert isinstance(raw(call("recbole.quick", "run", "rm -rf"), stubs=("recbole",)), Inert)
    assert isinstance(raw(call("yaml", "load.__globals__", "x"), stubs=("yaml",)), Inert)
    filled = b"\x80\x02cyaml\nNode\n)R(K\x01K\x02e(K\x01K\x02uK\x05a}b."
    found = raw(filled, stubs=("yaml",))
    assert isinstance(found, Inert)
    assert not vars(found)


def test_a_kept_stub_holds_its_state_as_plain_data_and_runs_nothing():
    text = pickle.dumps(Config(a=1), protocol=2)
    plain = pickle.dumps(Settings(), protocol=4).replace(b"Settings", b"Configur")
    stubs = {"stubs": (__name__,)}
    assert not hasattr(raw(plain, **stubs), "state")
    assert not vars(raw(plain, keep=(f"{__name__}.Other",), **stubs))
    assert raw(plain, keep=(f"{__name__}.Configur",), **stubs).state == {"lr": 0.1, "sizes": [1, 2]}
    assert raw(text, keep=(f"{__name__}.Config",), **stubs).state is None
    with pytest.raises(InputError, match=r"Configur, which is not on the allow-list"):
        raw(plain, keep=(f"{__name__}.Configur",))  # keep opens nothing that stubs does not
    hostile = Settings()
    hostile.sizes = [HostileCall()]
    with pytest.raises(InputError, match=r"builtins\.eval"):
        read(hostile, keep=(f"{__name__}.Settings",), **stubs)


def test_a_prefix_is_a_whole_module_name():
    with pytest.raises(InputError, match=r"recbole_evil\.run"):
        raw(call("recbole_evil", "run"), stubs=("recbole",))


def test_stubs_do_not_open_the_list():
    with pytest.raises(InputError, match=r"os\.system"):
        raw(SYSTEM, stubs=("recbole",))


# --- checkpoints


def test_a_checkpoint_comes_back(tmp_path):
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    adam = torch.optim.Adam(model.parameters())
    model(torch.randn(4, 3)).sum().backward()
    adam.step()
    saved = {
        "state": model.state_dict(),
        "optimizer": adam.state_dict(),
        "parameter": model[0].weight,
        "half": torch.ones(2, dtype=torch.bfloat16),
        "view": torch.arange(12).view(3, 4).t()[1:, ::2],
        "empty": torch.empty(0, 3),
        "scalar": torch.tensor(3.0),
        "size": torch.Size([2, 3]),
        "device": torch.device("cpu"),
        "array": np.arange(3),
        "epoch": 7,
    }
    torch.save(saved, tmp_path / "a.pt")
    found = load_torch(tmp_path / "a.pt")
    assert found.keys() == saved.keys()
    for name, value in saved["state"].items():
        assert found["state"][name].equal(value)
        assert found["state"][name].dtype == value.dtype
    for name in ("half", "view", "empty", "scalar"):
        assert found[name].equal(saved[name])
    assert isinstance(found["parameter"], nn.Parameter)
    assert found["parameter"].equal(model[0].weight)
    assert found["size"] == torch.Size([2, 3])
    assert found["epoch"] == 7
    np.testing.assert_array_equal(found["array"], np.arange(3))
    fresh = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    fresh.load_state_dict(found["state"])
    torch.optim.Adam(fresh.parameters()).load_state_dict(found["optimizer"])


def test_protocol_4_checkpoints_and_stubs(tmp_path):
    torch.save({"config": Config(a=1), "w": torch.ones(2)}, tmp_path / "a.pt", pickle_protocol=4)
    with pytest.raises(InputError, match=r"test_unpickle\.Config"):
        load_torch(tmp_path / "a.pt")
    found = load_torch(tmp_path / "a.pt", stubs=(__name__,))
    assert isinstance(found["config"], Inert)
    assert found["w"].tolist() == [1, 1]


def test_the_old_form_with_arrays_is_read(tmp_path):
    torch.save({"edge": np.arange(4).reshape(2, 2)}, tmp_path / "a.pt", _use_new_zipfile_serialization=False)
    np.testing.assert_array_equal(load_torch(tmp_path / "a.pt")["edge"], [[0, 1], [2, 3]])


def test_ogb_split_files_are_read(data_root):
    path = data_root / "ogbl_ddi/ogbl_ddi/split/target/valid.pt"
    if not path.is_file():
        pytest.skip("ogbl_ddi is not in the data folder")
    found = load_torch(path)
    assert found["edge"].shape == (133_489, 2)
    with np.load(data_root / "ogbl_ddi/ogbl_ddi/split_npz/valid.npz") as copy:
        np.testing.assert_array_equal(found["edge"], copy["edge"])
        np.testing.assert_array_equal(found["edge_neg"], copy["edge_neg"])


@pytest.mark.parametrize("zipped", [True, False])
def test_a_hostile_checkpoint_is_refused(tmp_path, monkeypatch, zipped):
    class Evil:
        def __reduce__(self):
            import os

            return (os.system, ("echo hacked > pwned",))

    monkeypatch.chdir(tmp_path)
    torch.save({"a": Evil()}, "a.pt", _use_new_zipfile_serialization=zipped)
    with pytest.raises(InputError, match=r"posix\.system|nt\.system"):
        load_torch("a.pt")
    assert [path.name for path in tmp_path.iterdir()] == ["a.pt"]


def test_a_tensor_cannot_reach_outside_its_storage():
    storage = torch.arange(4.0)
    for offset, size, stride in (
        (2, (3,), (1,)),
        (0, (5,), (1,)),
        (-1, (2,), (1,)),
        (0, (2, 2), (3, 1)),
        (3, (2,), (-1,)),
    ):
        with pytest.raises(InputError, match="outside its storage"):
            unpickle._tensor(storage, offset, size, stride)
    with pytest.raises(InputError, match="storage"):
        unpickle._tensor([1, 2], 0, (1,), (1,))
    assert unpickle._tensor(storage, 1, (3,), (1,)).tolist() == [1, 2, 3]


@pytest.mark.parametrize("cut", [10, 300, -40])
def test_a_cut_checkpoint_is_named(tmp_path, cut):
    torch.save({"a": torch.arange(100)}, tmp_path / "a.pt")
    text = (tmp_path / "a.pt").read_bytes()
    (tmp_path / "a.pt").write_bytes(text[:cut])
    with pytest.raises(InputError, match=r"a\.pt"):
        load_torch(tmp_path / "a.pt")


def test_a_pickle_that_is_no_checkpoint_is_named(tmp_path):
    (tmp_path / "a.pt").write_bytes(pickle.dumps(struct.calcsize("i")))
    with pytest.raises(InputError, match=r"torch\.save"):
        load_torch(tmp_path / "a.pt")
