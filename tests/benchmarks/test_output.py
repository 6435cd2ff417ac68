"""Rows that benchmarks keep: a crash in the middle of a line costs that line alone."""

from __future__ import annotations

import pytest

from benchmarks.output import append, check_names, kept, lines_of
from graphforget.errors import UnknownName


def test_a_torn_line_is_passed_over_and_cut_off_by_the_next_write(tmp_path):
    out = tmp_path / "new" / "rows.jsonl"
    append(out, lines_of([{"a": 1}, {"a": 2}]))
    out.write_text(out.read_text() + '{"a": 3, "b', encoding="utf-8")
    assert kept(out) == [{"a": 1}, {"a": 2}]
    append(out, lines_of([{"a": 4}]))
    assert out.read_text() == '{"a": 1}\n{"a": 2}\n{"a": 4}\n'


def test_nothing_is_written_without_a_file_or_rows(tmp_path):
    append(None, lines_of([{"a": 1}]))
    append(tmp_path / "rows.jsonl", "")
    assert kept(tmp_path / "rows.jsonl") == kept(None) == []
    assert not (tmp_path / "rows.jsonl").exists()


def test_an_unknown_name_gets_a_hint():
    check_names("strategy", [], ("random",))
    with pytest.raises(UnknownName, match="did you mean 'random'"):
        check_names("strategy", ["randon"], ("random",))
