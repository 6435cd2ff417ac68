"""What users get wrong, by the commands: one line, exit code 2, no traceback, nothing changed."""

from __future__ import annotations

import json
import resource

import numpy as np
import pytest
from safetensors.torch import save_file
from typer.testing import CliRunner

from graphforget.cli import app
from graphforget.deletion.store import Store
from tests.deletion import small


@pytest.fixture
def call(monkeypatch):
    monkeypatch.setenv("GRAPHFORGET_KEY", small.KEY.secret.decode())

    def run(*words, code=2):
        done = CliRunner().invoke(app, [str(word) for word in words])
        assert done.exception is None or isinstance(done.exception, SystemExit), repr(done.exception)
        assert done.exit_code == code, done.output
        return " ".join(done.output.split())

    return run


def test_places_that_cannot_be_written_or_read(tmp_path, call):
    store = tmp_path / "store"
    small.friends_store(store).close()
    call("run", store, small.ask(tmp_path, "r1,node,person-001@home,,"), "--golds", 0, code=3)
    away = tmp_path / "no such folder" / "file"
    assert "no such folder" in call("status", store, "--out", away)
    assert "no such folder" in call("report", store, "--out", away)
    assert "no such folder" in call("report", store, "--card", away)
    assert "Is a directory" in call("report", store, "--card", tmp_path)
    (tmp_path / "card.md").write_bytes(b"M\xfcller")
    assert "UTF-8" in call("report", store, "--card", tmp_path / "card.md")
    assert (tmp_path / "card.md").read_bytes() == b"M\xfcller"
    (tmp_path / "folder.csv").mkdir()
    assert "there is no request file" in call("run", store, tmp_path / "folder.csv")
    assert "there is no deletion store" in call("run", tmp_path / "card.md")
    assert "new or empty folder" in call("init", tmp_path / "card.md", "--demo")


def test_data_of_another_encoding_or_with_a_broken_line(tmp_path, call):
    save_file(small.tiny_gcn().state_dict(), tmp_path / "weights.safetensors")
    words = ["init", tmp_path / "store", "--model", "tests.deletion.small:tiny_gcn", "--task", "link"]
    words += ["--weights", tmp_path / "weights.safetensors", "--data", tmp_path / "pairs.csv"]
    for content, said in [
        (b"src,dst\nM\xfcller,b\n", "UTF-8"),
        (b"src,dst\na\x00,b\n", "printable"),
        (b"src;dst\na;b\n", "src is missing"),
        (b"src,dst\na,b\nc\n", "line 3"),
        (b"src,dst,time\na,b,nan\n", "finite"),
        (b"src,dst\n", "no pair"),
        (b"", "src is missing"),
    ]:
        (tmp_path / "pairs.csv").write_bytes(content)
        assert said in call(*words), content
    (tmp_path / "pairs.csv").write_text("src,dst\n" + "".join(f"p{row},p{(row + 1) % 60}\n" for row in range(60)))
    np.save(tmp_path / "x.npy", np.zeros((5, 8), dtype=np.float32))
    assert "must have 60 rows" in call(*words, "--features", tmp_path / "x.npy")
    np.save(tmp_path / "x.npy", np.zeros((60, 5), dtype=np.float32))
    assert "does not run on its data" in call(*words, "--features", tmp_path / "x.npy")
    assert not (tmp_path / "store").exists()


def test_a_second_writer_is_told_who_is_first(tmp_path, call):
    small.friends_store(tmp_path / "store").close()
    first = Store(tmp_path / "store", small.KEY)
    with first.writing():
        assert "is being written by process" in call("run", tmp_path / "store")


def test_a_full_disk_ends_a_command_in_one_line(tmp_path, call):
    store = tmp_path / "store"
    small.friends_store(store).close()
    file = small.ask(tmp_path, "r1,node,person-001@home,,")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        said = call("run", store, file, "--json")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "Traceback" not in said
    assert Store(store, small.KEY).problems() == []
    call("run", store, file, "--golds", 0, code=3)


def test_hostile_text_comes_back_nowhere(tmp_path, call):
    store = tmp_path / "store"
    small.friends_store(store).close()
    evil = ["=HYPERLINK(1)", "<script>alert(1)</script>", "../../etc/passwd", "'; DROP TABLE requests;--", "a\u202eb"]
    lines = [{"request_id": f"r{at}", "subject_kind": "node", "subject_id": each} for at, each in enumerate(evil)]
    lines.append({"request_id": "=1+1", "subject_kind": "node", "subject_id": "person-001@home"})
    lines.append({"request_id": "ok", "subject_kind": "node", "subject_id": "person-001@home"})
    (tmp_path / "requests.jsonl").write_text("\n".join(map(json.dumps, lines)))
    call("run", store, tmp_path / "requests.jsonl", "--golds", 0, code=3)
    call("report", store, code=0)
    call("status", store, "--out", store / "replies.csv", "--suppression", store / "list.jsonl", code=0)
    assert small.contains(store, *evil, "=1+1", "person-001") == []
    assert "r0,5,not_found" in (store / "replies.csv").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["requests.jsonl", "store"]
