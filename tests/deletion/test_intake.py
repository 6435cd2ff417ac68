"""Request files as they really come: good rows go on, bad ones are refused by line, value and remedy."""

from __future__ import annotations

import io
import json
import sys
from datetime import datetime, timezone

import pytest

from graphforget.deletion.intake import Refusal, Row, read_requests
from graphforget.errors import InputError

NOW = datetime(2026, 11, 21, 10, tzinfo=timezone.utc)
HEADER = "request_id,subject_kind,subject_id,src,dst,basis,t_from,t_to,deadline\n"


def read(tmp_path, content, name="requests.csv", **options):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(read_requests(path, now=NOW, **options))


def test_good_rows_are_read_as_they_stand(tmp_path):
    rows = read(
        tmp_path,
        HEADER + "r1,user,196,,,,,,\nr2,interaction,,196,242,erasure,,,2026-12-01\n"
        'r3,user,"O\'Brien, ""Bob""",,,,2026-01-01,1767312000.5,\n',
    )
    assert [type(each) for each in rows] == [Row, Row, Row]
    first, second, third = (each.request for each in rows)
    assert (first.subject, first.received_at) == ("196", "2026-11-21T10:00:00+00:00")
    assert (second.subject, second.other, second.deadline) == ("196", "242", "2026-12-01T00:00:00+00:00")
    assert third.subject == 'O\'Brien, "Bob"'
    assert (third.t_from, third.t_to) == (1767225600.0, 1767312000.5)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (",user,196,,,,,,", r"request_id must be .* \(got ''\); number the row"),
        ("=1+1,user,196,,,,,,", "request_id must be"),
        ("../../etc,user,196,,,,,,", "request_id must be"),
        ("r1,users,196,,,,,,", "did you mean 'user'"),
        ("r1,user,,,,,,,", r"subject_id is empty \(got ''\)"),
        ("r1,user,196,1,2,,,,", "names subject_id"),
        ("r1,edge,,1,,,,,", "dst is empty"),
        ("r1,edge,5,1,2,,,,", "names src and dst"),
        ("r1,user,196", r"9 cells as the header \(got 3"),
        ("r1,user,196,,,,,,,,", "9 cells as the header"),
        ('r1,user,"196,,,,,,', "quote is not closed"),
        ("r1,user,a\x00b,,,,,,", "printable characters"),
        ("r1,user,\x1b[31mred,,,,,,", "printable characters"),
        ("r1,user," + "x" * 2000 + ",,,,,,", "up to 1024"),
        ("r1,user,hmac:" + "0" * 64 + ",,,,,,", "not a keyed hash"),
        ("r1,user,196,,,because,,,", "basis must be"),
        ("r1,user,196,,,,later,,", "t_from must be a date"),
        ("r1,user,196,,,,nan,,", "finite number"),
        ("r1,user,196,,,,5,4,", "t_from must lie before t_to"),
        ("r1,user,196,,,,,,31.12.2026", "deadline must be a date"),
        ("r1,user,196,,,,,,9999-12-31", "deadline must be a date .* up to the year 9000"),
        ("r1,user,196,,,,0001-01-01T00:00+23:00,,", "t_from must be a date"),
    ],
)
def test_a_bad_row_is_refused_and_the_next_goes_on(tmp_path, row, said):
    bad, good = read(tmp_path, HEADER + row + "\nr9,user,7,,,,,,\n")
    assert isinstance(bad, Refusal)
    assert bad.line == 2
    import re

    assert re.search(said, bad.reason), bad.reason
    assert isinstance(good, Row)
    assert good.line == 3


def test_byte_order_mark_and_crlf_and_empty_lines(tmp_path):
    content = b"\xef\xbb\xbfrequest_id,subject_kind,subject_id\r\nr1,user,196\r\n\r\nr2,user,197\r\n"
    assert [(each.line, each.request.subject) for each in read(tmp_path, content)] == [(2, "196"), (4, "197")]


