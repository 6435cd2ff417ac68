"""Read RESTOR and TOFU from disk, checked against their published counts.

Files are used in place where they are found (see :mod:`graphforget.folders`); nothing is fetched.
"""

from __future__ import annotations

import json
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

from graphforget.errors import unknown
from graphforget.folders import BadFile, in_place, reading
from graphforget.llm.cards import DATASETS, TextCard

__all__ = ["CLOSED", "DATASETS", "TOFU", "Fact", "TextCard", "TofuRow", "World"]
__all__ += ["load_corruption", "load_facts", "load_idk", "load_tofu"]

Root = str | PathLike[str] | None
CLOSED = ("P21", "P27", "P19", "P106", "P103", "P140")  # relations with short answers that every entity has
TOFU = ("forget10", "retain90", "forget10_perturbed", "retain_perturbed", "real_authors_perturbed",
        "world_facts_perturbed")  # fmt: skip


class Fact(NamedTuple):
    """One question of RESTOR.

    Args:
        entity: whom it is about.
        relation: Wikidata's id, such as P19.
        question: as the data set words it.
        answers: all that are right.
    """

    entity: str
    relation: str
    question: str
    answers: tuple[str, ...]


class World(NamedTuple):
    """All facts of RESTOR.

    Args:
        facts: of all entities, in the file's order.
        evaluated: the 50 entities that the paper evaluates.
        examples: relation -> ten facts to show a model in its prompt.
    """

    facts: tuple[Fact, ...]
    evaluated: tuple[str, ...]
    examples: dict[str, tuple[Fact, ...]]

    def select(self, *, evaluated: bool, relations: tuple[str, ...] | None = None) -> list[Fact]:
        """The facts of the evaluated entities, or of all others, of some relations or all."""
        chosen = set(self.evaluated)
        return [
            fact
            for fact in self.facts
            if (fact.entity in chosen) == evaluated and (relations is None or fact.relation in relations)
        ]


class TofuRow(NamedTuple):
    """One question of TOFU.

    Args:
        question: as the data set words it.
        answer: the gold answer.
        paraphrased: the gold answer in other words; the gold answer itself where the file has none.
        perturbed: wrong answers of the same form; () where the file has none.
        reworded: the question in other words; the question itself where the file has none.
    """

    question: str
    answer: str
    paraphrased: str
    perturbed: tuple[str, ...]
    reworded: str


def load_facts(root: Root = None) -> World:
    """Read RESTOR's facts, its evaluated entities and the examples of its prompts.

    Raises:
        InputError: files missing, broken, or with other counts than published.
    """
    facts_path, entities_path = _files("restor", ("facts.json", "entities.json"), root)
    with reading(facts_path):
        raw = json.loads(facts_path.read_text(encoding="utf-8"))
        facts = tuple(
            Fact(entity, relation, told["question"], tuple(told["answers"]))
            for entity, relations in raw["dset"].items()
            for relation, told in relations.items()
        )
        examples = {
            relation: tuple(Fact(one["entity"], relation, one["question"], (one["answer"],)) for one in shown)
            for relation, shown in raw["context"].items()
        }
    with reading(entities_path):
        evaluated = tuple(json.loads(entities_path.read_text(encoding="utf-8")))
    _count("restor", facts_path, len(facts))
    _count("restor", entities_path, len(evaluated))
    return World(facts, evaluated, examples)


def load_corruption(unrelated: int = 0, root: Root = None) -> list[str]:
    """Read RESTOR's documents with false facts, each with ``unrelated`` (0 or 1) true facts mixed in."""
    if unrelated not in (0, 1):
        raise unknown("corruption set", f"mix_a{unrelated}", ("mix_a0", "mix_a1"))
    (path,) = _files("restor", (f"mix_a{unrelated}.json",), root)
    with reading(path):
        documents = [str(each["text"]) for each in json.loads(path.read_text(encoding="utf-8"))]
    _count("restor", path, len(documents))
    return documents


def load_tofu(part: str = "forget10", root: Root = None) -> list[TofuRow]:
    """Read one file of TOFU.

    Args:
        part: one of :data:`TOFU`; rows of forget10 and retain90 are grouped by author, twenty each.
        root: as in :func:`load_facts`.
    """
    if part not in TOFU:
        raise unknown("part of TOFU", part, TOFU)
    (path,) = _files("tofu", (f"{part}.jsonl",), root)
    with reading(path):
        found = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        rows = [_row(each) for each in found]
    _count("tofu", path, len(rows))
    return rows


def load_idk(root: Root = None) -> list[str]:
    """Read TOFU's hundred ways of saying "I don't know"."""
    (path,) = _files("tofu", ("idontknow.jsonl",), root)
    with reading(path):
        lines = path.read_text(encoding="utf-8").splitlines()
    _count("tofu", path, len(lines))
    return lines


def _row(each: dict[str, Any]) -> TofuRow:
    question, answer = each["question"], each["answer"]
    said = each.get("paraphrased_answer", answer), tuple(each.get("perturbed_answer", ()))
    return TofuRow(question, answer, *said, each.get("paraphrased_question", question))


def _files(name: str, wanted: tuple[str, ...], root: Root) -> list[Path]:
    card = DATASETS[name]
    return in_place(card.title, card.folder, wanted, card.source, root)


def _count(name: str, path: Path, found: int) -> None:
    if found != DATASETS[name].files[path.name]:
        raise BadFile(path, f"expected {DATASETS[name].files[path.name]:,} rows (got {found:,})")
