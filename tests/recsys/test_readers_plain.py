"""The readers of LightGCN, CURE4Rec and films."""

from __future__ import annotations

import pytest

from graphforget.errors import InputError
from recsys.readers import Vocabulary, read_cure4rec, read_lightgcn, read_movies
from tests.recsys.files_small import lay


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


def test_numbers_far_above_all_others_are_refused(tmp_path):
    """A slip of the pen would otherwise ask for as many rows as no machine holds."""
    lay(tmp_path, train__txt="0 1\n1 4000000000\n", test__txt="0 2\n")
    with pytest.raises(
        InputError, match=r"items must be numbered from 0 without gaps \(got 4000000000 among 3 pairs\)"
    ):
        read_lightgcn(tmp_path)
    lay(tmp_path, train__csv="uid,iid,val\n1,0,1\n4000000000,3,1\n", test__csv="uid,iid,val\n0,0,1\n")
    with pytest.raises(InputError, match=r"train\.csv: line 3: uid must be a row number"):
        read_cure4rec(tmp_path)


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
