"""Receipts and stores that were tampered with are found, offline and without the data."""

from __future__ import annotations

import json

import pytest

from graphforget.deletion.files import canonical
from graphforget.deletion.keys import Key
from graphforget.deletion.receipt import read_receipt, verify_receipt
from graphforget.deletion.receive import receive
from graphforget.deletion.service import serve
from graphforget.deletion.store import Store
from graphforget.errors import InputError, StoreError
from tests.deletion import small


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    store = small.friends_store(folder / "store")
    with store.writing():
        receive(store, small.ask(folder, "r1,node,person-001@home,,", "r2,node,person-002@home,,"))
        serve(store, batch_size=1)
    return store


def test_every_changed_byte_of_a_receipt_fails(served, tmp_path):
    content = (served.root / "receipts" / "000001.json").read_bytes()
    path = tmp_path / "000001.json"
    path.write_bytes(content)
    assert verify_receipt(path) == []
    for at in range(0, len(content), 97):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        assert verify_receipt(path), at
    path.write_bytes(content + b" ")
    assert verify_receipt(path)


def test_a_receipt_made_anew_fails_with_the_key(served, tmp_path):
    receipt = read_receipt(served.root / "receipts" / "000001.json")
    forged = receipt.model_copy(update={"operator": "somebody else"}).sealed(Key(b"a key of somebody else"))
    path = tmp_path / "000001.json"
    path.write_bytes(forged.bytes())
    assert verify_receipt(path) == []
    assert any("seal" in each for each in verify_receipt(path, key=small.KEY))


def test_receipts_are_chained(served, tmp_path):
    for name in ("000001.json", "000002.json"):
        (tmp_path / name).write_bytes((served.root / "receipts" / name).read_bytes())
    assert verify_receipt(tmp_path / "000002.json") == []
    fields = json.loads((tmp_path / "000001.json").read_bytes())
    (tmp_path / "000001.json").write_bytes(canonical(fields | {"operator": "x"}))
    assert verify_receipt(tmp_path / "000002.json") == ["the receipt before it, 000001.json, was changed"]


def test_what_a_receipt_holds(served):
    receipt = read_receipt(served.root / "receipts" / "000002.json")
    assert receipt.out_of_scope[0].startswith("versions 0, 1 of this store")
    assert receipt.requests[0].mark == small.KEY.mark("node", "person-002@home")
    assert set(receipt.inputs) == {"model_sha256", "data_sha256", "deployment_sha256", "parent_manifest_sha256"}
    assert receipt.verification["outcome"] in ("pass", "inconclusive")
    text = (served.root / "receipts" / "000002.json").read_text().lower()
    assert "proof" not in text
    assert "certif" not in text


@pytest.mark.parametrize("name", ["manifest.json", "model.safetensors", "data.safetensors"])
def test_a_changed_file_of_the_store_is_found_and_not_built_on(served, name):
    path = served.folder(2) / name
    content = path.read_bytes()
    path.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
    try:
        assert verify_receipt(served.root / "receipts" / "000002.json", root=served.root)
        assert served.problems()
        with pytest.raises(StoreError, match="was changed"):
            served.check_head()
    finally:
        path.write_bytes(content)
    assert served.problems() == []


def test_a_changed_chain_is_found(served):
    path = served.root / "chain.jsonl"
    content = path.read_bytes()
    lines = content.splitlines(keepends=True)
    path.write_bytes(b"".join(lines[1:]))
    assert any("does not continue" in each for each in served.problems())
    path.write_bytes(content)
    assert served.problems() == []


def test_what_is_no_receipt(tmp_path):
    with pytest.raises(InputError, match="there is no receipt"):
        verify_receipt(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text("{}")
    assert "is no receipt" in verify_receipt(tmp_path / "bad.json")[0]
    with pytest.raises(InputError, match="there is no deletion store"):
        Store(tmp_path, small.KEY)


def test_a_signature_of_model_signing_is_checked_by_it(served, tmp_path):
    verifying = pytest.importorskip("model_signing.verifying", reason="needs the extra sign")
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    from graphforget.deletion.receipt import sign

    secret = ec.generate_private_key(ec.SECP256R1())
    own, public = tmp_path / "own.pem", tmp_path / "public.pem"
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    own.write_bytes(secret.private_bytes(serialization.Encoding.PEM, *form))
    kind = serialization.PublicFormat.SubjectPublicKeyInfo
    public.write_bytes(secret.public_key().public_bytes(serialization.Encoding.PEM, kind))
    receipt = tmp_path / "000001.json"
    receipt.write_bytes((served.root / "receipts" / "000001.json").read_bytes())
    signature = sign(receipt, own)
    config = verifying.Config().use_elliptic_key_verifier(public_key=public)
    config.verify(receipt, signature)
    receipt.write_bytes(receipt.read_bytes().replace(b'"version":1', b'"version":2'))
    with pytest.raises(ValueError, match=r"."):
        config.verify(receipt, signature)
