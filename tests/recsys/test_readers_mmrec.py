"""The reader of MMRec's layout: what it reads, and what is broken by file and line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from graphforget.errors import InputError
from recsys.readers import read_mmrec
from tests.recsys.files_small import INTER, lay


@pytest.fixture
def mmrec(tmp_path) -> Path:
    """Three interactions of two users and three items with two modalities."""
    lay(tmp_path, tiny__inter=INTER)
    np.save(tmp_path / "image_feat.npy", np.arange(6, dtype=np.float16).reshape(3, 2))
    np.save(tmp_path / "text_feat.npy", np.ones((3, 4)))
    return tmp_path


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
        (INTER.replace("1\t2\t5", "1\t1_0\t5"), r"line 4: itemID must be a whole number, 0 or more \(got '1_0'\)"),
        (
            INTER.replace("1\t2\t5", "4000000000\t2\t5"),
            r"line 4: userID must be a row number, from 0 without gaps, below 1,300 \(got '4000000000'\)",
        ),
        (INTER.replace("timestamp", "rating"), r"line 1 must be the header"),
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
