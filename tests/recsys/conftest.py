"""What several tests of recommenders start from; RecBole is imported where it is asked for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from recsys.recbole import unlearn
from tests.recsys.recbole_small import QUICK, TASK, rows, run, tokens, write_small


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    return write_small(tmp_path_factory.mktemp("recbole"))


@pytest.fixture(scope="session")
def whole(root, tmp_path_factory):
    """A trained LightGCN with its checkpoint; tests leave it as it is."""
    here = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("run"))  # RecBole's trainers write to the current folder
    try:
        return run("LightGCN", root, epochs=3)
    finally:
        os.chdir(here)


@pytest.fixture(scope="session")
def result(whole):
    """Users 3 and 5, item 7 and one interaction of user 8, forgotten."""
    user, item = next(pair for pair in sorted(rows(whole.train.dataset)) if pair[0] == 8 and pair[1] != 7)
    pair = (*tokens(whole, user), *tokens(whole, item, field="item_id"))
    return unlearn(
        whole.model,
        whole.train,
        whole.valid,
        whole.test,
        users=tokens(whole, 3, 5),
        items=tokens(whole, 7, field="item_id"),
        interactions=[pair],
        method=QUICK,
        task=TASK,
    )


@pytest.fixture
def own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def double():
    """Compute in float64: tables and adjacencies are made in the default type."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)
