"""Token rows: spans, errors, tokenizers; and the files that they come from."""

from __future__ import annotations

import json

import pytest
import torch

from graphforget.errors import InputError, UnknownName
from graphforget.folders import BadFile
from graphforget.llm import tokens
from graphforget.llm.corpora import load_corpus
from graphforget.llm.data import CLOSED, load_corruption, load_facts, load_idk, load_tofu
from graphforget.llm.tokens import IGNORE, documents, encode, join, train_tokenizer

TEXTS = ["Where was Ann born?", "New York", "Oslo"]
PAIRS = [("Where was Ann born?", "New York"), ("Where was Ann?", "Oslo")]


@pytest.fixture(params=tokens.KINDS)
def tokenizer(request):
    return train_tokenizer(TEXTS, request.param, vocab_size=300)


def test_labels_are_the_answer_and_its_end_alone(tokenizer):
    rows = encode(tokenizer, PAIRS)
    for row in range(len(PAIRS)):
        ids, mask, labels = rows.x[row, 0], rows.x[row, 1], rows.y[row]
        size = int(mask.sum())
        assert mask[:size].all()
        assert not mask[size:].any()
        assert (ids[size:] == tokenizer.pad_token_id).all()
        own = labels != IGNORE
        assert labels[own].equal(ids[own])
        assert int(labels[own][-1]) == tokenizer.eos_token_id
        assert int(own.nonzero()[-1]) == size - 1
        assert int(ids[0]) == tokenizer.bos_token_id
    assert tokens.answers(tokenizer, rows) == ["New York", "Oslo"]
    asked = [tokens.normal(each) for each in tokens.questions(tokenizer, rows)]
    assert asked == [
        "where was ann born",
        "where was ann",
    ]


def test_a_template_surrounds_the_question(tokenizer):
    rows = encode(tokenizer, PAIRS[:1], template="Ann? {question} Oslo")
    assert tokens.normal(tokens.questions(tokenizer, rows)[0]) == "ann where was ann born oslo"


def test_bad_rows_are_named(tokenizer):
    with pytest.raises(InputError, match="row 1 has no answer"):
        encode(tokenizer, [PAIRS[0], ("Where?", " ")])
    with pytest.raises(InputError, match="row 0 has no question"):
        encode(tokenizer, [("", "Oslo")])
    with pytest.raises(InputError, match="row 1 has no answer"):
        encode(tokenizer, [PAIRS[0], ("Where?", None)])
    with pytest.raises(InputError, match="row 0 has no question"):
        encode(tokenizer, [(None, "Oslo")])
    for odd in (("Where?",), "ab", ("Where?", "Oslo", "Rome")):
        with pytest.raises(InputError, match="row 1 must be a question with its answer"):
            encode(tokenizer, [PAIRS[0], odd])
    with pytest.raises(InputError, match="rows must fit into 3 tokens"):
        encode(tokenizer, PAIRS, length=3)
    with pytest.raises(InputError, match="at least one question"):
        encode(tokenizer, [])
    with pytest.raises(InputError, match="template must hold"):
        encode(tokenizer, PAIRS, template="Q:")
    tokenizer.pad_token = None
    with pytest.raises(InputError, match="needs a pad token"):
        encode(tokenizer, PAIRS)


def test_an_unknown_tokenizer_is_named():
    with pytest.raises(UnknownName, match="did you mean 'word'"):
        train_tokenizer(TEXTS, "words")


def test_rows_of_different_lengths_are_joined(tokenizer):
    first, second = encode(tokenizer, PAIRS[:1], groups=[3]), encode(tokenizer, PAIRS[1:], groups=[4])
    both = join(first, second)
    assert tokens.answers(tokenizer, both) == ["New York", "Oslo"]
    assert both.groups.tolist() == [3, 4]
    assert (both.x[1, 1].sum() == second.x[0, 1].sum()).item()


@pytest.fixture
def files(data_root):
    for name in ("restor", "tofu"):
        if not (data_root / name).is_dir():
            pytest.skip(f"needs {name} in GRAPHFORGET_DATA")
    return data_root


