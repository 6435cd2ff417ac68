"""Writers: exact round trips, also of the real files, and nothing half-written."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from graphforget.errors import InputError, UnknownName
from graphforget.splits import Splits
from recsys.data import load_splits, load_vocabulary, to_splits
from recsys.readers import Interactions, Vocabulary, read_atomic, read_mmrec
from recsys.writers import write_atomic, write_mmrec
from tests.recsys.files_small import NAMES, odd_splits, same


@pytest.mark.parametrize("vocabulary", [None, NAMES])
def test_mmrec_round_trip_is_exact(tmp_path, vocabulary):
    splits = odd_splits()
    folder = write_mmrec(splits, tmp_path / "new" / "odd", "odd", vocabulary=vocabulary)
    data = read_mmrec(folder)
    assert same(to_splits(data), splits)
    if vocabulary is not None:
        assert data.vocabulary == Vocabulary(NAMES.users, NAMES.items)
    assert sorted(path.name for path in folder.iterdir()) == [
        "i_id_mapping.csv",
        "image_feat.npy",
        "odd.inter",
        "smell_feat.npy",
        "text_feat.npy",
        "u_id_mapping.csv",
    ]


@pytest.mark.parametrize("vocabulary", [None, NAMES])
def test_atomic_round_trip_is_exact(tmp_path, vocabulary):
    splits = odd_splits()
    data = read_atomic(write_atomic(splits, tmp_path, "odd", vocabulary))
    assert same(to_splits(data), splits)
    assert data.vocabulary == (vocabulary or Vocabulary(("0", "1", "2", "3"), ("0", "1", "2", "3")))


def test_a_deleted_interaction_is_not_in_what_is_written(tmp_path):
    splits = odd_splits()
    gone = splits.train.edge_index[:, :1]
    retained = splits._replace(train=splits.train.unlinked(gone))
    for write, read in ((write_mmrec, read_mmrec), (write_atomic, read_atomic)):
        write(splits, tmp_path / write.__name__, "odd")
        data = read(write(retained, tmp_path / write.__name__, "odd"))
        assert same(to_splits(data), retained)
        assert (2, 1) not in set(zip(data.user.tolist(), data.item.tolist(), strict=True))


def test_attributes_that_a_part_does_not_have_are_left_out(tmp_path):
    splits = odd_splits()
    bare = splits._replace(val=replace(splits.val, edge_attrs={"time": splits.val.edge_attrs["time"]}))
    assert read_mmrec(write_mmrec(bare, tmp_path / "m", "odd", features=["text"])).rating is None
    data = read_atomic(write_atomic(bare, tmp_path / "a", "odd"))
    assert data.rating is None
    assert data.time.tolist() == [time for view in bare for time in view.edge_attrs["time"].tolist()]


def test_only_the_modalities_asked_for_are_written(tmp_path):
    assert set(read_mmrec(write_mmrec(odd_splits(), tmp_path, "odd", features=["text"])).features) == {"text"}
    with pytest.raises(UnknownName, match=r"unknown modality .*did you mean 'text'"):
        write_mmrec(odd_splits(), tmp_path / "new", "odd", features=["texts"])
    assert not (tmp_path / "new").exists()


def test_leftovers_that_would_be_read_as_well_are_refused(tmp_path):
    write_mmrec(odd_splits(), tmp_path / "m", "odd")
    with pytest.raises(InputError, match=r"holds image_feat\.npy, which would be read"):
        write_mmrec(odd_splits(), tmp_path / "m", "odd", features=["text"])
    with pytest.raises(InputError, match=r"holds odd\.inter, which would be read"):
        write_mmrec(odd_splits(), tmp_path / "m", "even")
    write_atomic(odd_splits(), tmp_path / "a", "odd")
    bare = Splits(*(replace(view, features={}) for view in odd_splits()))
    with pytest.raises(InputError, match=r"holds odd\.itemsmell, which would be read"):
        write_atomic(bare, tmp_path / "a", "odd")


@pytest.mark.parametrize("write", [write_mmrec, write_atomic])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"users": ("a", "b", "c")}, r"must name 4 users \(got 3\)"),
        ({"users": ("a", "b", "c", "c")}, r"raw ids of users must be unique and not empty \(got 3 of 4 rows\)"),
        ({"items": ("a", "b", "", "d")}, "raw ids of items must be unique and not empty"),
        ({"items": ("a", "b\tb", "c", "d")}, r"items must hold no tab and no end of line \(got 'b\\tb'\)"),
        ({"titles": ("a", "b\nb", "c", "d")}, "titles must hold no tab and no end of line"),
        ({"genres": (("a",),)}, r"must name 4 genres \(got 1\)"),
    ],
)
def test_names_that_cannot_be_written_leave_nothing_behind(tmp_path, write, change, message):
    with pytest.raises(InputError, match=message):
        write(odd_splits(), tmp_path / "new", "odd", vocabulary=replace(NAMES, **change))
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("write", [write_mmrec, write_atomic])
def test_splits_that_do_not_fit_leave_nothing_behind(tmp_path, write):
    splits = odd_splits()
    wrong = {
        r"of one size \(got": splits._replace(test=replace(splits.test, size=(5, 4))),
        "must be bipartite": splits._replace(val=replace(splits.val, bipartite=False)),
        r"must have 4 rows \(got 3\)": splits._replace(
            train=replace(splits.train, features={"image": torch.ones(3, 2)})
        ),
        r"must have shape \[4, F\] \(got \[4\]\)": splits._replace(
            train=replace(splits.train, features={"image": torch.ones(4)})
        ),
        "holds NaN or infinity": splits._replace(
            train=replace(splits.train, features={"image": torch.full((4, 2), torch.nan)})
        ),
    }
    for message, parts in wrong.items():
        with pytest.raises(InputError, match=message):
            write(parts, tmp_path / "new", "odd")
    for name in ("", "a/b", "a.b", "a*"):
        with pytest.raises(InputError, match="name must be a plain file name without a dot"):
            write(splits, tmp_path / "new", name)
    assert not (tmp_path / "new").exists()


def test_a_genre_of_two_words_is_refused(tmp_path):
    names = replace(NAMES, genres=(("no genre",), (), (), ()))
    with pytest.raises(InputError, match="genre must be one word"):
        write_atomic(odd_splits(), tmp_path, "odd", names)


@pytest.mark.parametrize("write", [write_mmrec, write_atomic])
def test_a_write_that_fails_leaves_the_old_files_whole(tmp_path, write):
    write(odd_splits(), tmp_path, "odd")
    blocked = tmp_path / ("odd.inter" if write is write_mmrec else "odd.test.inter")
    blocked.unlink()
    blocked.mkdir()
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    with pytest.raises(OSError, match="odd"):
        write(odd_splits(), tmp_path, "odd")
    assert {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


def test_both_forms_of_ml_posters_hold_the_same(data_root):
    folder = data_root / "ml_posters"
    if not folder.is_dir():
        pytest.skip("needs ml_posters")
    ours, theirs = read_mmrec(folder / "mmrec"), read_atomic(folder / "recbole" / "mlls_posters")
    assert theirs.vocabulary.items == ours.vocabulary.items
    assert theirs.vocabulary.users == ours.vocabulary.users

    def rows(data: Interactions) -> list[tuple[float, ...]]:
        columns = (data.user, data.item, data.part, data.rating, data.time)
        return sorted(zip(*(column.tolist() for column in columns), strict=True))

    assert rows(ours) == rows(theirs)
    assert ours.features.keys() == theirs.features.keys() == {"image", "text"}
    for name, values in ours.features.items():
        assert np.abs(values - theirs.features[name]).max() < 0.005  # three decimals, from float16
    assert theirs.vocabulary.titles[:2] == load_vocabulary("ml_posters", data_root).titles[:2]


def test_ml_posters_survives_both_round_trips(data_root, tmp_path):
    if not (data_root / "ml_posters").is_dir():
        pytest.skip("needs ml_posters")
    splits, names = load_splits("ml_posters", data_root), load_vocabulary("ml_posters", data_root)
    assert same(to_splits(read_mmrec(write_mmrec(splits, tmp_path / "m", "ml", vocabulary=names))), splits)
    plain = replace(names, genres=tuple(tuple(each.replace(" ", "_") for each in genres) for genres in names.genres))
    data = read_atomic(write_atomic(splits, tmp_path / "a", "ml", plain))
    assert same(to_splits(data), splits)
    assert data.vocabulary == plain
