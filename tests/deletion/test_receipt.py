"""Receipts and stores that were tampered with are found, offline and without the data."""

from __future__ import annotations

import json
import sys

import pytest
from typer.testing import CliRunner

from graphforget.cli import app
from graphforget.deletion.files import canonical
from graphforget.deletion.keys import Key
from graphforget.deletion.receipt import read_receipt, verify_receipt
from graphforget.deletion.receive import receive
from graphforget.deletion.service import serve
from graphforget.deletion.signature import signer, verify_signature
from graphforget.deletion.store import Store
from graphforget.errors import InputError, MissingExtra, StoreError
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


def key_pair(folder):
    pytest.importorskip("model_signing", reason="needs the extra sign")
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    secret, pem = ec.generate_private_key(ec.SECP256R1()), serialization.Encoding.PEM
    private, public = folder / "private.pem", folder / "public.pem"
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    private.write_bytes(secret.private_bytes(pem, *form))
    public.write_bytes(secret.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo))
    return private, public


def test_a_signature_is_checked_with_the_public_key(served, tmp_path):
    private, public = key_pair(tmp_path)
    receipt = tmp_path / "000001.json"
    receipt.write_bytes((served.root / "receipts" / "000001.json").read_bytes())
    assert verify_signature(receipt, public) == ["there is no signature 000001.sig beside the receipt"]
    assert signer(private)(receipt) == tmp_path / "000001.sig"
    assert verify_signature(receipt, public) == []
    receipt.write_bytes(receipt.read_bytes().replace(b'"version":1', b'"version":2'))
    assert "does not fit" in verify_signature(receipt, public)[0]
    (tmp_path / "other").mkdir()
    _, others = key_pair(tmp_path / "other")
    receipt.write_bytes((served.root / "receipts" / "000001.json").read_bytes())
    assert "does not fit" in verify_signature(receipt, others)[0]
    (tmp_path / "000001.sig").write_text("{}")
    assert "does not fit" in verify_signature(receipt, public)[0]
    with pytest.raises(InputError, match="cannot be used"):
        signer(public)
    with pytest.raises(InputError, match="cannot be used"):
        verify_signature(receipt, tmp_path / "none.pem")


def test_a_signature_is_asked_for_by_the_command(tmp_path, monkeypatch):
    private, public = key_pair(tmp_path)
    monkeypatch.setenv("GRAPHFORGET_KEY", small.KEY.secret.decode())
    small.friends_store(tmp_path / "store").close()
    receipt = tmp_path / "store" / "receipts" / "000001.json"

    def call(*words):
        done = CliRunner().invoke(app, [str(word) for word in words])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, done.output

    file = small.ask(tmp_path, "r1,node,person-001@home,,")
    code, said = call("run", tmp_path / "store", file, "--sign", public)
    assert (code, "cannot be used" in said, receipt.exists()) == (2, True, False)  # before anything is run
    assert call("run", tmp_path / "store", file, "--sign", private)[0] == 3
    assert call("verify-receipt", receipt, "--public-key", public) == (
        0, f"{receipt}: unchanged (bytes, digest, parent, seal, signature checked)\n"
    )  # fmt: skip
    assert call("verify", tmp_path / "store", "--version", 1)[0] == 3  # a new receipt, and the old signature goes
    code, said = call("verify-receipt", receipt, "--public-key", public)
    assert (code, "there is no signature" in said) == (1, True)
    call("verify", tmp_path / "store", "--version", 1, "--sign", private)
    assert call("verify-receipt", receipt, "--public-key", public)[0] == 0


def test_without_model_signing_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "model_signing", None)
    for asked in (lambda: signer(tmp_path / "key.pem"), lambda: verify_signature(tmp_path / "r.json", tmp_path / "p")):
        with pytest.raises(MissingExtra, match=r"graphforget\[sign\]"):
            asked()
