"""Calibration on a world whose memory was planted, so that the right answer is known."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from graphforget.calibrate import MOST, calibrate, spearman_brown
from graphforget.errors import InputError, UnknownName
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.gnn.models import GCN
from graphforget.gnn.task import LinkPrediction, NodeClassification
from graphforget.methods.finetune import FineTune
from graphforget.splits import split_edges
from graphforget.task import Batch, Task
from graphforget.train import seeded
from tests.small import both_ways, same_random_state, sbm

NOISE = 0.3


@dataclass(frozen=True, eq=False)
class Rows:
    """Some of the rows of a table."""

    ids: torch.Tensor

    def without(self, other: Rows) -> Rows:
        return Rows(self.ids[~torch.isin(self.ids, other.ids)])


class Memorised(nn.Module):
    """Believes 2 x0 of a row, and more of a row that it was trained on: its memory of x1."""

    def __init__(self, memory, trained: int, total: int, seed: int):
        super().__init__()
        rng = torch.Generator().manual_seed(seed)
        self.x = torch.rand(total, 2, generator=rng, dtype=torch.float64)
        known = torch.arange(total) < trained
        noise = NOISE * torch.randn(total, generator=rng, dtype=torch.float64)
        self.belief = 2 * self.x[:, 0] + torch.where(known, memory(self.x[:, 1]), 0) + noise
        self.memory = memory(self.x[:, 1])


@dataclass(frozen=True)
class Table(Task[Rows]):
    """Asks for rows of a table: no graph, so the context without an element is the context."""

    score_name: ClassVar[str] = "belief"
    x: torch.Tensor | None = None

    def batches(self, context, view, rng):
        if len(view.ids):
            yield Batch(view.ids, torch.ones(len(view.ids), dtype=torch.int64))

    def bind(self, model, context):
        return lambda batch: torch.stack([torch.zeros(batch.size), model.belief[batch.index].float()], dim=1)

    def evaluate(self, model, context, view, reference=None):
        return {"belief": float(model.belief[view.ids].mean())}

    def scores(self, outputs, batch):
        return outputs[:, 1]

    def shift(self, outputs, batch, delta):
        return torch.stack([outputs[:, 0], outputs[:, 1] - delta], dim=1)

    def structure(self, context, batch):
        return self.x[batch.index].numpy()

    def sample(self, view, count, rng):
        ids = view.ids[torch.randperm(len(view.ids), generator=rng)[:count]]
        return Batch(ids, torch.ones(len(ids), dtype=torch.int64))

    def unlinked(self, split, batch):
        return split.retain


@cache
def planted(memory, seed: int, *, pick=None, per_element: bool = True, regression: str = "trees"):
    """Calibrate a request of 300 of 4000 trained rows against 1500 unseen ones."""
    model = Memorised(memory, 4000, 5500, seed)
    order = torch.arange(4000) if pick is None else pick(model.x[:4000]).argsort()
    forget, retain = order[:300], order[300:]
    split = ForgetSplit(Rows(torch.arange(4000)), Rows(forget), Rows(retain), Rows(torch.arange(4000, 5500)))
    rng = torch.Generator().manual_seed(seed)
    found = calibrate(Table(x=model.x), model, split, rng, samples=4, per_element=per_element, regression=regression)
    return found, model.memory[forget]


def top(x):
    return -x[:, 1]


def constant(x1):
    return torch.full_like(x1, 1.5)


def rising(x1):
    return 3 * x1


@pytest.mark.parametrize("per_element", [True, False])
@pytest.mark.parametrize("memory", [constant, rising])
def test_the_mean_memory_is_recovered(memory, per_element):
    errors = []
    for seed in range(3):
        found, truth = planted(memory, seed, per_element=per_element)
        errors.append(found.mean - float(truth.mean()))
        assert (found.trained, found.unseen) == (1200, 1500)
    # 1200 trained and 1500 unseen scores of spread some 0.65: one mean is good to 0.026 (one sigma) by itself, and
    # under `rising` the request's own mean differs from the sample's by another 0.06
    assert np.abs(errors).max() < 0.15


def test_an_untrained_memory_is_zero():
    found, truth = planted(torch.zeros_like, 0)
    assert not truth.any()
    assert abs(found.mean) < 0.1
    assert found.delta.abs().max() < 0.3


def test_reliability_is_high_where_memory_depends_on_structure_and_low_where_it_does_not():
    varied = [planted(rising, seed)[0].reliability for seed in range(5)]
    flat = [planted(constant, seed)[0].reliability for seed in range(5)]
    assert min(varied) > 0.8
    assert np.mean(flat) < 0.3
    assert max(flat) < min(varied)


@pytest.mark.parametrize("regression", ["trees", "linear"])
def test_a_memory_that_depends_on_structure_is_recovered_element_by_element(regression):
    found, truth = planted(rising, 1, regression=regression)
    delta = found.delta.double()
    assert float(torch.corrcoef(torch.stack([delta, truth]))[0, 1]) > 0.9
    assert float((delta - truth).square().mean().sqrt()) < 0.5 * float(truth.std())


def test_a_flat_memory_gets_a_flat_estimate():
    found, _ = planted(constant, 2)
    assert float(found.delta.std()) < 0.15


def test_a_request_unlike_the_rest_is_judged_by_its_own_structure():
    """Rows with the largest x1 are remembered by 3 x1, not by the average of all rows."""
    for seed in range(2):
        found, truth = planted(rising, seed, pick=top)
        assert truth.mean() > 2.8
        plain, _ = planted(rising, seed, pick=top, per_element=False)
        assert abs(found.mean - float(truth.mean())) < 0.4
        assert abs(plain.mean - float(truth.mean())) > 0.9


def test_the_target_is_the_answer_without_the_memory():
    found, truth = planted(constant, 3)
    model = Memorised(constant, 4000, 5500, 3)
    belief = model.belief[found.batch.index]
    torch.testing.assert_close(found.target[:, 1].double(), belief - found.delta.double(), atol=1e-5, rtol=0)
    never_seen = 2 * model.x[found.batch.index, 0]
    assert abs(float((found.target[:, 1] - never_seen).mean())) < 0.15
    assert float((belief - never_seen).mean()) > 1.3
    assert len(truth) == found.batch.size


def test_the_seed_alone_decides():
    with same_random_state():
        first, _ = planted(rising, 4)
    torch.rand(2)
    planted.cache_clear()
    assert planted(rising, 4)[0].delta.equal(first.delta)


# --- on graphs


def graph_world(kind="edge", ids=tuple(range(24))):
    parts = split_edges(sbm(), val=0.15, test=0.05)
    return ForgetSplit.of(parts.train, ForgetRequest.of(kind, list(ids)), parts.val)


def gcn():
    with seeded(0):
        return GCN(8, 6, 3)


@pytest.mark.parametrize("task", [LinkPrediction(), NodeClassification()])
@pytest.mark.parametrize("ids", [[3], [[3, 1], [4, 2]]])
def test_value_kinds_have_nothing_to_calibrate(task, ids):
    assert calibrate(task, gcn(), graph_world("feature", ids), torch.Generator()) is None


def test_without_unseen_elements_it_says_what_is_missing():
    split = graph_world()
    nothing = replace(split, held_out=split.held_out.with_edges(torch.arange(0)))
    with pytest.raises(InputError, match="held-out elements"):
        calibrate(LinkPrediction(), gcn(), nothing, torch.Generator())


def test_a_task_without_scores_is_refused():
    class Plain(Task):
        def batches(self, context, view, rng): ...
        def bind(self, model, context): ...
        def evaluate(self, model, context, view, reference=None): ...

    with pytest.raises(InputError, match="Scored"):
        calibrate(Plain(), gcn(), graph_world(), torch.Generator())


@pytest.mark.parametrize(
    ("task", "kind"), [(LinkPrediction(), "edge"), (LinkPrediction(), "node"), (NodeClassification(), "node")]
)
def test_targets_are_shifted_answers_on_the_retain_part(task, kind):
    split, model = graph_world(kind), gcn()
    found = calibrate(task, model, split, torch.Generator().manual_seed(1))
    batch = task.elements(split.retain, split.forget)
    assert found.batch.index.equal(batch.index)
    base = task.outputs(model, split.retain, batch)
    torch.testing.assert_close(task.scores(found.target, batch), (task.scores(base, batch) - found.delta).detach())
    assert 0 <= found.reliability <= 1
    assert not found.target.requires_grad


def test_no_element_is_in_the_graph_that_it_is_asked_in():
    asked = []

    class Watching(LinkPrediction):
        def bind(self, model, context):
            answer = super().bind(model, context)

            def ask(batch):
                asked.append(both_ways(context.edge_index) & both_ways(batch.index))
                return answer(batch)

            return ask

    calibrate(Watching(), gcn(), graph_world(), torch.Generator().manual_seed(1), samples=MOST)
    assert asked == [set()] * (MOST + 2)  # the forgotten, the samples of the retained, the unseen


@pytest.mark.parametrize(
    ("rows", "request_size", "least", "trained"),
    [
        (100_000, 1, 1000, 1000),
        (100_000, 1, 400, 400),
        (100_000, 40, 1000, 1000),
        (100_000, 250, 1000, 1000),
        (100_000, 2000, 1000, 8000),
        (4000, 1, 1000, 1089),
        (400, 1, 1000, 108),
    ],
)
def test_a_small_request_is_measured_on_more_retained_elements_than_it_has(rows, request_size, least, trained):
    order = torch.arange(rows)
    held_out = Rows(torch.arange(rows, rows + 50))
    split = ForgetSplit(Rows(order), Rows(order[:request_size]), Rows(order[request_size:]), held_out)
    model = Memorised(torch.zeros_like, rows, rows + 50, 0)
    found = calibrate(Table(x=model.x), model, split, torch.Generator().manual_seed(0), samples=4, least=least)
    assert found.trained == trained


def test_an_unknown_regression_is_refused():
    with pytest.raises(UnknownName, match="did you mean 'linear'"):
        planted(constant, 0, regression="linaer")


def test_edges_that_were_memorised_show_a_memory():
    """Random labels of edges: nothing but memory can tell a trained edge from a held-out one."""
    random = sbm(inside=0.06, between=0.06)
    parts = split_edges(random, val=0.3, test=0.05)
    split = ForgetSplit.of(parts.train, ForgetRequest.of("edge", parts.train.pairs()[:, :30]), parts.val)
    task = LinkPrediction()
    with seeded(0):
        fresh = GCN(8, 32, 16)
    model = FineTune(epochs=80, lr=0.04).unlearn(fresh, task, replace(split, retain=split.data)).model
    trained = calibrate(task, model, split, torch.Generator().manual_seed(1), per_element=False)
    before = calibrate(task, fresh, split, torch.Generator().manual_seed(1), per_element=False)
    assert trained.mean > 0.5
    assert abs(before.mean) < 0.2 * trained.mean


def test_spearman_brown_of_known_correlations():
    rng = np.random.default_rng(0)
    common, noise = rng.normal(size=20_000), rng.normal(size=(2, 20_000))
    assert spearman_brown(common + noise[0], common + noise[1]) == pytest.approx(2 / 3, abs=0.02)  # r = 1/2
    assert spearman_brown(noise[0], -noise[0]) == 0
    assert spearman_brown(np.ones(5), np.arange(5.0)) == 0
    assert spearman_brown(np.arange(2.0), np.arange(2.0)) == 0


def test_a_class_that_goes_as_a_whole_is_believed_as_little_as_on_other_nodes():
    """A model that never saw the class would not know it: the unseen of other classes cannot tell its memory."""
    graph = sbm()
    split = ForgetSplit.of(graph, ForgetRequest.of("node_class", [1]), graph)
    task = NodeClassification()
    model = FineTune(epochs=80, lr=0.02).unlearn(gcn(), task, replace(split, retain=graph)).model
    found = calibrate(task, model, split, torch.Generator().manual_seed(1))
    others = task.outputs(model, split.retain, task.elements(split.retain, split.untouched)).softmax(1)[:, 1]
    before = task.outputs(model, split.retain, found.batch).softmax(1)[:, 1]
    after = found.target.softmax(1)[:, 1]
    assert before.mean() > 0.5
    assert after.mean() < others.mean() + 0.05


def test_an_unknown_level_is_refused():
    with pytest.raises(UnknownName, match="median"):
        calibrate(LinkPrediction(), None, None, None, level="median")


@pytest.mark.parametrize(("fell", "left"), [(0.0, 1.0), (0.6, 0.6), (1.5, 0.0), (4.0, 0.0), (-1.0, 1.0)])
def test_what_training_on_has_erased_is_not_taken_away_twice(fell, left):
    """The forgotten fell by a known amount since, and everything drifted by 0.7: the drift is no forgetting."""
    now = Memorised(constant, 4000, 5500, 6)
    earlier = Memorised(constant, 4000, 5500, 6)
    earlier.belief += 0.7
    earlier.belief[:300] += fell
    split = ForgetSplit(
        Rows(torch.arange(4000)), Rows(torch.arange(300)), Rows(torch.arange(300, 4000)), Rows(torch.arange(4000, 5500))
    )
    found = calibrate(Table(x=now.x), now, split, torch.Generator().manual_seed(0), keep=1.0, before=earlier)
    assert found.left == pytest.approx(left, abs=0.03)
    assert found.mean == pytest.approx(1.5 * left, abs=0.06)
    assert bool(found.delta.any()) is (left > 0)
