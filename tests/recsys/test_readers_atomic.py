"""The reader of RecBole's atomic files: what it reads, and what is broken by file and line."""

from __future__ import annotations

import numpy as np
import pytest

from graphforget.errors import InputError
from recsys.readers import Vocabulary, read_atomic
from tests.recsys.files_small import RAW, lay


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
        ({"a__inter": RAW + "u\tx\n\ty\n"}, r"a\.inter: line 3: user_id must be a token \(got ''\)"),
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
