"""UniCLUN's equations against numpy, its teachers, and what a stream promises on images and on a graph."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from graphforget import catalog
from graphforget.continual.features import contrast, second_view, thinned, watched
from graphforget.continual.stream import Continual
from graphforget.continual.uniclun import UniCLUN, follow
from graphforget.errors import Diverged, InputError, UnknownName
from graphforget.forget import ForgetRequest
from graphforget.gnn.models import GCN
from graphforget.gnn.task import LinkPrediction, NodeClassification
from graphforget.regression.task import Regression
from graphforget.samples import Samples
from graphforget.splits import split_nodes
from graphforget.task import Batch
from graphforget.train import seeded
from graphforget.vision.data import load_splits
from graphforget.vision.models import build
from graphforget.vision.task import ImageClassification
from tests.continual import naive
from tests.small import edges_of, equal_states, same_random_state, sbm, state

TASK = ImageClassification()
SHORT = UniCLUN(buffer=60, epochs=2, forget_epochs=1)


def network(seed: int = 0) -> nn.Module:
    with seeded(seed):
        return build("mlp", (1, 8, 8), 10)


@pytest.fixture(scope="module")
def digits() -> Samples:
    return load_splits("digits_images").train


def rows_of(data: Samples, *labels: int) -> torch.Tensor:
    rows = data.rows()
    return rows[torch.isin(data.y[rows], torch.tensor(labels))]


def stream(digits: Samples, learner: UniCLUN = SHORT, seed: int = 0) -> Continual:
    pupil = Continual(learner, network(), TASK, digits, seed=seed)
    pupil.learn(rows_of(digits, 0, 1))
    pupil.learn(rows_of(digits, 2, 3))
    return pupil


def test_the_contrast_equals_two_loops():
    rng = np.random.default_rng(0)
    a, b, label = rng.normal(size=(6, 4)), rng.normal(size=(6, 4)), np.array([0, 1, 0, 2, 1, 3])
    same = (label[:, None] == label[None]).astype(float)
    for mask in (same, same + np.diag(np.full(6, np.nan))):
        ours = contrast(torch.from_numpy(a), torch.from_numpy(b), torch.from_numpy(mask), 0.07)
        assert float(ours) == pytest.approx(naive.contrast(a, b, mask, 0.07), rel=1e-9)


def test_a_contrast_without_positives_is_zero_with_a_gradient():
    a = torch.randn(2, 3, requires_grad=True)
    contrast(a, a, torch.eye(2).fill_diagonal_(torch.nan), 1.0).backward()
    assert not a.grad.any()


def test_the_replayed_terms_equal_their_equations(digits):
    """(3), (4), (5), (7) and the cross-entropy of one batch, written out in float64."""
    pupil = stream(digits)
    now, learner = pupil._state, replace(SHORT, minibatch=60, supervised=0.0)
    now.nets.double()
    now.context = replace(now.context, x=now.context.x.double())
    now.rng = torch.Generator().manual_seed(3)
    found = float(learner.replayed(now, watched(now.task, now.model, now.context)).detach())
    batch = now.memory.draw(60, torch.Generator().manual_seed(3))[0]
    x, y = now.context.x[batch.index], batch.label.numpy()

    def run(net):
        answers, features = net(x), net[:-1](x)
        return answers.detach().numpy(), features

    student, own = run(now.model)
    teacher, known = run(now.nets["teacher"])
    p_t, p_s = (np.stack([naive.softmax(row) for row in rows]) for rows in (teacher, student))
    each = np.arange(len(y))
    ce = -np.log(p_s[each, y]).mean()
    od = (p_t[each, y] * ((student - teacher) ** 2).mean(1)).mean()
    head, mean_head = now.nets["head"], now.nets["teacher_head"]
    same = (y[:, None] == y[None]).astype(float)
    cd = naive.contrast(head(own).detach().numpy(), mean_head(known).detach().numpy(), same, 0.07)
    assert found == pytest.approx(ce + 0.1 * od + 0.1 * cd, rel=1e-9)


def test_forgetting_is_kl_from_the_network_that_knows_nothing(digits):
    pupil = stream(digits)
    now = pupil._state
    batch = Batch(rows_of(digits, 0)[:9], digits.y[rows_of(digits, 0)[:9]])
    answers = now.task.teacher(now.model, now.context)(batch)
    ignorant = now.task.teacher(now.nets["random"], now.context)(batch)
    p, q = (np.stack([naive.softmax(row) for row in each.double().numpy()]) for each in (ignorant, answers))
    kl = (p * (np.log(p) - np.log(q))).sum(1).mean()
    assert float(SHORT.unlearned(now, batch, answers)) == pytest.approx(kl, rel=1e-4)
    assert float(SHORT.unlearned(now, batch, ignorant)) == pytest.approx(0, abs=1e-6)  # 0 where S = B


def test_without_flagged_samples_the_step_is_that_of_learning_alone(digits):
    pupil = stream(digits)
    now = pupil._state
    batch = Batch(rows_of(digits, 2)[:8], digits.y[rows_of(digits, 2)[:8]])
    losses = []
    for form in ("sum", "gamma"):
        now.rng = torch.Generator().manual_seed(0)
        losses.append(float(replace(SHORT, form=form, gamma=0.25).loss(now, batch, None).detach()))
    now.rng = torch.Generator().manual_seed(0)
    ask = watched(now.task, now.model, now.context)
    alone = SHORT.replayed(now, ask) + now.task.criterion(ask(batch)[0], batch).mean()
    assert losses[0] == pytest.approx(float(alone.detach()))
    assert losses[1] == pytest.approx(0.25 * float(alone.detach()))


def test_half_of_gamma_is_half_of_the_plain_sum(digits):
    pupil = stream(digits)
    now = pupil._state
    batch = Batch(rows_of(digits, 0)[:8], digits.y[rows_of(digits, 0)[:8]])
    losses = []
    for form in ("sum", "gamma"):
        now.rng = torch.Generator().manual_seed(0)
        losses.append(float(replace(SHORT, form=form).loss(now, None, batch).detach()))
    assert losses[1] == pytest.approx(losses[0] / 2, rel=1e-6)


def test_the_ignorant_never_changes_and_the_teacher_only_by_its_average(digits):
    pupil = stream(digits, replace(SHORT, ema=0.0))
    now = pupil._state
    teacher, ignorant = state(now.nets["teacher"]), state(now.nets["random"])
    assert equal_states(teacher, state(network()))  # never followed: as at the start
    pupil.learn(rows_of(digits, 4, 5))
    assert equal_states(state(now.nets["teacher"]), teacher)
    pupil.forget(ForgetRequest.of("class", [2]))
    assert equal_states(state(now.nets["random"]), ignorant)
    assert equal_states(state(now.nets["teacher"]), state(now.model))  # starts anew: it knew the forgotten
    before = state(now.nets["teacher"])
    with torch.no_grad():
        next(iter(now.model.parameters())).add_(1.0)
    follow(now, 0.75)
    for name, value in now.model.state_dict().items():
        torch.testing.assert_close(now.nets["teacher"].state_dict()[name], 0.75 * before[name] + 0.25 * value)


def test_features_are_what_the_last_layer_reads(digits):
    model = network()
    batch = Batch(torch.tensor([5, 3]), digits.y[[5, 3]])
    answers, features = watched(TASK, model, digits)(batch)
    assert answers.equal(model(digits.x[[5, 3]]))
    assert features.equal(model[:-1](digits.x[[5, 3]]))
    graph = sbm()
    gcn, nodes = GCN(8, 12, 3), NodeClassification()
    ask = watched(nodes, gcn, graph)
    one = ask(Batch(torch.tensor([4, 9]), graph.y[[4, 9]]))
    other = ask(Batch(torch.tensor([9]), graph.y[[9]]))  # the graph is run once
    assert one[1].shape == (2, 12)
    assert other[1][0].equal(one[1][1])


def test_second_views_turn_images_and_thin_graphs(digits):
    rng = torch.Generator().manual_seed(0)
    batch = Batch(torch.arange(12), digits.y[:12])
    turned = second_view(digits, batch, rng)
    for row in range(12):
        turns = [torch.rot90(digits.x[row], k, (1, 2)) for k in range(4)]
        assert any(turned.input.x[row].equal(each) for each in turns[1:])
    assert second_view(Samples(torch.zeros(3, 2), torch.zeros(3).long()), batch, rng) is None
    graph = sbm()
    less = thinned(graph, rng)
    pairs = set(edges_of(less.edge_index))
    assert pairs < set(edges_of(graph.edge_index))
    assert pairs == {(v, u) for u, v in pairs}
    assert 0.7 < less.num_edges / graph.num_edges < 0.9


# --- streams


@pytest.mark.parametrize("name", catalog.LEARNERS)
def test_the_forgotten_leave_the_buffer_exactly_and_none_enters_later(digits, name):
    learner = catalog.learner(name)(buffer=60, epochs=1, forget_epochs=1)
    pupil = Continual(learner, network(), TASK, digits)
    pupil.learn(rows_of(digits, 0, 1))
    pupil.learn(rows_of(digits, 2, 3))
    gone = rows_of(digits, 1)
    assert pupil.memory.count(gone)
    pupil.forget(ForgetRequest.of("class", [1]))
    assert pupil.memory.count(gone) == 0
    assert not torch.isin(pupil.context.rows(), gone).any()
    assert pupil.labels == [0, 2, 3]
    one = rows_of(digits, 2)[:5]
    pupil.forget(ForgetRequest.of("sample", one))
    pupil.learn(rows_of(digits, 4))
    assert pupil.memory.count(torch.cat([gone, one])) == 0
    assert pupil.forgotten.sort().values.equal(torch.cat([gone, one]).sort().values)
    with pytest.raises(InputError, match="was forgotten and does not come back"):
        pupil.learn(gone[:1])


def test_the_buffer_is_purged_before_the_first_step(digits, monkeypatch):
    pupil, seen = stream(digits), []
    gone = rows_of(digits, 0)
    plain = UniCLUN.loss

    def watched_loss(self, now, new, flagged):
        seen.append((now.memory.count(gone), bool(torch.isin(now.context.rows(), gone).any())))
        return plain(self, now, new, flagged)

    monkeypatch.setattr(UniCLUN, "loss", watched_loss)
    pupil.forget(ForgetRequest.of("class", [0]))
    assert seen
    assert set(seen) == {(0, False)}


def test_the_same_seed_gives_the_same_weights_and_nothing_outside_changes(digits):
    model = network()
    before = state(model)
    with same_random_state():
        one = stream(digits)
        one.forget(ForgetRequest.of("class", [0]))
    other = stream(digits)
    other.forget(ForgetRequest.of("class", [0]))
    assert equal_states(state(model), before)
    assert equal_states(state(one.model), state(other.model))
    assert not equal_states(state(one.model), state(stream(digits, seed=1).model))


def test_uniclun_forgets_on_digits_and_keeps_the_rest(digits):
    splits = load_splits("digits_images")
    pupil = Continual(UniCLUN(buffer=200, lr=0.1), network(), TASK, digits, seed=1)
    for labels in ((0, 1), (2, 3), (4, 5)):
        pupil.learn(rows_of(digits, *labels))
    batch = TASK.elements(pupil.context, splits.test)

    def accuracy(*labels):
        said = TASK.teacher(pupil.model, pupil.context)(batch).argmax(1)
        own = torch.isin(batch.label, torch.tensor(labels))
        return float((said == batch.label)[own].float().mean())

    assert accuracy(2, 3) > 0.8
    pupil.forget(ForgetRequest.of("class", [2, 3]))
    assert accuracy(2, 3) < 0.5
    assert accuracy(0, 1, 4, 5) > 0.85
    pupil.learn(rows_of(digits, 6, 7))
    assert accuracy(2, 3) <= 0.1
    assert accuracy(0, 1, 4, 5, 6, 7) > 0.85


@pytest.mark.parametrize("name", catalog.LEARNERS)
def test_a_graph_grows_and_forgets(name):
    graph = sbm()
    train = split_nodes(graph).train
    learner = catalog.learner(name)(buffer=20, epochs=2, forget_epochs=2)
    with seeded(0):
        pupil = Continual(learner, GCN(8, 12, 3), NodeClassification(), train)
    everybody = torch.arange(graph.num_nodes)
    pupil.learn(everybody[graph.y == 0])
    assert not pupil.context.x[graph.y != 0].any()
    assert all(u % 3 == 0 and v % 3 == 0 for u, v in edges_of(pupil.context.edge_index))
    pupil.learn(everybody[graph.y == 1])
    pupil.forget(ForgetRequest.of("node", everybody[graph.y == 0][:6]))
    pupil.learn(everybody[graph.y == 2])
    gone = everybody[graph.y == 0][:6]
    assert pupil.memory.count(gone) == 0
    assert not pupil.context.x[gone].any()
    assert not torch.isin(pupil.context.edge_index, gone).any()
    pupil.forget(ForgetRequest.of("node_class", [2]))
    assert pupil.labels == [0, 1]


def test_replay_runs_on_edges_too():
    graph = sbm()
    with seeded(0):
        pupil = Continual(catalog.learner("er")(buffer=30, epochs=2), GCN(8, 12, 6), LinkPrediction(), graph)
    nodes = torch.arange(graph.num_nodes)
    pupil.learn(nodes[:40])
    pupil.learn(nodes[40:])
    pupil.forget(ForgetRequest.of("node", [1, 2, 3]))
    assert len(pupil.memory) <= 30
    assert not torch.isin(pupil.memory.index, torch.tensor([1, 2, 3])).any()


def test_more_data_may_come_than_was_there(digits):
    few = Samples(digits.x[:200], digits.y[:200])
    pupil = Continual(SHORT, network(), TASK, few)
    pupil.learn(torch.arange(200))
    with pytest.raises(InputError, match=r"sample 200 is not in the data; pass data="):
        pupil.learn(torch.arange(200, 300))
    pupil.learn(torch.arange(200, 300), data=Samples(digits.x[:300], digits.y[:300]))
    assert pupil.context.size == 300


# --- bad input


def test_a_buffer_smaller_than_the_number_of_classes_is_refused_and_nothing_changes(digits):
    pupil = Continual(replace(SHORT, buffer=3), network(), TASK, digits)
    pupil.learn(rows_of(digits, 0, 1))
    before, held = state(pupil.model), pupil.memory.index
    with pytest.raises(InputError, match=r"an element of each of 4 classes \(got buffer=3\)"):
        pupil.learn(rows_of(digits, 2, 3))
    assert equal_states(state(pupil.model), before)
    assert pupil.memory.index.equal(held)
    assert pupil.labels == [0, 1]


def test_what_cannot_be_learned_or_forgotten_is_named(digits):
    pupil = Continual(SHORT, network(), TASK, digits)
    with pytest.raises(InputError, match="nothing has been learned yet"):
        pupil.forget(ForgetRequest.of("class", [0]))
    with pytest.raises(InputError, match="nothing has come"):
        pupil.learn(torch.empty(0).long())
    pupil.learn(rows_of(digits, 0, 1))
    with pytest.raises(InputError, match="is here already"):
        pupil.learn(rows_of(digits, 0)[:1])
    with pytest.raises(InputError, match=r"nothing that is here.*labels here: \[0, 1\]"):
        pupil.forget(ForgetRequest.of("class", [7]))
    with pytest.raises(InputError, match=r"whole elements.*\(got 'feature'\)"):
        pupil.forget(ForgetRequest.of("feature", [0]))
    with pytest.raises(InputError, match="covers everything"):
        pupil.forget(ForgetRequest.of("class", [0, 1]))
    assert pupil.memory.count(rows_of(digits, 0))


def test_a_part_that_diverges_leaves_the_networks_as_they_were(digits):
    pupil = stream(digits)
    before = state(pupil.model)
    pupil.learner = replace(SHORT, lr=1e30)
    with pytest.raises(Diverged):
        pupil.learn(rows_of(digits, 4))
    assert equal_states(state(pupil.model), before)
    assert pupil.labels == [0, 1, 2, 3]
    pupil.learner = SHORT
    pupil.learn(rows_of(digits, 4))  # and go on


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"form": "plain"}, "did you mean|known: sum, gamma"),
        ({"gamma": 2.0}, "gamma and ema"),
        ({"rho": 0.0}, "must be positive"),
        ({"buffer": 0}, "buffer must be at least 1"),
        ({"lr": 0.0}, "lr must be positive"),
    ],
)
def test_settings_are_checked(fields, message):
    with pytest.raises(InputError, match=message):
        UniCLUN(**fields)


def test_a_task_without_classes_and_a_learner_without_a_name_are_refused():
    rows = Samples(torch.zeros(4, 2), torch.zeros(4, 1))
    with pytest.raises(InputError, match="needs a task that is ClassTask"):
        Continual(UniCLUN(), nn.Linear(2, 1), Regression(), rows)
    with pytest.raises(UnknownName, match="did you mean 'uniclun'"):
        catalog.learner("uniclum")
