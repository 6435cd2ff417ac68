"""A backdoor that goes with the client that planted it, and the membership attack."""

from __future__ import annotations

import pytest
import torch

from graphforget.errors import InputError, UnknownName
from graphforget.federated import selectors
from graphforget.federated.clients import Clients, iid
from graphforget.federated.metrics import backdoor_success, membership_accuracy, teach
from graphforget.federated.rounds import Rounds
from graphforget.federated.selectors import draw, plant_backdoor, stamp
from graphforget.federated.task import federated
from graphforget.forget import ForgetSplit
from graphforget.methods.retrain import Retrain
from graphforget.splits import Splits
from graphforget.train import TrainRecord, seeded
from graphforget.vision.data import load_splits
from graphforget.vision.models import build
from graphforget.vision.task import ImageClassification
from tests.federated.small import TASK, dealt, network, world

FEW = Rounds(epochs=8, local_epochs=2, lr=3e-3, batch_size=32, weighting="equal", eval_every=8)


def pictures(clients: int = 3) -> Splits[Clients]:
    parts = load_splits("digits_images", seed=1)
    ids = iid(parts.train.rows(), clients, seed=1)
    return Splits(*(Clients(part, "sample", ids) for part in parts))


def test_the_patch_is_a_square_in_a_corner_of_every_channel():
    """Not full-width rows of the first channels, as in ConDa's code."""
    patched = stamp(torch.zeros(2, 3, 10, 12), 3)
    assert int(patched.sum()) == 2 * 3 * 9
    assert patched[:, :, 7:, 9:].all()
    with pytest.raises(InputError, match="needs images"):
        stamp(torch.zeros(2, 64), 2)


def test_the_patched_are_relabelled_and_only_they():
    parts = pictures()
    planted = plant_backdoor(parts, 1, target=7, seed=0)
    before, after = parts.train.data, planted.train.data
    changed = (before.x != after.x).flatten(1).any(1).nonzero().flatten()
    assert set(changed.tolist()) <= set(parts.train.ids[1].tolist())
    rows = (before.y != after.y).nonzero().flatten()
    assert set(rows.tolist()) <= set(parts.train.ids[1].tolist())
    assert (after.y[rows] == 7).all()
    assert planted.test.data.rows().equal(parts.test.data.rows())
    assert planted.test.data.x[parts.test.data.rows()].equal(parts.test.data.x[parts.test.data.rows()])


def test_a_backdoor_works_and_is_gone_from_gold():
    parts = plant_backdoor(pictures(), 0, target=7, seed=0)
    task, record = federated(ImageClassification(), FEW), TrainRecord()
    with seeded(0):
        model = build("mlp", (1, 8, 8), 10)
    task.fit(model, parts.train, parts.val, seed=0, record=record)
    split = ForgetSplit.of(parts.train, draw(parts, "client", count=1), parts.val)
    gold = Retrain().unlearn(model, task, split, seed=101).model
    assert backdoor_success(task, model, parts.test, 7) > 0.5
    assert backdoor_success(task, gold, parts.test, 7) < 0.15
    seven = parts.test.over(parts.test.data.view(parts.test.data.y == 7))
    with pytest.raises(InputError, match="every image of the view has the class 7"):
        backdoor_success(task, gold, seven, 7)


def test_the_attack_knows_members_and_is_blind_to_strangers():
    model, _, parts, split = world()
    attack = teach(TASK, model, parts.train, parts.test)
    assert len(attack.unseen) == parts.test.data.size // 2
    value = membership_accuracy(attack, TASK, model, split.forget, parts.test)
    assert 0.4 < value <= 1
    blank = membership_accuracy(attack, TASK, network(), split.forget, parts.test)
    assert 0.3 < blank < 0.7  # a network that knows nothing: about a coin


def test_requests_are_drawn():
    parts = dealt()
    assert draw(parts, "client", count=2).parts["client"].tolist() == [0, 1]
    assert len(draw(parts, "class", count=2, seed=3).parts["class"]) == 2
    rows = draw(parts, "sample", ratio=50.0, seed=1).parts["sample"]
    assert len(rows) == len(parts.train.ids[0]) // 2
    assert set(rows.tolist()) <= set(parts.train.ids[0].tolist())


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: draw(dealt(), "clients", count=1), UnknownName, "unknown kind"),
        (lambda: draw(dealt(), "client"), InputError, "give a count"),
        (lambda: draw(dealt(), "client", ratio=5.0), InputError, "give a count"),
        (lambda: draw(dealt(), "client", count=10), InputError, "between 1 and 9"),
        (lambda: plant_backdoor(pictures(), 9), UnknownName, "unknown client"),
        (lambda: plant_backdoor(pictures(), 0, target=12), InputError, "no row has the class 12"),
        (lambda: plant_backdoor(pictures(), 0, share=0.0), InputError, "share must lie in"),
    ],
)
def test_what_cannot_be_drawn_or_planted(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_the_kinds_are_those_of_the_issue():
    assert selectors.KINDS == ("client", "class", "sample")
