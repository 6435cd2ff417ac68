"""Checkpoints and folders of data: written, read by us and by RecBole, and what is reported."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("recbole", reason="needs RecBole: pip install --no-deps recbole==1.2.1")

from graphforget.errors import InputError
from recsys.recbole import compatible, evaluate, load, save, trusted, unlearn
from recsys.recbole.checkpoint import KEYS
from tests.recsys.recbole_small import QUICK, TASK, rows, run, tokens
from tests.small import same_random_state


def test_a_run_is_loaded_with_its_weights_and_its_split(whole, root):
    with same_random_state():
        found = load(whole.checkpoint)
    assert type(found.model) is type(whole.model)
    assert not found.model.training
    saved = torch.load(whole.checkpoint, weights_only=False)  # written above by this very test
    for key, value in found.model.state_dict().items():
        assert value.equal(saved["state_dict"][key])
    for mine, theirs in zip(found[2:], (whole.train, whole.valid, whole.test), strict=True):
        assert rows(mine.dataset) == rows(theirs.dataset)
    for key, value in whole.config.final_config_dict.items():
        if key != "worker":
            assert found.config[key] == value, key
    assert load(whole.checkpoint, root).model.n_users == load(whole.checkpoint, root / "small").model.n_users


def test_a_saved_result_is_loaded_by_us_and_by_recbole(whole, result, own_folder):
    folder = save(result, own_folder / "new.pth")
    expected = evaluate(result.model, result.train_data, result.test_data)
    names = whole.train.dataset.field2id_token

    ours = load(own_folder / "new.pth")
    assert evaluate(ours.model, ours.train_data, ours.test_data) == expected
    with compatible(), trusted(own_folder / "new.pth"):  # what RecBole's load_data_and_model does
        from recbole.data import create_dataset, data_preparation
        from recbole.trainer import Trainer
        from recbole.utils import get_model

        saved = torch.load(own_folder / "new.pth")
        config = saved["config"]
        train, valid, test = data_preparation(config, create_dataset(config))
        model = get_model(config["model"])(config, train.dataset)
        model.load_state_dict(saved["state_dict"])
        model.load_other_parameter(saved.get("other_parameter"))
        trainer = Trainer(config, model)
        theirs = trainer.evaluate(test, load_best_model=False)
        trainer.resume_checkpoint(own_folder / "new.pth")
        assert trainer.evaluate(test, load_best_model=True, model_file=own_folder / "new.pth") == theirs
    assert {key: float(value) for key, value in theirs.items()} == expected
    for loaded in (ours.train_data.dataset, train.dataset):
        assert rows(loaded) == rows(result.dataset)
        for field in ("user_id", "item_id"):
            assert list(loaded.field2id_token[field]) == list(names[field])
        for field in result.dataset.inter_feat:
            assert loaded.inter_feat[field].equal(result.dataset.inter_feat[field])
    for mine, theirs_, part in zip((valid, test), ours[3:], (result.valid_data, result.test_data), strict=True):
        assert rows(mine.dataset) == rows(theirs_.dataset) == rows(part.dataset)
    assert model.norm_adj_matrix._nnz() == 2 * result.dataset.inter_num
    assert tuple(saved) == KEYS
    assert saved["other_parameter"] == {"restore_user_e": None, "restore_item_e": None}
    assert saved["optimizer"]["state"] == {}
    forgotten = {*tokens(whole, 3, 5)}
    for path in folder.glob("*.inter"):
        assert not forgotten & {line.split("\t")[0] for line in path.read_text().splitlines()}


def test_without_the_saved_data_set_ids_would_shift(whole, result, own_folder):
    """Why the folder has more than text: RecBole numbers tokens as they appear."""
    folder = save(result, own_folder / "new.pth")
    for path in (folder / "small.ids.json", folder / "small-Dataset.pth"):
        path.unlink()
    with pytest.raises(InputError, match="was trained on another data set"):
        load(own_folder / "new.pth")


def test_the_report_says_what_may_still_hold_the_forgotten(whole, result, root):
    assert str(root / "small" / "small.inter") in result.report["interaction files"]
    assert str(whole.checkpoint) in result.report["checkpoints"]
    assert {"given objects", "optimizer", "caches", "id maps"} <= set(result.report)
    assert "scaled columns" not in result.report


def test_scaled_columns_are_reported_and_not_scaled_again(root, own_folder):
    done = run("BPR", root, fit=False, normalize_all=True)
    assert float(done.train.dataset.inter_feat["rating"].max()) == 1
    lowest = done.train.dataset.inter_feat["timestamp"].argmin()  # without it the scale would shift
    user = tokens(done, int(done.train.dataset.inter_feat["user_id"][lowest]))
    found = unlearn(done.model, done.train, done.valid, done.test, users=user, method=QUICK, task=TASK)
    assert "scaled columns" in found.report
    save(found, own_folder / "new.pth")
    again = load(own_folder / "new.pth").train_data.dataset
    for field in ("rating", "timestamp"):
        assert again.inter_feat[field].equal(found.dataset.inter_feat[field])


def test_nothing_is_overwritten(result, own_folder):
    save(result, own_folder / "new.pth", own_folder / "data")
    with pytest.raises(InputError, match="already"):
        save(result, own_folder / "new.pth")
    with pytest.raises(InputError, match="must be empty"):
        save(result, own_folder / "other.pth", own_folder / "data")
    assert not (own_folder / "other.pth").exists()


def test_a_result_without_test_data_is_saved_and_loaded(whole, own_folder):
    found = unlearn(whole.model, whole.train, whole.valid, users=tokens(whole, 4), method=QUICK, task=TASK)
    save(found, own_folder / "new.pth")
    again = load(own_folder / "new.pth")
    assert rows(again.train_data.dataset) == rows(found.dataset)
    assert evaluate(again.model, again.train_data, again.valid_data)["recall@10"] >= 0
    with pytest.raises(InputError, match="no interaction"):
        evaluate(again.model, again.train_data, again.test_data)


def test_a_chain_of_requests_is_saved_and_loaded(whole, result, own_folder):
    save(result, own_folder / "first.pth")
    first = load(own_folder / "first.pth")
    second = unlearn(first.model, *first[2:], users=tokens(whole, 10), method=QUICK, task=TASK)
    save(second, own_folder / "second.pth")
    again = load(own_folder / "second.pth")
    assert rows(again.train_data.dataset) == rows(second.dataset)
    assert not {user for user, _ in rows(again.train_data.dataset)} & {3, 5, 10}
    assert evaluate(again.model, again.train_data, again.test_data) == evaluate(
        second.model, second.train_data, second.test_data
    )
