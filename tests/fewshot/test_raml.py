"""RAML's equations against numpy, retrieval, and what a deletion from its memory promises."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn

from graphforget.errors import InputError, UnknownName
from graphforget.fewshot.data import DATASETS, Texts, cut, load
from graphforget.fewshot.library import Library
from graphforget.fewshot.memory import EXACT, RETRAIN, Memory
from graphforget.fewshot.meta import Episodes, Shape, accuracy, check, draw, linear, mean_accuracy, train
from graphforget.fewshot.raml import RAML, Bag
from graphforget.fewshot.retriever import Retriever
from graphforget.folders import BadFile
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.train import Recipe, seeded
from tests.small import equal_states, same_random_state, state

WORDS = 30
NAMES = tuple(f"intent_{chr(97 + k)}" for k in range(8))


def net(seed: int = 0, width: int = 4) -> RAML:
    with seeded(seed):
        return RAML(Bag(WORDS, width), width, 2).double().eval()


def rows(count: int, length: int = 5, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    lengths = torch.randint(2, length + 1, (count,), generator=rng)
    mask = (torch.arange(length)[None] < lengths[:, None]).long()
    return torch.randint(WORDS, (count, length), generator=rng), mask


def layer_norm(value: np.ndarray, norm: nn.LayerNorm) -> np.ndarray:
    spread = np.sqrt(value.var(-1, keepdims=True) + norm.eps)
    return (value - value.mean(-1, keepdims=True)) / spread * norm.weight.detach().numpy() + norm.bias.detach().numpy()


# --- the equations


def test_prototypes_are_means_over_real_tokens_then_over_shots():
    model, (ids, mask) = net(), rows(4)
    label = torch.tensor([0, 1, 0, 1])
    found = model.prototypes((ids, mask), label, 2).detach().numpy()
    table = model.encoder.table.weight.detach().numpy()
    each = [table[ids[row, : mask[row].sum()].numpy()].mean(0) for row in range(4)]
    np.testing.assert_allclose(found, [(each[0] + each[2]) / 2, (each[1] + each[3]) / 2], rtol=1e-12)
    order = torch.tensor([2, 3, 0, 1])
    again = model.prototypes((ids[order], mask[order]), label[order], 2).detach().numpy()
    np.testing.assert_allclose(again, found, rtol=1e-12)


def test_uniform_attention_adds_the_projected_mean_of_the_view():
    model, (ids, mask) = net(), rows(1)
    for part in (model.attention.query, model.attention.key):
        nn.init.zeros_(part.weight)
        nn.init.zeros_(part.bias)
    prototypes = torch.randn(3, 4, generator=torch.Generator().manual_seed(1)).double()
    found = model.attention(prototypes, model.hidden((ids, mask)), mask)[0].detach().numpy()
    h = model.encoder.table.weight.detach().numpy()[ids[0, : mask[0].sum()].numpy()]
    value, dense = model.attention.value, model.attention.dense
    mean = (h @ value.weight.detach().numpy().T + value.bias.detach().numpy()).mean(0)
    read = mean @ dense.weight.detach().numpy().T + dense.bias.detach().numpy()
    np.testing.assert_allclose(found, layer_norm(prototypes.numpy() + read, model.attention.norm), rtol=1e-9)


def test_views_vote_by_the_mean_of_logits_in_any_order():
    model, (ids, mask) = net(), rows(6)
    prototypes = model.prototypes(rows(4, seed=3), torch.tensor([0, 1, 2, 0]), 3)
    found = model(prototypes, (ids, mask), 3)
    assert found.shape == (2, 3)
    each = model(prototypes, (ids, mask), 1)
    torch.testing.assert_close(found, torch.stack([each[:3].mean(0), each[3:].mean(0)]))
    order = torch.tensor([2, 0, 1, 5, 3, 4])
    torch.testing.assert_close(model(prototypes, (ids[order], mask[order]), 3), found)
    twice = ids[:1].repeat(2, 1), mask[:1].repeat(2, 1)
    torch.testing.assert_close(model(prototypes, twice, 2), each[:1])
    torch.testing.assert_close(model(prototypes[[2, 0, 1]], (ids, mask), 3), found[:, [2, 0, 1]])


def test_the_mean_of_logits_is_not_the_mean_of_probabilities():
    logits = torch.tensor([[9.0, 0.0, 6.0], [-9.0, 0.0, 6.0]])
    assert int(logits.mean(0).argmax()) == 2
    uneven = torch.tensor([[20.0, 8.0], [-2.0, 0.0], [-2.0, 0.0]])
    assert int(uneven.mean(0).argmax()) == 0
    assert int(uneven.softmax(1).mean(0).argmax()) == 1

    class Fixed(RAML):
        def __init__(self):
            super().__init__(Bag(1, 2), 2, 1)
            self.attention.forward = lambda prototypes, hidden, mask: uneven[:, :, None]  # type: ignore[method-assign]
            self.head = nn.Identity()

    found = Fixed()(torch.zeros(2, 2), (torch.zeros(3, 1).long(), torch.ones(3, 1)), 3)
    assert int(found.argmax()) == 0


def test_padding_changes_nothing():
    model, (ids, mask) = net(), rows(4)
    wide = torch.cat([ids, torch.full((4, 3), 7)], 1), torch.cat([mask, torch.zeros(4, 3).long()], 1)
    prototypes = model.prototypes((ids, mask), torch.arange(4), 4)
    torch.testing.assert_close(model.prototypes(wide, torch.arange(4), 4), prototypes)
    torch.testing.assert_close(model(prototypes, wide, 2), model(prototypes, (ids, mask), 2))


# --- a little world: each intent has words of its own


def world(each: int = 12) -> Texts:
    rng = np.random.default_rng(0)
    texts = [
        " ".join([f"key{label}{rng.integers(4)}", *(f"word{k}" for k in rng.integers(0, 12, 3)), f"key{label}9"])
        for label in range(8)
        for _ in range(each)
    ]
    return Texts(tuple(texts), torch.arange(8).repeat_interleave(each), NAMES)


@pytest.fixture(scope="module")
def made():
    pytest.importorskip("transformers")
    from graphforget.fewshot.raml import build
    from graphforget.vocabulary import train_tokenizer

    data = world()
    tokenizer = train_tokenizer(data.texts)
    return data, tokenizer, build(tokenizer, width=32, heads=2, layers=1)


def test_meta_training_moves_every_part_and_learns_the_classes_it_is_trained_on(made):
    from graphforget.fewshot.raml import build

    data, tokenizer, _ = made
    model = build(tokenizer, width=32, heads=2, layers=1)
    parts = [data.only(torch.tensor(labels)) for labels in ((0, 1, 2, 3, 4), (5, 6, 7))]
    passages = data.only(torch.arange(5))
    shape = Shape(3, 3, 2)
    own, held_out = (Episodes(part, passages, Retriever(passages.texts, count=2), tokenizer, shape) for part in parts)
    before = state(model)
    with same_random_state():
        train(model, own, held_out, recipe=Recipe(epochs=4, patience=4, lr=1e-3, eval_every=1))
    after = state(model)
    for part in ("encoder", "attention", "head"):
        changed = [name for name in before if name.startswith(part) and not before[name].equal(after[name])]
        assert changed
    assert not model.training
    assert accuracy(model, own, 20) > 0.9  # chance is a third
    assert accuracy(model, own, 20) == accuracy(model, own, 20)  # eval mode: no dropout
    assert mean_accuracy(linear(held_out, data.texts), held_out, 20) > 0.6


def test_episodes_hold_shots_and_queries_of_their_classes_only():
    data, shape = world(), Shape(4, 2, 3)
    rng = torch.Generator().manual_seed(0)
    for _ in range(20):
        episode = draw(data, shape, rng)
        assert data.y[episode.support].equal(episode.classes.repeat_interleave(2))
        assert data.y[episode.query].equal(episode.classes.repeat_interleave(3))
        assert not torch.isin(episode.support, episode.query).any()


# --- retrieval


def naive_nearest(retriever: Retriever, query: str) -> list[int]:
    """The nearest of a retriever that was built anew from what is left."""
    texts = [retriever.passages[row] for row in retriever.here.tolist()]
    again = Retriever(texts, count=retriever.count, background=retriever.background)
    return [int(retriever.here[row]) for row in again.nearest([query])[0]]


@pytest.mark.parametrize("apart", [True, False])
def test_after_a_deletion_the_nearest_are_those_of_a_retriever_built_anew(apart):
    data = world()
    found = Retriever(data.texts, count=3, background=world(3).texts if apart else None)
    queries = [f"key{label}1 word3 word7" for label in range(8)]
    before = found.nearest(queries)
    gone = torch.tensor(sorted({row for own in before[:2] for row in own}))
    found.delete(gone)
    after = found.nearest(queries)
    assert after == [naive_nearest(found, query) for query in queries]
    assert not {row for own in after for row in own} & set(gone.tolist())
    if apart:
        assert [now != then for now, then in zip(after, before, strict=True)] == [
            bool(set(then) & set(gone.tolist())) for then in before
        ]


def test_a_query_can_leave_passages_out():
    data = world()
    found = Retriever(data.texts, count=3)
    own = (data.y == 2).nonzero().flatten()
    assert not set(found.nearest(["key21 key29"], [own])[0]) & set(own.tolist())
    with pytest.raises(InputError, match=r"3 passages must be left \(got 2\)"):
        found.delete(torch.arange(len(data.texts) - 2))
    assert len(found.here) == len(data.texts)
    with pytest.raises(InputError, match="at least 3 passages are needed"):
        Retriever(["a b"], count=3)


# --- the memory


def library(data: Texts) -> Library:
    support = torch.cat([(data.y == label).nonzero().flatten()[:3] for label in range(8)])
    rest = torch.tensor([row for row in range(len(data.texts)) if row not in set(support.tolist())])

    def some(ids):
        return Texts(tuple(data.texts[row] for row in ids.tolist()), data.y[ids], data.names)

    return Library(some(rest), some(support))


@pytest.mark.parametrize("apart", [True, False])
@pytest.mark.parametrize("kind", ["class", "support", "passage", "mixed"])
def test_after_a_deletion_the_answers_are_those_of_a_memory_built_without_it(made, kind, apart):
    data, tokenizer, model = made
    background = world(4).texts if apart else None
    whole = library(data)
    memory = Memory(model, tokenizer, whole, count=2, background=background)
    queries = [f"key{label}1 word3" for label in range(8)]
    before, first = memory.logits(queries), memory.nearest(queries)
    parts = {"class": [2], "support": [0, 4], "passage": sorted({row for own in first[:2] for row in own})}
    asked = {key: torch.tensor(parts[key]) for key in ((kind,) if kind != "mixed" else ("support", "passage"))}
    deleted = memory.forget(ForgetRequest(asked))
    after = memory.logits(queries)
    rebuilt = Memory(model, tokenizer, whole.partition(asked)[1], count=2, background=background)
    torch.testing.assert_close(after, rebuilt.logits(queries), rtol=1e-5, atol=1e-5)
    assert after.shape[1] == (7 if kind == "class" else 8)
    gone = set(deleted.passages.tolist())
    assert not {row for own in memory.nearest(queries) for row in own} & gone
    changed = tuple(q for q, then, now in zip(queries, first, memory.nearest(queries), strict=True) if then != now)
    assert set(deleted.affected) == set(changed)
    if kind == "passage" and apart:
        same = [row for row, query in enumerate(queries) if query not in deleted.affected]
        assert same
        torch.testing.assert_close(after[same], before[same], rtol=1e-5, atol=1e-5)
        assert set(changed) == {q for q, then in zip(queries, first, strict=True) if set(then) & gone}
    assert deleted.claim == EXACT


def test_a_class_leaves_memory_and_retrieval_and_its_name_is_not_said_again(made):
    data, tokenizer, model = made
    memory = Memory(model, tokenizer, library(data), count=2)
    queries = [data.texts[row] for row in (data.y == 3).nonzero().flatten().tolist()]
    deleted = memory.forget(ForgetRequest.of("class", [3]))
    assert deleted.classes == (NAMES[3],)
    assert len(deleted.support) == 3
    assert len(deleted.passages) == 9
    assert NAMES[3] not in memory.classify(queries)
    assert not any(text in queries for text in memory.library.texts())
    with pytest.raises(InputError, match="nothing here is of the class 3"):
        memory.forget(ForgetRequest.of("class", [3]))


def test_the_claim_says_whether_the_encoder_has_seen_what_goes(made):
    data, tokenizer, model = made
    whole = library(data)
    seen = [whole.support.texts[0]]
    memory = Memory(model, tokenizer, whole, trained_on=seen, count=2)
    before = state(model)
    unseen = memory.forget(ForgetRequest.of("support", [1]))
    assert (unseen.claim, unseen.seen) == (EXACT, 0)
    hit = memory.forget(ForgetRequest.of("class", [0]))
    assert (hit.claim, hit.seen) == (RETRAIN, 1)
    assert equal_states(state(model), before)


def test_a_library_is_split_as_any_other_data():
    whole = library(world())
    split = ForgetSplit.of(whole, ForgetRequest.of("class", [1]), whole)
    assert split.retain.classes == [0, 2, 3, 4, 5, 6, 7]
    assert split.held_out.classes == split.retain.classes
    assert split.forget.classes == [1]
    assert split.untouched.passage_ids().equal(split.retain.passage_ids())
    assert split.gone.support_ids().equal(split.forget.support_ids())


# --- data


def test_the_real_sets_have_the_published_counts_and_classes_are_split(data_root):
    for name, card in DATASETS.items():
        data = load(name, data_root)
        assert (len(data.texts), len(data.names)) == (card.texts, card.classes)
        parts = cut(data, card.cut, seed=1)
        labels = [set(part.y.tolist()) for part in parts]
        assert [len(part) for part in labels] == list(card.cut)
        assert not labels[0] & labels[1] | labels[0] & labels[2] | labels[1] & labels[2]
    assert torch.bincount(load("clinc150", data_root).y).tolist() == [100] * 150


def test_a_broken_file_is_named(tmp_path):
    folder = tmp_path / "fewshot_text"
    folder.mkdir()
    (folder / "clinc150_data_full.json").write_text(json.dumps({"train": [["pay my bill", "pay_bill"]]}))
    with pytest.raises(BadFile, match=r"expected 15000 texts of 150 classes \(got 1 of 1\)"):
        load("clinc150", tmp_path)
    (folder / "clinc150_data_full.json").write_text("{")
    with pytest.raises(BadFile, match="half-downloaded"):
        load("clinc150", tmp_path)
    with pytest.raises(UnknownName, match="did you mean 'clinc150'"):
        load("clinc", tmp_path)


# --- bad input


def test_the_last_support_text_of_a_class_is_not_deleted_and_the_class_is_named(made):
    data, tokenizer, model = made
    memory = Memory(model, tokenizer, library(data), count=2)
    own = memory.library.support_ids()[memory.library.support.y == 5]
    with pytest.raises(InputError, match="the last support text of the class 'intent_f' would go"):
        memory.forget(ForgetRequest.of("support", own))
    assert len(memory.library.support_ids()) == 24
    memory.forget(ForgetRequest.of("support", own[:2]))
    with pytest.raises(InputError, match="intent_f"):
        memory.forget(ForgetRequest.of("support", own[2:]))
    with pytest.raises(InputError, match=r"support \d+ is not here, or was forgotten before"):
        memory.forget(ForgetRequest.of("support", own[:1]))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"class": torch.arange(8)}, "covers every class"),
        ({"edge": torch.tensor([0])}, "known: passage, support, class"),
        ({"passage": torch.tensor([999])}, "passage 999 is not here"),
        ({"passage": torch.arange(72)}, "2 passages must be left"),
    ],
)
def test_requests_that_do_not_fit_change_nothing(made, parts, message):
    data, tokenizer, model = made
    memory = Memory(model, tokenizer, library(data), count=2)
    with pytest.raises(InputError, match=message):
        memory.forget(ForgetRequest(parts))
    assert len(memory.library.support_ids()) == 24
    assert len(memory.library.passage_ids()) == 72


def test_a_class_with_fewer_texts_than_shots_is_named():
    data = Texts(("a", "b", "c", "d", "e"), torch.tensor([0, 0, 0, 1, 1]), ("many", "few"))
    with pytest.raises(InputError, match=r"2 shots and 1 queries \(got 2 texts of 'few'\)"):
        check(data, Shape(2, 2, 1))
    with pytest.raises(InputError, match=r"3-way episodes need as many classes \(got 2\)"):
        check(data, Shape(3, 1, 1))
    with pytest.raises(InputError, match="must be at least 1"):
        check(data, Shape(2, 0, 1))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Texts(("a",), torch.tensor([0, 1]), ("A", "B")), "a class for each of 1 texts"),
        (lambda: Texts(("a",), torch.tensor([3]), ("A",)), "name them all"),
        (lambda: Texts((" ",), torch.tensor([0]), ("A",)), "text 0 is empty"),
        (lambda: cut(world(), (5, 3, 2)), "at most 8 in all"),
        (lambda: Library(world(), Texts(("a",), torch.tensor([0]), ("A",))), "share the names"),
    ],
)
def test_texts_are_checked(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_an_empty_query_is_refused(made):
    data, tokenizer, model = made
    with pytest.raises(InputError, match="must hold a word"):
        Memory(model, tokenizer, library(data), count=2).logits(["pay", " "])
