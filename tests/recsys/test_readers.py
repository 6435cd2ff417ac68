"""Readers and writers: each raw format, what is broken in it by file and line, and exact round trips."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from graphforget.errors import InputError, UnknownName
from graphforget.graph import Graph
from graphforget.splits import Splits
from recsys.data import load_splits, load_vocabulary, to_splits
from recsys.readers import Interactions, Vocabulary, read_atomic, read_cure4rec, read_lightgcn, read_mmrec, read_movies
from recsys.writers import write_atomic, write_mmrec
from tests.small import snapshot

INTER = (
    "userID\titemID\trating\ttimestamp\tx_label\n"
    "0\t1\t4.5\t964980499\t0\n1\t0\t3\t964980500\t1\n1\t2\t5\t964980501\t2\n"
)
RAW = "user_id:token\titem_id:token\n"


def lay(folder: Path, **files: str) -> Path:
    """Write text files; a double underscore in a name is a dot."""
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def mmrec(tmp_path) -> Path:
    """Three interactions of two users and three items with two modalities."""
    lay(tmp_path, tiny__inter=INTER)
    np.save(tmp_path / "image_feat.npy", np.arange(6, dtype=np.float16).reshape(3, 2))
    np.save(tmp_path / "text_feat.npy", np.ones((3, 4)))
    return tmp_path


def odd_splits() -> Splits[Graph]:
    """Parts whose numbers need all their digits, with an item and a user that nobody has or is."""
    rng = np.random.default_rng(0)
    features = {
        "image": torch.from_numpy(rng.standard_normal((4, 3)).astype(np.float32)),
        "text": torch.tensor([[1e-30, 1 / 3], [-0.0, 3e38], [0.1, 7.0], [2.0**-149, 1.0]]),
        "smell": torch.eye(4),
    }
    views = []
    for pairs in ([[2, 0, 0], [1, 1, 0]], [[1], [2]], [[0, 2], [2, 0]]):
        edges = torch.tensor(pairs)
        attrs = {
            "time": torch.from_numpy(964980499 + rng.random(edges.shape[1])),
            "rating": torch.from_numpy(rng.random(edges.shape[1]).astype(np.float32)),
        }
        views.append(Graph(edges, (4, 4), bipartite=True, features=features, edge_attrs=attrs))
    return Splits(*views)


NAMES = Vocabulary(
    ("zoe", "7", "ann", "007"),
    ("x-1", "ü", "b 2", "10"),
    ("Heat (1995)", "", "Being There", "Æon Flux (2005)"),
    (("Crime", "Drama"), (), ("Comedy",), ("Sci-Fi",)),
)


def same(left: Splits[Graph], right: Splits[Graph]) -> bool:
    """Bit for bit the same tensors in every part."""
    if [view.size for view in left] != [view.size for view in right]:
        return False
    pairs = [(snapshot(a), snapshot(b)) for a, b in zip(left, right, strict=True)]
    return all(a.keys() == b.keys() and all(a[key].equal(b[key]) for key in a) for a, b in pairs)


# --- MMRec


def test_mmrec_reads_columns_parts_and_float32_features(mmrec):
    data = read_mmrec(mmrec)
    assert data.user.tolist() == [0, 1, 1]
    assert data.item.tolist() == [1, 0, 2]
    assert data.part.tolist() == [0, 1, 2]
    assert data.rating.tolist() == [4.5, 3, 5]
    assert data.time.tolist() == [964980499, 964980500, 964980501]
    assert {name: values.dtype for name, values in data.features.items()} == dict.fromkeys(
        ("image", "text"), np.float32
    )
    assert data.features["image"].tolist() == [[0, 1], [2, 3], [4, 5]]
    assert data.vocabulary.items == ("0", "1", "2")


def test_mmrec_takes_raw_ids_and_items_without_interactions_from_the_mapping(mmrec):
    lay(mmrec, i_id_mapping__csv="asin\titemID\nB3\t3\nB0\t0\nB1\t1\nB2\t2\n")
    for name in ("image", "text"):
        np.save(mmrec / f"{name}_feat.npy", np.ones((4, 2)))
    data = read_mmrec(mmrec)
    assert data.size == (2, 4)
    assert data.vocabulary.items == ("B0", "B1", "B2", "B3")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (INTER.partition("\n")[2], r"tiny\.inter: line 1 must be the header 'userID\\titemID.*x_label' \(got '0\\t1"),
        (INTER.replace("\tx_label", "\tsplit"), r"line 1 must be the header"),
        ("", r"line 1 must be the header .* \(got ''\)"),
        (INTER.replace("1\t0\t3\t", "1\t0\t"), r"tiny\.inter: line 3 must have 5 cells, .* \(got 4: '1\\t0"),
        (INTER.replace("1\t2\t5", "1\tx2\t5"), r"line 4: itemID must be a whole number, 0 or more \(got 'x2'\)"),
        (INTER.replace("1\t2\t5", "1\t-2\t5"), r"line 4: itemID must be a whole number, 0 or more \(got '-2'\)"),
        (
            INTER.replace("\t1\n", "\t3\n"),
            r"line 3: x_label must be 0 \(train\), 1 \(valid\) or 2 \(test\) \(got '3'\)",
        ),
        (INTER.replace("4.5", "nan"), r"line 2: rating must be a finite number \(got 'nan'\)"),
        (INTER.replace("4.5", "good"), r"line 2: rating must be a finite number \(got 'good'\)"),
        (INTER.replace("1\t0", "\n1\t0"), r"line 3 must have 5 cells"),
    ],
)
def test_mmrec_names_the_line_that_is_broken(mmrec, text, message):
    lay(mmrec, tiny__inter=text)
    with pytest.raises(InputError, match=message):
        read_mmrec(mmrec)


def test_mmrec_names_features_that_do_not_fit(mmrec):
    np.save(mmrec / "image_feat.npy", np.ones((2, 2)))
    with pytest.raises(InputError, match=r"image_feat\.npy: must have 3 rows \(got 2\), one for each item of tiny"):
        read_mmrec(mmrec)
    np.save(mmrec / "image_feat.npy", np.array([[1, 2], [np.nan, 1], [0, np.inf]]))
    with pytest.raises(InputError, match=r"image_feat\.npy: rows 1, 2 hold NaN or infinity"):
        read_mmrec(mmrec)
    np.save(mmrec / "image_feat.npy", np.ones(3))
    with pytest.raises(InputError, match=r"must be a numeric matrix \[items, F\] \(got float64 \[3\]\)"):
        read_mmrec(mmrec)
    np.save(mmrec / "image_feat.npy", np.array([{"a": 1}, 2, 3], dtype=object))
    with pytest.raises(InputError, match=r"image_feat\.npy: cannot be read as a numeric array"):
        read_mmrec(mmrec)
    (mmrec / "image_feat.npy").write_bytes(b"\x93NUMPY\x01")
    with pytest.raises(InputError, match=r"image_feat\.npy: cannot be read as a numeric array"):
        read_mmrec(mmrec)


def test_mmrec_names_items_that_the_mapping_does_not_know(mmrec):
    lay(mmrec, i_id_mapping__csv="itemID\tasin\n0\ta\n1\tb\n")
    with pytest.raises(InputError, match=r"tiny\.inter: itemID 2 not among the 2 of i_id_mapping\.csv"):
        read_mmrec(mmrec)
    lay(mmrec, i_id_mapping__csv="itemID\tasin\n0\ta\n0\tb\n2\tc\n")
    with pytest.raises(InputError, match="must number the rows 0 to 2 once each"):
        read_mmrec(mmrec)
    lay(mmrec, i_id_mapping__csv="itemID\n0\n1\n2\n")
    with pytest.raises(InputError, match="line 1 must be"):
        read_mmrec(mmrec)


def test_mmrec_wants_one_data_set_in_a_folder_that_exists(tmp_path):
    with pytest.raises(InputError, match="data folder must exist"):
        read_mmrec(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"must hold one \.inter file \(got none\)"):
        read_mmrec(tmp_path)
    lay(tmp_path, a__inter=INTER, b__inter=INTER)
    with pytest.raises(InputError, match=r"\(got a\.inter, b\.inter\)"):
        read_mmrec(tmp_path)
    (tmp_path / "b.inter").unlink()
    (tmp_path / "a.inter").write_bytes(b"userID\titemID\tx_label\n\xff\t1\t0\n")
    with pytest.raises(InputError, match=r"a\.inter must be UTF-8 text"):
        read_mmrec(tmp_path)


def test_lines_may_end_as_on_windows(mmrec):
    lay(mmrec, tiny__inter=INTER.replace("\n", "\r\n") + "\r\n")
    assert read_mmrec(mmrec).part.tolist() == [0, 1, 2]


# --- RecBole


def test_atomic_without_a_split_keeps_the_order_of_numbers(tmp_path):
    data = read_atomic(lay(tmp_path, a__inter=RAW + "10\t5\n9\t10\n10\t10\n"))
    assert data.part is None
    assert data.vocabulary == Vocabulary(("9", "10"), ("5", "10"))
    assert data.user.tolist() == [1, 0, 1]
    assert data.item.tolist() == [0, 1, 1]
    assert data.time is None
    assert data.rating is None


def test_atomic_rows_follow_the_files_of_users_and_items(tmp_path):
    lay(
        tmp_path,
        a__inter="rating:float\titem_id:token\tuser_id:token\n3.5\tx\tbob\n",
        a__user="user_id:token\tage:float\nann\t3\nbob\t4\n",
        a__item="item_id:token\ttitle:token_seq\trelease_year:token\tclass:token_seq\nx\tHeat\t1995\tCrime Drama\n"
        "y\tUnknown\tV\t\n",
    )
    data = read_atomic(tmp_path)
    assert data.user.tolist() == [1]
    assert data.rating.tolist() == [3.5]
    assert data.vocabulary.titles == ("Heat (1995)", "Unknown")
    assert data.vocabulary.genres == (("Crime", "Drama"), ())
    assert data.size == (2, 2)


def test_atomic_reads_the_split_and_every_modality(tmp_path):
    lay(
        tmp_path,
        a__train__inter=RAW + "u\tx\nv\ty\n",
        a__test__inter=RAW + "u\ty\n",
        a__inter="not read, since the split is there",
        a__item="item_id:token\tembedding:float_seq\ny\t1 2\nx\t3 4\n",
        a__itemvis="vid:token\tvis_emb:float_seq\nx\t0.5\ny\t-1e-3\n",
        a__itemtxt="txt_emb:float_seq\ttid:token\n1 2 3\ty\n4 5 6\tx\n",
        a__itemsmell="sid:token\tsmell:float_seq\nx\t1\ny\t2\n",
        b__itemvis="of another data set",
    )
    data = read_atomic(tmp_path)
    assert data.part.tolist() == [0, 0, 2]
    assert data.vocabulary.items == ("y", "x")
    assert {name: values.tolist() for name, values in data.features.items()} == {
        "embedding": [[1, 2], [3, 4]],
        "image": [[np.float32(-1e-3)], [0.5]],
        "text": [[1, 2, 3], [4, 5, 6]],
        "smell": [[2], [1]],
    }


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a__inter": "user_id\titem_id\n1\t2\n"}, r"a\.inter: line 1 must be the header 'user_id:token\\titem_id"),
        ({"a__inter": "user_id:token\titem_id:int\n1\t2\n"}, "line 1 must be the header"),
        ({"a__inter": "user_id:token\tuser_id:token\n1\t2\n"}, "line 1 must be the header"),
        ({"a__inter": RAW + "1\t2\n1\n"}, r"a\.inter: line 3 must have 2 cells"),
        ({"a__item": "item_id:token\nx\n"}, r"a\.inter: line 3: unknown item_id y: not in a\.item"),
        ({"a__user": "user_id:token\nu\nu\n"}, r"a\.user: user_id must be unique \(got u more than once\)"),
        ({"a__itemvis": "vid:token\tv:float\nx\t1\n"}, r"a\.itemvis: line 1 must be 'vid:token\\tvis_emb:float_seq'"),
        (
            {"a__itemvis": "vid:token\tv:float_seq\nx\t1\n"},
            r"must have 2 rows \(got 1\), one for each item; no row for y",
        ),
        ({"a__itemvis": "vid:token\tv:float_seq\nx\t1\ny\t2\nx\t3\n"}, r"got 3\), one for each item; an item has two"),
        ({"a__itemvis": "vid:token\tv:float_seq\nx\t1\nz\t2\n"}, r"a\.itemvis: line 3: unknown vid z"),
        ({"a__itemvis": "vid:token\tv:float_seq\nx\t1 2\ny\t2\n"}, r"a\.itemvis: line 3: v must be 2 numbers .*'2'"),
        ({"a__itemvis": "vid:token\tv:float_seq\nx\t1\ny\tone\n"}, r"a\.itemvis: line 3: v must be 1 numbers .*'one'"),
        ({"a__itemvis": "vid:token\tv:float_seq\nx\t1\ny\tnan\n"}, r"a\.itemvis: line 3: v must be finite numbers"),
    ],
)
def test_atomic_names_the_file_and_line_that_is_broken(tmp_path, files, message):
    lay(tmp_path, **{"a__inter": RAW + "u\tx\nv\ty\n", **files})
    with pytest.raises(InputError, match=message):
        read_atomic(tmp_path)


def test_atomic_asks_which_of_two_data_sets_is_meant(tmp_path):
    lay(tmp_path, a__inter=RAW + "1\t2\n", b__train__inter=RAW + "1\t2\n1\t3\n")
    with pytest.raises(InputError, match=r"of one data set \(got a, b\); name it"):
        read_atomic(tmp_path)
    assert len(read_atomic(tmp_path, "b").user) == 2
    with pytest.raises(InputError, match=r"c\.inter is missing"):
        read_atomic(tmp_path, "c")


# --- LightGCN and CURE4Rec


def test_lightgcn_reads_users_without_items_and_the_lists_of_ids(tmp_path):
    lay(tmp_path, train__txt="0 2 1 \n1\n2 0\n", test__txt="1 0\n0\n")
    data = read_lightgcn(tmp_path)
    assert list(zip(data.user.tolist(), data.item.tolist(), data.part.tolist(), strict=True)) == [
        (0, 2, 0),
        (0, 1, 0),
        (2, 0, 0),
        (1, 0, 2),
    ]
    lay(tmp_path, item_list__txt="org_id remap_id\n420315 0\n7 1\n99 2\n5 3\n")
    assert read_lightgcn(tmp_path).vocabulary == Vocabulary(("0", "1", "2"), ("420315", "7", "99", "5"))


@pytest.mark.parametrize("line", ["1 a", "1 2.5", "-1 2", "1 -2", "", "1,2", "99999999999999999999 1"])
def test_lightgcn_names_the_line_that_is_broken(tmp_path, line):
    lay(tmp_path, train__txt=f"0 1\n{line}\n2 1\n", test__txt="0 2\n")
    with pytest.raises(InputError, match=r"train\.txt: line 2 must be 'user item item \.\.\.' \(got"):
        read_lightgcn(tmp_path)


def test_lightgcn_needs_both_files_with_something_in_them(tmp_path):
    lay(tmp_path, train__txt="")
    with pytest.raises(InputError, match=r"test\.txt is missing"):
        read_lightgcn(tmp_path)
    lay(tmp_path, test__txt="\n")
    with pytest.raises(InputError, match="hold no line"):
        read_lightgcn(tmp_path)


def test_cure4rec_joins_ratings_and_times(tmp_path):
    lay(tmp_path, train__csv="uid,iid,val\n1,0,1\n0,3,1\n", test__csv="uid,iid,val\n0,0,1\n")
    assert read_cure4rec(tmp_path).time is None
    lay(tmp_path, ratings__csv="uid,iid,val,tag\n0,0,2,30\n0,3,5,10\n1,0,4,20\n1,4,1,40\n")
    data = read_cure4rec(tmp_path)
    assert data.part.tolist() == [0, 0, 2]
    assert data.rating.tolist() == [4, 5, 2]
    assert data.time.tolist() == [20, 10, 30]
    assert data.size == (2, 5)
    lay(tmp_path, ratings__csv="uid,iid,val,tag\n0,0,2,30\n0,3,5,10\n")
    with pytest.raises(InputError, match=r"has no rating of \(1, 0\) as \(user, item\)"):
        read_cure4rec(tmp_path)
    lay(tmp_path, train__csv="1,0,1\n")
    with pytest.raises(InputError, match=r"train\.csv: line 1 must be the header 'uid,iid,val"):
        read_cure4rec(tmp_path)


def test_movies_are_found_by_id_and_missing_ones_listed(tmp_path):
    path = lay(tmp_path, movies__csv='movieId,title,genres\n3,A,X|Y\n1,"B, The (1990)",Z\n') / "movies.csv"
    assert read_movies(path, ["1", "3"]) == (("B, The (1990)", "A"), (("Z",), ("X", "Y")))
    with pytest.raises(InputError, match=r"no line for the items 2, 4, 5, 6, 7 and 1 more"):
        read_movies(path, ["1", "2", "4", "5", "6", "7", "8"])
    lay(tmp_path, movies__csv="id,title\n")
    with pytest.raises(InputError, match="line 1 must be 'movieId,title,genres'"):
        read_movies(path, ["1"])


# --- writers


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


# --- the real files


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
