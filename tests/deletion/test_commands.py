"""The commands as a user types them: what they print, and their exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors.torch import save_file
from typer.testing import CliRunner

from graphforget.cli import app
from graphforget.train import seeded
from tests.deletion import small


@pytest.fixture
def call(monkeypatch):
    monkeypatch.setenv("GRAPHFORGET_KEY", small.KEY.secret.decode())
    runner = CliRunner()

    def run(*words, code=0, text=None):
        done = runner.invoke(app, [str(word) for word in words], input=text)
        assert done.exit_code == code, (done.output, done.exception)
        return json.loads(done.stdout.splitlines()[-1]) if "--json" in words else done.output

    return run


@pytest.fixture
def store(tmp_path, call):
    """A store made from files: a table of interactions, weights, and a policy."""
    splits, names = small.shop()
    with seeded(0):
        model = small.tiny_lightgcn()
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    rows = ["user,item,time"]
    for view in splits:
        pairs = view.edge_index.T.tolist()
        rows += [
            f"user-{u:03d},film-{i:03d},{t}" for (u, i), t in zip(pairs, view.edge_attrs["time"].tolist(), strict=True)
        ]
    (tmp_path / "data.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "ids.json").write_bytes(names.json())
    policy = small.FILMS.model_dump(exclude={"factory", "task", "key"})
    (tmp_path / "policy.json").write_text(json.dumps(policy))
    words = ["--model", small.FILMS.factory, "--task", "recommend", "--config", tmp_path / "policy.json"]
    words += ["--weights", tmp_path / "weights.safetensors", "--data", tmp_path / "data.csv"]
    made = call("init", tmp_path / "store", *words, "--vocabulary", tmp_path / "ids.json", "--json")
    assert made["version"] == 0
    return tmp_path / "store"


def test_from_init_to_purge(tmp_path, store, call):
    file = small.ask(tmp_path, "r1,user,user-003,,", "r2,user,nobody,,", "r3,usr,user-004,,")
    planned = call("plan", store, file, "--methods", "row_reset", "--json")
    assert (planned["taken"], planned["refused"][0]["line"]) == (2, 4)
    prices = {each["method"]: each for each in planned["prices"]}
    assert prices["row_reset"]["seconds"] > 0
    assert prices["retrain"]["seconds"] > 0
    assert not prices["gnndelete"]["applies"]
    done = call("run", store, "--method", "row_reset", "--json", code=3)
    assert done["states"] == {"rejected": 1, "not_found": 1, "deleted_unverified": 1}
    receipt = store / "receipts" / "000001.json"
    cost = json.loads(receipt.read_bytes())["cost"]
    assert cost["predicted_seconds"] == pytest.approx(prices["row_reset"]["seconds"])
    assert cost["seconds"] > 0
    assert call("verify-receipt", receipt, "--store", store, "--json")["problems"] == []
    page = call("report", store, "--out", tmp_path / "report.html", "--json")["report"]
    assert "user-003" not in Path(page).read_text(encoding="utf-8")
    assert call("verify", store, "--version", "1", "--golds", "2", "--json", code=3)["verdicts"][0]["version"] == 1
    call("status", store, "--out", tmp_path / "replies.csv", "--suppression", tmp_path / "list.jsonl")
    assert "r1,3,deleted_unverified" in (tmp_path / "replies.csv").read_text()
    back = call("check-train", store, tmp_path / "data.csv", "--vocabulary", tmp_path / "ids.json", "--json", code=1)
    assert {each["request_id"] for each in back["returned"]} == {"r1"}
    assert call("rollback", store, "--to", "0", "--json")["requests"] == ["r1"]
    call("run", store, "--no-verify", "--json")
    assert "needed to verify" in call("purge", store, code=2)
    call("verify", store, code=3)
    assert call("purge", store, "--json")["left"] == [3]


def test_errors_are_one_line_and_exit_2(tmp_path, store, call):
    assert "there is no deletion store" in call("run", tmp_path, code=2)
    assert "there is no request file" in call("plan", store, "none.csv", code=2)
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("request_id;subject_kind;subject_id\nr1;user;user-001\n")
    assert "pass --delimiter" in call("plan", store, wrong, code=2)
    assert call("plan", store, wrong, "--delimiter", ";", "--methods", "finetune", "--json")["taken"] == 1
    assert "there is no version 7" in call("rollback", store, "--to", "7", code=2)
    assert "did you mean 'd2dgn'" in call("run", store, "--no-verify", "--method", "d2dng", code=2)
    assert (
        call("run", store, small.ask(tmp_path, "r7,nonsense,x,,"), "--no-verify", "--json", code=2)["states"][
            "rejected"
        ]
        == 1
    )


def test_a_failed_verification_exits_1(tmp_path, store, call):
    from graphforget.deletion.deployment import Deployment

    path = store / "deployment.json"
    strict = small.LOOSE.model_copy(update={"utility": 0.0, "belief": 0.0, "fewest_subjects": 1, "gross": 1.0})
    fields = Deployment.parse(path.read_bytes()).model_copy(update={"thresholds": strict})
    path.write_text(fields.model_dump_json())
    rows = [f"r{row},user,user-{row:03d},," for row in range(6)]
    done = call(
        "run", store, small.ask(tmp_path, *rows), "--method", "gradient_ascent", "--set", "lr=1.0", "--json", code=1
    )
    assert done["verdicts"][0]["outcome"] == "fail"
    assert done["states"] == {"failed": 6}
    assert "roll back" in call("run", store, code=2)
    assert call("rollback", store, "--to", "0", "--json")["requests"] == [f"r{row}" for row in range(6)]


def test_standard_input(store, call):
    text = '{"request_id": "r1", "subject_kind": "user", "subject_id": "user-001"}\n'
    assert call("plan", store, "-", "--methods", "finetune", "--json", text=text)["taken"] == 1


def test_a_key_is_made_once(tmp_path, call, monkeypatch):
    monkeypatch.delenv("GRAPHFORGET_KEY")
    assert "a key is needed" in call("run", tmp_path, code=2)
    from graphforget.deletion.keys import load_key, make_key
    from graphforget.errors import InputError

    made = make_key(tmp_path / "key")
    assert load_key(tmp_path / "key") == made
    assert (tmp_path / "key").stat().st_mode & 0o077 == 0
    with pytest.raises(InputError, match="already"):
        make_key(tmp_path / "key")
    (tmp_path / "short").write_text("abc")
    with pytest.raises(InputError, match="at least 16 bytes"):
        load_key(tmp_path / "short")
