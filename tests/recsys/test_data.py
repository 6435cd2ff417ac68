"""Recommender data sets: published counts, given and drawn splits, forget sets, text features, errors."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from graphforget.errors import InputError, MissingExtra, UnknownName
from graphforget.forget import ForgetSplit
from recsys import data
from recsys.cards import DATASETS, FORGET_SETS, Card
from recsys.data import forget_users, load_splits, load_vocabulary, text_features, to_splits
from recsys.readers import Interactions, Vocabulary, read_cure4rec, read_lightgcn
from recsys.selectors import draw
from recsys.writers import write_atomic
from tests.small import edges_of, same_random_state

WHEEL = importlib.util.find_spec("recbole") is not None
needs_wheel = pytest.mark.skipif(not WHEEL, reason="needs the RecBole wheel, which holds ml-100k")


@pytest.fixture
def root(data_root):
    """The data folder, where the recommender sets are in it."""
    for name in ("ml_posters", "gowalla", "cure4rec"):
        if not (data_root / DATASETS[name].folder).is_dir():
            pytest.skip(f"needs {name}")
    return data_root


def interactions(users: int = 40, items: int = 30, seed: int = 0, part=None) -> Interactions:
    """Random distinct pairs; user 0 has one, user 1 two, and the last item occurs once."""
    rng = np.random.default_rng(seed)
    have = rng.random((users, items)) < 0.4
    have[:2] = have[:, -1] = False
    have[0, 0] = have[1, 0] = have[1, 1] = have[5, -1] = True
    user, item = have.nonzero()
    order = rng.permutation(len(user))
    names = Vocabulary(tuple(map(str, range(users))), tuple(map(str, range(items))))
    return Interactions(user[order], item[order], names, None if part is None else np.full(len(user), part))


# --- published counts


def test_ml_posters_as_published(root):
    splits = load_splits("ml_posters", root)
    assert [view.num_edges for view in splits] == [44_896, 5_624, 5_625]
    for view in splits:
        assert view.size == (597, 1846)
        assert view.bipartite
        assert not view.undirected
        assert view.features is splits.train.features
        assert view.edge_attrs["rating"].dtype == torch.float32
        assert float(view.edge_attrs["time"].min()) > 8e8
    for values in splits.train.features.values():
        assert values.shape == (1846, 128)
        assert values.dtype == torch.float32
        assert torch.isfinite(values).all()
        assert float(values.std()) == pytest.approx(1, abs=1e-3)
    assert list(splits.train.features) == ["image", "text"]
    assert int(splits.train.degree.min()) == 3
    assert int(splits.train.degree.max()) == 908
    names = load_vocabulary("ml_posters", root)
    assert names.items[:3] == ("1", "2", "3")
    assert names.titles[0] == "Toy Story (1995)"
    assert names.genres[1] == ("Adventure", "Children", "Fantasy")


def test_gowalla_as_published_with_validation_held_out(root):
    splits = load_splits("gowalla", root)
    raw = read_lightgcn(root / "gowalla")
    assert splits.train.size == (29_858, 40_981)
    assert splits.test.num_edges == 217_242
    assert splits.train.num_edges + splits.val.num_edges == 810_128
    assert 0.05 * 810_128 < splits.val.num_edges < 0.06 * 810_128
    whole = np.bincount(raw.user[raw.part == 0], minlength=29_858)
    assert (whole - splits.train.degree.numpy() == splits.val.degree.numpy()).all()
    assert (splits.val.degree.numpy() <= np.maximum(1, np.rint(0.05 * whole))).all()
    assert (torch.bincount(splits.train.edge_index[1], minlength=40_981) > 0).all()
    assert not splits.train.has_edges(torch.cat([splits.val.edge_index, splits.test.edge_index], dim=1)).any()


def test_cure4rec_as_published_with_its_forget_sets(root):
    splits = load_splits("cure4rec", root)
    assert splits.train.size == (943, 1_349)
    assert splits.train.num_edges + splits.val.num_edges == 79_045
    assert splits.test.num_edges == 20_242
    assert set(splits.train.edge_attrs["rating"].tolist()) == {1, 2, 3, 4, 5}
    raw = read_cure4rec(root / "cure4rec" / "ml-100k")
    rows = {}
    for which in FORGET_SETS:
        users = forget_users("cure4rec", which, root)
        assert (users.diff() > 0).all()
        rows[which] = int(np.isin(raw.user[raw.part == 0], users.numpy()).sum())
    assert rows == {"core-5": 14_831, "core-20": 40_583, "edge-5": 750, "edge-20": 3_443}
    core, edge = forget_users(which="core-5", root=root), forget_users(which="edge-5", root=root)
    assert int(splits.train.degree[core].min()) > int(splits.train.degree[edge].max())


@needs_wheel
def test_ml100k_comes_from_the_wheel_without_importing_it(monkeypatch, tmp_path):
    monkeypatch.delenv("GRAPHFORGET_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    loaded = "recbole" in sys.modules
    with same_random_state():
        splits = load_splits()
    assert ("recbole" in sys.modules) == loaded
    assert splits.train.size == (943, 1682)
    assert sum(view.num_edges for view in splits) == 100_000
    assert [round(view.num_edges / 1000) for view in splits] == [80, 10, 10]
    assert splits.train.edge_attrs.keys() == {"time", "rating"}
    assert (splits.train.degree > 0).all()
    assert (torch.bincount(splits.train.edge_index[1], minlength=1682) > 0).all()
    text = splits.train.features["text"]
    assert text.shape == (1682, 64)
    assert float(text.std()) == pytest.approx(1, abs=1e-3)
    assert (text != 0).any(1).all()
    again, other = load_splits("ml100k"), load_splits("ml100k", seed=1)
    assert again.train.edge_index.equal(splits.train.edge_index)
    assert again.train.features["text"].equal(text)
    assert not other.train.edge_index.equal(splits.train.edge_index)
    names = load_vocabulary()
    assert names.users[-1] == "943"
    assert names.titles[0] == "Toy Story (1995)"
    assert names.genres[0] == ("Animation", "Children's", "Comedy")


@needs_wheel
def test_a_folder_that_holds_ml100k_comes_before_the_wheel(tmp_path):
    folder = tmp_path / "ml-100k"
    folder.mkdir()
    (folder / "ml-100k.inter").write_text("user_id:token\titem_id:token\n1\t1\n")
    (folder / "ml-100k.item").write_text("item_id:token\n1\n")
    with pytest.raises(InputError, match=rf"{tmp_path}.* gives MovieLens 100K 1 users, expected 943"):
        load_splits("ml100k", tmp_path)


def test_without_the_wheel_the_remedy_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "recbole", None)  # as where it is not installed
    with pytest.raises(MissingExtra, match=r"pip install 'graphforget\[recbole\]' && pip install --no-deps recbole"):
        load_splits("ml100k", tmp_path)


def test_every_card_can_be_read_and_says_what_it_is():
    for card in DATASETS.values():
        assert card.layout in data.READERS
        assert card.source
        assert card.licence
        assert card.parts is None or sum(card.parts) == card.interactions


# --- errors


@pytest.mark.parametrize("load", [load_splits, load_vocabulary])
def test_an_unknown_name_brings_the_nearest(load):
    with pytest.raises(UnknownName, match="did you mean 'clothing'"):
        load("cloting")


def test_forget_sets_are_cure4recs_only():
    with pytest.raises(UnknownName, match="unknown data set with forget sets"):
        forget_users("gowalla")
    with pytest.raises(UnknownName, match="unknown forget set"):
        forget_users(which="core-10")


def test_a_data_set_that_is_not_there_names_files_and_places(tmp_path, monkeypatch):
    monkeypatch.setenv("GRAPHFORGET_CACHE", str(tmp_path / "cache"))
    with pytest.raises(
        InputError, match=r"Amazon Baby is not on disk: .*baby and .*cache.* must hold baby\.inter, ima"
    ):
        load_splits("baby", tmp_path)
    with pytest.raises(InputError, match="root must name a folder"):
        load_splits("baby", tmp_path / "nowhere")
    monkeypatch.setenv("GRAPHFORGET_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="GRAPHFORGET_DATA must name a folder"):
        load_splits("baby")


def small_baby(folder, monkeypatch) -> Card:
    """A few lines in Baby's true format, and the card that fits them."""
    folder.mkdir()
    lines = ["0\t0\t5.0\t1\t0", "0\t1\t4.0\t2\t1", "1\t1\t3.0\t3\t0", "1\t0\t2.0\t4\t2"]
    (folder / "baby.inter").write_text("\n".join(["userID\titemID\trating\ttimestamp\tx_label", *lines, ""]))
    np.save(folder / "image_feat.npy", np.ones((2, 4096), dtype=np.float32))
    np.save(folder / "text_feat.npy", np.ones((2, 384), dtype=np.float32))
    card = replace(DATASETS["baby"], users=2, items=2, interactions=4, parts=(2, 1, 1))
    monkeypatch.setitem(data.DATASETS, "baby", card)
    return card


