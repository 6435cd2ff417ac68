"""One offline page: what each reader finds in it, and that nothing in it is taken for markup."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from pydantic import ValidationError

from graphforget.deletion import pictures
from graphforget.deletion.dossier import RequestLine
from graphforget.deletion.report import STATUS, render
from graphforget.deletion.verdict import Judge, Thresholds
from graphforget.intervals import Interval
from tests.deletion.dossiers import dossier, verification

VOID = {"meta", "rect", "circle", "line", "polyline", "br"}


class Page(HTMLParser):
    """The words of a page, its tags, and whether every tag is closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.found: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
            self.found.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.found).split())


def test_the_first_page_answers_the_privacy_officer():
    page = Page(render(dossier(verification())))
    first = page.words.split("For the engineer")[0]
    assert "The deletion passed." in first
    assert "2 requests, received 2026-11-01 to 2026-11-03: 1 deleted, 1 not found." in first
    assert "It was not trained anew. This took 2.5 s; training anew takes about 2 min." in first
    assert "For comparison 3 models were trained from the start without the data." in first
    assert "This deletion does not reach: backups" in first
    assert "What this report does not show" in first
    assert not {"noise", "AUC", "gold"} & set(first.split())


def test_the_engineer_finds_checks_pictures_costs_and_versions():
    text = render(dossier(verification()))
    page = Page(text)
    engineer = page.words.split("For the engineer")[1]
    assert "distance to gold on the forgotten noise floors; limit 2 1.10 (0.990 to 1.21)" in engineer
    assert text.count("<polyline") == 3
    assert text.count('class="before"') == text.count('class="after"') == 3
    assert "recall@20" in engineer
    assert "version 1" in engineer
    assert "purged" in engineer
    assert "9f" * 32 in engineer


def test_the_page_is_one_file_that_opens_offline():
    text = render(dossier(verification()))
    assert not re.findall(r"https?:|src=|@import|url\(|<script|<link", text)
    assert "prefers-color-scheme: dark" in text
    assert 'name="viewport"' in text


def test_each_verdict_has_its_sentence_and_its_reasons():
    failed = Page(render(dossier(verification(5.0)))).words
    assert "The deletion did not pass." in failed
    assert "The model is farther from retrained models than they are from each other." in failed
    few = Page(render(dossier(verification(subjects=3)))).words
    assert "its effect could not be established" in few
    assert "The batch holds 3 subjects; at least 20 were declared" in few
    alone = Page(render(dossier(verification(golds=0)))).words
    assert "No retrained model was at hand" in alone
    assert "none was trained" in alone
    wide = Page(render(dossier(verification(1.9)))).words
    assert "1 of 2 measures are too uncertain to tell." in wide
    assert "has not been verified" in Page(render(dossier(None))).words


def test_a_verdict_without_measurements_says_why():
    page = Page(render(dossier(None, outcome="pass", reasons=("only the data changed",))))
    assert "The deletion passed." in page.words
    assert "Only the data changed." in page.words


def test_hostile_strings_stay_words():
    evil = "<img src=x onerror=alert(1)>\"'&<script>alert(2)</script>"
    line = RequestLine(mark=evil, kind=evil, status=evil, note=evil, received_at=evil, deadline=evil)
    given = dossier(
        verification(), model=evil, requests=(line,), out_of_scope=(evil,), why=evil, hashes={evil: evil},
        environment={evil: evil}, parameters={evil: evil}, created_at=evil, receipt=evil,
    )  # fmt: skip
    page = Page(render(given))
    assert not {"img", "script"} & set(page.tags)
    assert evil in page.words
    assert Page(pictures.costs([(evil, 1.0, 2.0)], evil)).tags.count("text") == 2


def test_many_requests_are_cut_and_counted():
    many = tuple(RequestLine(mark=f"r{row}", kind="edge", status="deleted") for row in range(60))
    page = Page(render(dossier(verification(), requests=many)))
    assert "60 requests: 60 deleted." in page.words
    assert "and 10 more" in page.words


def test_what_is_out_of_scope_is_never_left_out():
    with pytest.raises(ValidationError, match="out_of_scope"):
        dossier(None, out_of_scope=())


def test_the_words_of_a_status_do_not_promise_more_than_was_shown():
    assert STATUS["deleted_unverified"] != STATUS["deleted"]
    assert "proof" not in render(dossier(verification())).lower()
    assert "certif" not in render(dossier(verification())).lower()


def test_pictures_without_data_are_left_out():
    assert pictures.distances([], "x") == ""
    assert pictures.costs([("a", None, None)], "x") == ""
    assert pictures.beliefs((), "after", "x") == ""


def test_distances_are_drawn_in_noise_floors_from_left_to_right():
    rows = verification(4.0).rows
    places = [float(each) for each in re.findall(r'class="after" cx="([\d.]+)"', pictures.distances(rows, "x"))]
    floor = float(re.search(r'class="limit" x1="([\d.]+)"', pictures.distances(rows, "x"))[1])  # type: ignore[index]
    assert min(places) > floor
    nearer = re.findall(r'class="after" cx="([\d.]+)"', pictures.distances(verification(0.8).rows, "x"))
    assert max(map(float, nearer)) < floor + 120


@pytest.mark.parametrize(("value", "side"), [(-0.2, "left"), (0.0, "middle"), (0.2, "right")])
def test_a_bar_shows_on_which_side_a_figure_lies(value, side):
    check = Judge(Thresholds(), 50).check(
        "belief", Interval(value, value - 0.01, value + 0.01), lowest=-0.05, highest=0.05
    )
    place = float(re.search(r'cx="([\d.]+)"', pictures.check_bar(check))[1])  # type: ignore[index]
    band = re.search(r'class="band" x="([\d.]+)" y="3" width="([\d.]+)"', pictures.check_bar(check))
    left, width = float(band[1]), float(band[2])  # type: ignore[index]
    assert {"left": place < left, "middle": left < place < left + width, "right": place > left + width}[side]
