"""The model card's history: put in once, replaced ever after, and nothing else touched."""

from __future__ import annotations

import pytest

from graphforget.deletion.card import END, START, patch, patch_file, section
from graphforget.deletion.dossier import VersionLine
from graphforget.errors import InputError
from tests.deletion.dossiers import versions

CARD = "---\nlicense: mit\ntags:\n- graph\n---\n# Links\n\nWhat it does.\n"


def test_the_section_is_put_in_once_and_replaced_ever_after():
    first = patch(CARD, versions()[:2])
    second = patch(first, versions())
    assert first.startswith(CARD)
    assert second.count("## Unlearning history") == 1
    assert "| 2 | 2026-11-21 | 1 | finetune | pass | `abababababababab` |" in second
    assert "| 1 (purged) |" in second
    assert patch(second, versions()) == second


def test_what_stands_around_the_section_is_left_alone():
    text = f"before\n{START}\nold\n{END}\nafter\n\n\n"
    assert patch(text, versions()).startswith("before\n")
    assert patch(text, versions()).endswith(f"{END}\nafter\n\n\n")


def test_an_empty_card_and_a_model_without_deletions():
    assert patch("", []).startswith(START)
    assert "No data were deleted" in patch("", versions()[:1])


@pytest.mark.parametrize("text", [START, END, f"{END}\n{START}", f"{START}{END}{START}{END}"])
def test_a_broken_section_is_refused(text):
    with pytest.raises(InputError, match="both markers once, in order"):
        patch(text, versions())


def test_names_do_not_break_the_table():
    evil = VersionLine(name="a|b\n<script>", created_at="2026-11-21", method="[x](y)", requests=1)
    row = next(line for line in section([evil], ["back|ups"]).splitlines() if "script" in line)
    assert row.replace("\\|", "").count("|") == 7
    assert "<script>" not in row
    assert "Not covered: back\\|ups." in section([evil], ["back|ups"])


def test_a_card_on_disk_is_made_and_written_only_where_it_changes(tmp_path):
    path = tmp_path / "README.md"
    assert patch_file(path, versions())
    written = path.stat().st_mtime_ns
    assert not patch_file(path, versions())
    assert path.stat().st_mtime_ns == written
    assert [each.name for each in tmp_path.iterdir()] == ["README.md"]
