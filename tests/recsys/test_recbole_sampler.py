"""Our negative sampler in RecBole's own loaders and trainer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

pytest.importorskip("recbole", reason="needs RecBole: pip install --no-deps recbole==1.2.1")

from graphforget.errors import InputError, UnknownName
from recsys.recbole import KernelSampler, compatible
from tests.recsys.recbole_small import run, write_small
from tests.small import same_random_state


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return run("BPR", write_small(tmp_path_factory.mktemp("recbole")), fit=False)


@pytest.fixture(scope="module")
def parts(small):
    return [small.train.dataset, small.valid.dataset, small.test.dataset]


@pytest.fixture(scope="module")
def sampler(parts):
    return KernelSampler(["train", "valid", "test"], parts)


@pytest.mark.parametrize("phase", ["train", "valid", "test"])
def test_it_hides_what_recboles_sampler_hides(sampler, parts, phase):
    with compatible():
        from recbole.sampler import Sampler

        theirs = Sampler(["train", "valid", "test"], parts).set_phase(phase)
    ours = sampler.set_phase(phase)
    assert ours.phase == phase
    assert list(ours.used_ids) == list(theirs.used_ids)
    users = np.arange(1, ours.user_num).repeat(50)
    drawn = ours.sample_by_user_ids(users, None, 2).numpy()
    assert drawn.dtype == np.int64
    assert drawn.min() >= 1
    assert drawn.max() < ours.item_num
    assert not any(item in theirs.used_ids[user] for user, item in zip(np.tile(users, 2), drawn, strict=True))


def test_draws_are_uniform_or_by_popularity_and_leave_numpys_state(parts):
    for distribution in ("uniform", "popularity"):
        ours = KernelSampler(["train"], parts[:1], distribution, alpha=0.5).set_phase("train")
        user = 3
        with same_random_state():
            drawn = ours.sample_by_user_ids([user] * 20_000, None, 1).numpy()
        items = parts[0].inter_feat[parts[0].iid_field].numpy()
        share = (
            np.bincount(items, minlength=ours.item_num) ** 0.5
            if distribution == "popularity"
            else np.ones(ours.item_num)
        )
        share[[0, *ours.used_ids[user]]] = 0
        hits = np.bincount(drawn, minlength=ours.item_num)
        assert not hits[share == 0].any()
        assert stats.chisquare(hits[share > 0], share[share > 0] / share.sum() * 20_000).pvalue > 1e-4


def test_each_call_draws_anew_and_a_seed_draws_again(parts):
    one, other = (KernelSampler(["train"], parts[:1], seed=4).set_phase("train") for _ in range(2))
    users = np.arange(1, 40)
    first = one.sample_by_user_ids(users, None, 3)
    assert other.sample_by_user_ids(users, None, 3).equal(first)
    assert not one.sample_by_user_ids(users, None, 3).equal(first)


def test_recboles_loader_and_trainer_run_on_it(small, sampler, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with compatible():
        from recbole.data.utils import get_dataloader

        from recsys.recbole.loaders import quiet_trainer

        train = sampler.set_phase("train")
        loader = get_dataloader(small.config, "train")(small.config, small.train.dataset, train, shuffle=True)
        batch = next(iter(loader))
        users, negatives = batch[small.train.dataset.uid_field], batch["neg_item_id"]
        used = train.used_ids
        assert not any(int(i) in used[int(u)] for u, i in zip(users, negatives, strict=True))
        trainer = quiet_trainer(small.config, small.model)
        losses = [trainer._train_epoch(loader, epoch, show_progress=False) for epoch in range(2)]
    assert losses[1] < losses[0]
    assert torch.isfinite(small.model.user_embedding.weight).all()


def test_what_is_refused(sampler, parts):
    with pytest.raises(InputError, match="each phase needs a data set"):
        KernelSampler(["train", "valid"], parts[:1])
    with pytest.raises(UnknownName, match="did you mean 'popularity'"):
        KernelSampler("train", parts[0], "popular")
    with pytest.raises(UnknownName, match="unknown phase"):
        sampler.set_phase("tests")
    with pytest.raises(InputError, match="has no phase"):
        sampler.sample_by_user_ids([1], None, 1)
    with pytest.raises(InputError, match="users must lie in"):
        sampler.set_phase("train").sample_by_user_ids([10**6], None, 1)