@pytest.mark.parametrize("beside", [True, False])
def test_an_mmrec_set_is_found_below_the_root_or_in_it(tmp_path, monkeypatch, beside):
    small_baby(tmp_path / "baby", monkeypatch)
    splits = load_splits("baby", tmp_path if beside else tmp_path / "baby")
    assert [view.edge_index.T.tolist() for view in splits] == [[[0, 0], [1, 1]], [[0, 1]], [[1, 0]]]
    assert splits.train.edge_attrs["rating"].tolist() == [5, 3]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"users": 3}, r"gives Amazon Baby 2 users, expected 3; get the published files, or read your own with recsys"),
        ({"items": 3}, "2 items, expected 3"),
        ({"interactions": 5}, "4 interactions, expected 5"),
        ({"parts": (2, 2, 0)}, r"\(2, 1, 1\) train / valid / test, expected \(2, 2, 0\)"),
        ({"modalities": {"text": 768}}, "384 text columns, expected 768"),
    ],
)
def test_counts_other_than_published_are_refused(tmp_path, monkeypatch, change, message):
    card = small_baby(tmp_path / "baby", monkeypatch)
    monkeypatch.setitem(data.DATASETS, "baby", replace(card, **change))
    with pytest.raises(InputError, match=message):
        load_splits("baby", tmp_path)