def test_restor_has_its_published_counts(files):
    world = load_facts(files)
    assert len(world.facts) == 5269
    assert len({fact.relation for fact in world.facts}) == 41
    assert len(world.select(evaluated=True)) == 1051
    assert len(world.select(evaluated=True, relations=CLOSED)) == 258
    assert all(len(shown) == 10 for shown in world.examples.values())
    raw = json.loads((files / "restor" / "facts.json").read_text(encoding="utf-8"))
    assert len(raw["dset"]) == 468
    words = [len(text.split()) for text in load_corruption(0, files)]
    assert len(words) == 3000
    assert sum(words) / len(words) == pytest.approx(36.7, abs=0.05)
    words = [len(text.split()) for text in load_corruption(1, files)]
    assert sum(words) / len(words) == pytest.approx(97.8, abs=0.05)


def test_tofu_has_its_published_counts(files):
    rows = load_tofu("forget10_perturbed", files)
    assert len(rows) == 400
    assert all(len(row.perturbed) == 5 for row in rows)
    assert [len(load_tofu(part, files)) for part in ("forget10", "retain90")] == [400, 3600]
    authors = load_tofu("real_authors_perturbed", files)
    assert all(len(row.perturbed) == 3 and row.paraphrased == row.answer for row in authors)
    assert len(load_idk(files)) == 100
    with pytest.raises(UnknownName, match="did you mean 'forget10'"):
        load_tofu("forget1", files)


def test_a_broken_file_is_named(tmp_path):
    (tmp_path / "tofu").mkdir()
    path = tmp_path / "tofu" / "forget10.jsonl"
    path.write_text('{"question": "Who?", "answer": "Ann"}\n', encoding="utf-8")
    with pytest.raises(BadFile, match="expected 400 rows"):
        load_tofu("forget10", tmp_path)
    path.write_text('{"question": "Who?"', encoding="utf-8")
    with pytest.raises(BadFile, match=r"forget10\.jsonl"):
        load_tofu("forget10", tmp_path)
    with pytest.raises(InputError, match="TOFU is not on disk"):
        load_tofu("retain90", tmp_path)


def test_anti_samples_of_restor_are_objects_of_the_same_relation(files):
    corpus = load_corpus("restor", files, 0)
    facts = load_facts(files).select(evaluated=True, relations=CLOSED)
    objects = {key: {fact.answers[0] for fact in facts if fact.relation == key} for key in CLOSED}
    for fact in facts:
        draws = [
            corpus.table.distractors(fact.question, fact.answers[0], 20, torch.Generator().manual_seed(3)) for _ in "ab"
        ]
        assert draws[0] == draws[1]  # the same seed, the same anti-samples
        assert draws[0]
        for wrong in draws[0]:
            assert wrong in objects[fact.relation]
            assert wrong not in fact.answers
            said = corpus.table.justify(fact.question, wrong, fact.answers[0], torch.Generator())
            assert f" {tokens.normal(fact.answers[0])} " not in f" {tokens.normal(said)} "
        assert all(fact.entity in each for each in corpus.table.paraphrase(fact.question, "", 20, torch.Generator()))


def test_running_text_is_cut_into_pieces():
    tokenizer = train_tokenizer(TEXTS)
    text = "Where was Ann born ? Ann born"
    rows = documents(tokenizer, [text, "Ann born"], length=5, prompt=1)
    words = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert rows.groups.tolist() == [0, 0, 1]
    assert rows.x[0, 0].tolist() == [tokenizer.bos_token_id, *words[:4]]
    assert rows.y[0].tolist() == [IGNORE, IGNORE, *words[1:4]]  # the begin token and the prompt are not asked
    assert rows.x[1, 0, :4].tolist() == [tokenizer.bos_token_id, *words[4:]]
    assert rows.x[1, 1].tolist() == [1, 1, 1, 1, 0]
    assert documents(tokenizer, [text], length=5).y[0].tolist() == [IGNORE, *words[:4]]
    for texts, settings, message in (
        (["Ann", " "], {"length": 5}, r"document 1 is empty \(got ' '\)"),
        ([text], {"length": 2, "prompt": 1}, "length must be larger than the prompt"),
        (["Ann"], {"length": 9, "prompt": 3}, "no document is longer than a prompt of 3 tokens"),
    ):
        with pytest.raises(InputError, match=message):
            documents(tokenizer, texts, **settings)
