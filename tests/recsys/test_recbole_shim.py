"""The shim of the RecBole plug-in: RecBole runs on current packages, and nothing is left behind."""

from __future__ import annotations

import os
import random
import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse as sp
import torch

pytest.importorskip("recbole", reason="needs RecBole: pip install --no-deps recbole==1.2.1")

from recsys import recbole as plugin
from recsys.recbole import compatible, evaluate
from tests.recsys.recbole_small import run
from tests.small import same_random_state


def test_numpy_scipy_and_the_rest_are_as_found(monkeypatch):
    import pandas as pd
    from recbole.data.dataset import Dataset
    from recbole.evaluator import Collector

    monkeypatch.setattr(sys, "argv", ["prog", "--foo=1", "--epochs=999", "-q"])
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    argv = sys.argv

    def state():
        return [dict(vars(owner)) for owner in (np, sp.dok_matrix, pd.Series, Dataset, Collector, torch)]

    before = state()
    with same_random_state():
        with compatible():
            from recbole.config import Config

            assert sys.argv == ["prog"]
            config = Config(model="BPR", dataset="ml-100k")
            assert config["epochs"] == 300
            assert vars(np)["float_"] is np.float64
            random.random(), np.random.shuffle([1, 2]), torch.rand(1)  # noqa: NPY002 - as RecBole does
        with pytest.raises(ZeroDivisionError), compatible():
            1 / 0  # noqa: B018
    for old, new in zip(before, state(), strict=True):
        assert old.keys() == new.keys()
        assert all(old[key] is new[key] for key in old if key != "__warningregistry__")
    assert sys.argv is argv
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


def test_nothing_of_recbole_is_imported_early_and_ray_never(root):
    code = (
        "import sys; import recsys.recbole as p; assert not any(m.split('.')[0] == 'recbole' for m in sys.modules)\n"
        "from tests.recsys.recbole_small import run; from pathlib import Path\n"
        f"done = run('BPR', Path({str(root)!r}), fit=False)\n"
        "from graphforget.methods.finetune import FineTune\n"
        "p.unlearn(done.model, done.train, done.valid, users=['1'], method=FineTune(1, 1e-3))\n"
        "p.evaluate(done.model, done.train, done.test)\n"
        "assert done.config['epochs'] == 1, done.config['epochs']\n"
        "assert not any(m.split('.')[0] == 'ray' or 'quick_start' in m for m in sys.modules)\n"
        "assert sys.argv == ['-c', '--foo=1', '--epochs=999'], sys.argv"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "--foo=1", "--epochs=999"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_missing_values_and_sequences_are_read_under_current_pandas(tmp_path):
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "tiny.inter").write_text(
        "user_id:token\titem_id:token\trating:float\n" + "".join(f"u{n % 7}\ti{n % 10}\t{n}\n" for n in range(35))
    )
    (folder / "tiny.item").write_text(
        "item_id:token\tprice:float\tclass:token_seq\tshop:token\tvector:float_seq\n"
        "i0\t2\ta b\tx\t1 2\ni1\t\tb\t\t3\ni2\t4\tc\ty\t5 6\ni3\t\ta\tx\t7 8\n"
    )
    done = run(
        "BPR",
        tmp_path,
        fit=False,
        dataset="tiny",
        load_col=None,
        normalize_all=False,
        filter_inter_by_user_or_item=False,
        metrics=["ItemCoverage", "Recall"],
    )
    feat, names = done.train.dataset.item_feat, done.train.dataset.field2id_token
    at = {token: number for number, token in enumerate(names["item_id"])}
    assert [float(feat["price"][at[f"i{n}"]]) for n in range(5)] == [2, 3, 4, 3, 3]  # the mean where it is missing
    classes = {token: [names["class"][n] for n in feat["class"][at[token]] if n] for token in ("i0", "i2", "i4")}
    assert classes == {"i0": ["a", "b"], "i2": ["c"], "i4": []}
    assert names["shop"][feat["shop"][at["i1"]]] == "[PAD]"
    assert feat["vector"][at["i3"]].tolist() == [7, 8]
    found = evaluate(done.model, done.train, done.test)
    assert 0 < found["itemcoverage@10"] <= 1


def test_evaluation_writes_nothing_and_is_recboles_own(whole, own_folder):
    found = evaluate(whole.model, whole.train, whole.test)
    assert list(own_folder.iterdir()) == []
    with compatible():
        from recbole.trainer import Trainer

        trainer = Trainer(whole.config, whole.model)
        expected = trainer.evaluate(whole.test, load_best_model=False)
    assert found == {key: float(value) for key, value in expected.items()}
    assert found["recall@10"] > 0


def test_the_names_of_the_plug_in_are_there():
    assert all(hasattr(plugin, name) for name in plugin.__all__)