def test_a_forget_set_other_than_published_is_refused(root, tmp_path):
    for file in DATASETS["cure4rec"].files:
        (tmp_path / file).symlink_to(root / "cure4rec" / "ml-100k" / file)
    (tmp_path / "unlearn_set").mkdir()
    path = tmp_path / FORGET_SETS["edge-5"].file
    path.write_text("uid,iid,val,tag\n3,0,5,1\n")
    with pytest.raises(InputError, match=r"expected 47 users, 951 rows and 750 of them in train \(got \(1, 1, "):
        forget_users(which="edge-5", root=tmp_path)
    path.write_text("uid,iid,val,tag\n943,0,5,1\n")
    with pytest.raises(InputError, match="line 2: uid must be one of the 943 users"):
        forget_users(which="edge-5", root=tmp_path)


# --- splits that are drawn


@pytest.mark.parametrize("seed", range(5))
def test_a_random_split_is_per_user_and_leaves_nobody_without_training(seed):
    given = interactions(seed=seed)
    with same_random_state():
        splits = to_splits(given, seed=seed)
    parts = [edges_of(view.edge_index) for view in splits]
    assert parts[0] + parts[1] + parts[2] == edges_of(torch.from_numpy(np.stack([given.user, given.item])))
    assert not parts[0].keys() & parts[1].keys()
    assert not parts[0].keys() & parts[2].keys()
    assert set(splits.train.edge_index[0].tolist()) == set(given.user.tolist())
    assert set(splits.train.edge_index[1].tolist()) == set(given.item.tolist())
    count = np.bincount(given.user)
    share = np.maximum(1, np.rint(0.1 * count))
    for view in splits[1:]:
        assert (np.bincount(view.edge_index[0], minlength=40) <= share).all()
    held = torch.cat([splits.val.edge_index, splits.test.edge_index], dim=1)
    assert held.shape[1] >= 2 * share.sum() - 30 - 3  # at most one an item came back, and three of the first users
    assert not (held[1] == 29).any()


def test_a_split_follows_its_seed():
    given = interactions()
    one, two, three = to_splits(given), to_splits(given), to_splits(given, seed=1)
    assert one.test.edge_index.equal(two.test.edge_index)
    assert not one.test.edge_index.equal(three.test.edge_index)


def test_every_interaction_is_as_likely_to_be_tested():
    names = Vocabulary(tuple(map(str, range(40))), tuple(map(str, range(10))))
    given = Interactions(np.repeat(np.arange(40), 10), np.tile(np.arange(10), 40), names)
    hits = sum(torch.bincount(to_splits(given, seed=seed).test.edge_index[1], minlength=10) for seed in range(10))
    assert int(hits.sum()) == 400
    assert float(((hits - 40) ** 2 / 40).sum()) < 27.9  # chi-square, 9 degrees of freedom, p = .001


def test_validation_is_held_out_of_train_only():
    given = interactions()
    part = np.where(given.item == 3, 2, 0)
    splits = to_splits(replace(given, part=part))
    assert (splits.test.edge_index[1] == 3).all()
    assert not (splits.val.edge_index[1] == 3).any()
    count = np.bincount(given.user[part == 0], minlength=40)
    assert splits.val.num_edges <= np.maximum(1, np.rint(0.05 * count))[count > 1].sum()
    assert (splits.train.degree.numpy()[count > 0] > 0).all()


def test_repeated_interactions_stay_in_one_part():
    given = interactions()
    twice = replace(given, user=np.tile(given.user, 2), item=np.tile(given.item, 2))
    splits = to_splits(twice)
    held = torch.cat([splits.val.edge_index, splits.test.edge_index], dim=1)
    assert not splits.train.has_edges(held).any()
    assert set(edges_of(splits.train.edge_index).values()) == {2}


