"""What each question-answer data set is: source, licence, counts, files; plain data, read by ``data``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class TextCard:
    """The facts of one data set.

    Args:
        title: as papers write it.
        source: where it comes from.
        licence: as far as it is stated.
        folder: below the data root.
        files: name -> number of rows, documents or facts in it.
        note: what a reader of figures should know.
    """

    title: str
    source: str
    licence: str
    folder: str
    files: Mapping[str, int] = field(default_factory=dict)
    note: str = ""


DATASETS: dict[str, TextCard] = {
    "restor": TextCard(
        "RESTOR",
        "https://github.com/k1rezaei/restor (commit 15292e5)",
        "MIT; the facts are Wikidata's (CC0)",
        "restor",
        {"facts.json": 5269, "entities.json": 50, "mix_a0.json": 3000, "mix_a1.json": 3000},
        "468 entities, 41 relations; the 50 evaluated entities carry 1,051 facts",
    ),
    "tofu": TextCard(
        "TOFU",
        "https://github.com/locuslab/tofu (arXiv:2401.06121)",
        "MIT",
        "tofu",
        {
            "forget10.jsonl": 400,
            "retain90.jsonl": 3600,
            "forget10_perturbed.jsonl": 400,
            "retain_perturbed.jsonl": 400,
            "real_authors_perturbed.jsonl": 100,
            "world_facts_perturbed.jsonl": 117,
            "idontknow.jsonl": 100,
        },
        "200 authors of 20 questions each, in order",
    ),
}