def test_a_line_that_is_no_utf8_is_refused_alone(tmp_path):
    bad, good = read(tmp_path, b"request_id,subject_kind,subject_id\nr1,user,M\xfcller\nr2,user,M\xc3\xbcller\n")
    assert "not UTF-8" in bad.reason
    assert good.request.subject == "Müller"


def test_utf16_is_named(tmp_path):
    with pytest.raises(InputError, match="got UTF-16"):
        read(tmp_path, "request_id,subject_kind,subject_id\n".encode("utf-16"))


def test_another_delimiter_is_named_and_can_be_given(tmp_path):
    content = "request_id;subject_kind;subject_id\nr1;user;196\n"
    with pytest.raises(InputError, match="pass --delimiter ';'"):
        read(tmp_path, content)
    assert read(tmp_path, content, delimiter=";")[0].request.subject == "196"


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("id,kind\n", "must name request_id, subject_kind"),
        ("", "must name request_id"),
        ("request_id,subject_kind,subject_id,subject_id\n", "once"),
        ("request_id,subject_kind,subjectid\n", "did you mean 'subject_id'"),
    ],
)
def test_a_header_that_cannot_be_used(tmp_path, header, said):
    with pytest.raises(InputError, match=said):
        read(tmp_path, header + "r1,user,196,x\n")


def test_json_lines(tmp_path):
    lines = [
        json.dumps({"request_id": "r1", "subject_kind": "user", "subject_id": 196}),
        "{broken",
        "[1, 2]",
        json.dumps({"request_id": "r2", "subject_kind": "user", "subject_id": {"a": 1}}),
        json.dumps({"request_id": "r3", "subject_kind": "user", "subject": "5"}),
        '{"request_id": "r4", "subject_kind": "user", "subject_id": "\\ud800"}',
        "[" * 100_000,
        json.dumps({"request_id": "r5", "subject_kind": "user", "subject_id": 7.0, "deadline": None}),
    ]
    found = read(tmp_path, "\n".join(lines), "requests.jsonl")
    assert [type(each).__name__ for each in found] == ["Row", *["Refusal"] * 6, "Row"]
    assert (found[0].request.subject, found[-1].request.subject) == ("196", "7")
    assert "did you mean" in found[4].reason


def test_parquet(tmp_path):
    pyarrow = pytest.importorskip("pyarrow", reason="needs the extra parquet")
    import pyarrow.parquet as parquet

    path = tmp_path / "requests.parquet"
    columns = {"request_id": ["r1", "r2"], "subject_kind": ["user", "user"], "subject_id": [196, None]}
    parquet.write_table(pyarrow.table(columns), path)
    good, bad = read_requests(path, now=NOW)
    assert good.request.subject == "196"
    assert (bad.line, bad.request_id) == (2, "r2")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(InputError, match="no Parquet"):
        list(read_requests(tmp_path / "broken.parquet"))


@pytest.mark.parametrize(
    "content",
    [
        b"request_id,subject_kind,subject_id\nr1,user,196\n",
        b'{"request_id": "r1", "subject_kind": "user", "subject_id": "196"}\n',
    ],
)
def test_standard_input_takes_either(monkeypatch, content):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert [each.request.subject for each in read_requests("-", now=NOW)] == ["196"]


def test_files_that_are_no_requests(tmp_path):
    with pytest.raises(InputError, match="come as"):
        list(read_requests(tmp_path / "requests.xlsx"))
    with pytest.raises(InputError, match="there is no request file"):
        list(read_requests(tmp_path / "requests.csv"))


@pytest.mark.slow
def test_a_million_rows_are_streamed(tmp_path):
    path = tmp_path / "many.csv"
    with path.open("w") as file:
        file.write("request_id,subject_kind,subject_id\n")
        file.writelines(f"r{row},user,{row}\n" if row % 1000 else f"r{row},user,\n" for row in range(1_000_000))
    taken = refused = 0
    for each in read_requests(path, now=NOW):
        if isinstance(each, Row):
            taken += 1
        else:
            refused += 1
    assert (taken, refused) == (999_000, 1000)