def test_parts_that_cannot_be_used_are_refused():
    with pytest.raises(InputError, match=r"needs a train and a test part \(got \[\d+, 0, 0\]"):
        to_splits(interactions(part=0))
    nothing = np.empty(0, dtype=np.int64)
    with pytest.raises(InputError, match="hold no interaction"):
        to_splits(Interactions(nothing, nothing, Vocabulary((), ())))
    with pytest.raises(InputError, match=r"features\['image'\] must have 30 rows \(got 29\)"):
        to_splits(replace(interactions(), features={"image": np.ones((29, 2), dtype=np.float32)}))
    with pytest.raises(InputError, match="target ids must lie in"):
        to_splits(replace(interactions(), item=interactions().item + 30))


# --- text features


def test_text_features_are_near_for_items_that_share_words():
    titles = ("Alien (1979)", "Aliens (1986)", "Toy Story (1995)", "Toy Story 2 (1999)", "Nothing")
    genres = (("Horror",), ("Horror",), ("Animation",), ("Animation",), ("Drama",))
    with same_random_state():
        values = text_features(Vocabulary((), tuple("abcde"), titles, genres), columns=3)
    assert values.dtype == np.float32
    assert float(values.std()) == pytest.approx(1, abs=1e-5)
    unit = values / np.linalg.norm(values, axis=1, keepdims=True)
    near = unit @ unit.T
    assert near[2, 3] > 0.9
    assert near[2, 3] > near[2, 0]
    with pytest.raises(InputError, match=r"columns must lie in \[1, \d+\], the number of words \(got 64\)"):
        text_features(Vocabulary((), ("a",), titles[:1], genres[:1]))
    with pytest.raises(InputError, match="need titles and genres"):
        text_features(Vocabulary((), ("a",)))


# --- requests on real data


@pytest.mark.parametrize(
    "kind", ["user", "item", "user_item", "user_interaction", "interaction", "modality", "preference"]
)
def test_forget_and_retain_make_up_the_data(root, kind):
    splits = load_splits("ml_posters", root)
    request = draw(splits, kind, ratio=2)
    split = ForgetSplit.of(splits.train, request, splits.val)
    assert split.retain.size == split.forget.size == splits.train.size
    if kind == "modality":
        rows = request.parts["modality:image"]
        assert split.retain.edge_index.equal(splits.train.edge_index)
        assert not split.retain.features["image"][rows].any()
        assert split.retain.features["text"].equal(splits.train.features["text"])
        return
    forget, retain = edges_of(split.forget.edge_index), edges_of(split.retain.edge_index)
    assert forget + retain == edges_of(splits.train.edge_index)
    assert not forget.keys() & retain.keys()
    assert split.retain.edge_attrs["time"].shape[0] == split.retain.num_edges


# --- RecBole reads what we write


@pytest.fixture
def numpy_with_old_names():
    """The names of numpy 1 that RecBole's Config asks for; numpy is left as it was found."""
    before = dict(vars(np))
    for name, kind in (("float_", np.float64), ("complex_", np.complex128), ("unicode_", np.str_)):
        vars(np).setdefault(name, kind)
    yield
    vars(np).clear()
    vars(np).update(before)


@needs_wheel
def test_recbole_preloads_our_modalities_row_for_row(root, tmp_path, monkeypatch, numpy_with_old_names):
    recbole_config = pytest.importorskip("recbole.config", reason="needs RecBole's own packages")
    recbole_data = pytest.importorskip("recbole.data", reason="needs RecBole's own packages")
    monkeypatch.setattr(sys, "argv", ["pytest"])  # RecBole reads settings from it
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # which RecBole sets; this puts it back
    splits = load_splits("ml_posters", root)
    write_atomic(splits, tmp_path / "ml", "ml")
    shipped = root / "ml_posters" / "recbole"
    for path, name, items in (
        (tmp_path, "ml", None),
        (shipped, "mlls_posters", load_vocabulary("ml_posters", root).items),
    ):
        settings = {
            "data_path": str(path),
            "benchmark_filename": ["train", "valid", "test"],
            "load_col": {"inter": ["user_id", "item_id"], "itemvis": ["vid", "vis_emb"]},
            "additional_feat_suffix": ["itemvis"],
            "alias_of_item_id": ["vid"],
            "preload_weight": {"vid": "vis_emb"},
            "state": "ERROR",
        }
        config = recbole_config.Config(model="BPR", dataset=name, config_dict=settings)
        dataset = recbole_data.create_dataset(config)
        weight = dataset.get_preload_weight("vid")
        tokens = items or tuple(map(str, range(1846)))
        rows = [dataset.token2id("item_id", token) for token in tokens]
        assert dataset.item_num == 1847
        assert not weight[0].any()
        image = splits.train.features["image"].numpy()
        assert np.abs(weight[rows].astype(np.float32) - image).max() <= (0 if items is None else 0.005)
