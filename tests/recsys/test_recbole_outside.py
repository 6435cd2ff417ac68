"""Checkpoints from outside: nothing in them runs, and what cannot be used is refused."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
import torch

pytest.importorskip("recbole", reason="needs RecBole: pip install --no-deps recbole==1.2.1")

from graphforget.errors import InputError
from recsys.recbole import load, trusted
from tests.recsys.recbole_small import rows, write_small


class Trap:
    def __reduce__(self):
        return (os.system, ("echo hacked > pwned",))


def rewritten(whole, path, **changes):
    """The checkpoint with other values in its config, written as RecBole writes it."""
    saved = torch.load(whole.checkpoint, weights_only=False)
    saved["config"].final_config_dict.update(changes)
    torch.save(saved, path, pickle_protocol=4)
    return path


def test_a_hostile_checkpoint_runs_nothing(whole, own_folder):
    saved = torch.load(whole.checkpoint, weights_only=False)
    torch.save({**saved, "epoch": Trap()}, "a.pth", pickle_protocol=4)
    with pytest.raises(InputError, match=r"system, which is not on the allow-list"):
        load("a.pth")
    rewritten(whole, "b.pth", learner=Trap())
    with pytest.raises(InputError, match=r"system, which is not on the allow-list"):
        load("b.pth")
    rewritten(whole, "c.pth", learner="__import__('os').system('echo hacked > pwned')")
    assert load("c.pth").config["learner"].startswith("__import__")  # a string, as it was
    assert not Path("pwned").exists()


def test_pickled_data_beside_a_checkpoint_is_not_opened(whole, own_folder):
    for name in ("small-Dataset.pth", "small-for-LightGCN-dataloader.pth", "named.pth"):
        Path(name).write_bytes(pickle.dumps(Trap()))
    rewritten(
        whole,
        "a.pth",
        checkpoint_dir=str(own_folder),
        dataset_save_path=str(own_folder / "named.pth"),
        dataloaders_save_path=str(own_folder / "named.pth"),
    )
    assert rows(load("a.pth").train_data.dataset) == rows(whole.train.dataset)
    assert not Path("pwned").exists()


def test_a_checkpoint_of_another_data_set_is_refused(whole, own_folder):
    write_small(own_folder, users=30)
    with pytest.raises(InputError, match="was trained on another data set"):
        load(whole.checkpoint, own_folder)
    (own_folder / "empty").mkdir()
    with pytest.raises(InputError, match=r"there is no small\.inter"):
        load(whole.checkpoint, own_folder / "empty")
    with pytest.raises(InputError, match="there is no data folder"):
        load(whole.checkpoint, own_folder / "nowhere")


def test_what_is_no_checkpoint_of_a_supported_model_is_refused(whole, own_folder):
    torch.save({"a": 1}, "a.pth")
    with pytest.raises(InputError, match="no checkpoint of RecBole"):
        load("a.pth")
    torch.save({"config": {"model": "BPR"}, "state_dict": {}}, "b.pth")
    with pytest.raises(InputError, match="holds no config of RecBole"):
        load("b.pth")
    with pytest.raises(InputError, match="there is no checkpoint"):
        load("missing.pth")
    with pytest.raises(InputError, match="no general recommender"):
        load(rewritten(whole, "c.pth", model="SASRec"))
    with pytest.raises(InputError, match="NeuMF cannot be unlearned here"):
        load(rewritten(whole, "d.pth", model="NeuMF"))
    with pytest.raises(InputError, match="fine-tuned from another checkpoint"):
        load(rewritten(whole, "e.pth", model="RaCT", train_stage="finetune", pre_model_path="f.pth"))
    with pytest.raises(InputError, match="by a path"):
        load(rewritten(whole, "g.pth", dataset="../small"))
    with pytest.raises(InputError, match="no 'seed' in its config"):
        load(rewritten(whole, "h.pth", seed=None))


@pytest.mark.filterwarnings("ignore:Detected pickle protocol 4")
def test_only_the_named_file_is_trusted(whole, own_folder):
    torch.save({"a": Trap()}, "other.pth")
    with trusted(whole.checkpoint):
        assert "config" in torch.load(whole.checkpoint)
        with pytest.raises(pickle.UnpicklingError):
            torch.load("other.pth")
    with pytest.raises(pickle.UnpicklingError):
        torch.load(whole.checkpoint)
    assert not Path("pwned").exists()
