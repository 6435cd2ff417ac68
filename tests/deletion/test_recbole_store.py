"""A RecBole checkpoint as a deployment: from the .pth to a .pth that no longer knows the deleted."""

from __future__ import annotations

import pytest

pytest.importorskip("recbole", reason="needs the extra recbole")

from graphforget.deletion.deployment import Deployment
from graphforget.deletion.hand_over import hand_over
from graphforget.deletion.receive import receive
from graphforget.deletion.service import serve
from graphforget.deletion.setup import deploy
from recsys import recbole
from tests.deletion import small
from tests.recsys.recbole_small import run, write_small


def test_from_checkpoint_to_checkpoint(tmp_path):
    root = write_small(tmp_path / "dataset")
    trained = run("BPR", root)
    deployment = Deployment(
        factory=f"recbole:{trained.checkpoint}",
        factory_args={"dataset_folder": str(root)},
        task="recommend",
        settings={"epochs": 1},
        method="row_reset",
        golds=0,
        thresholds=small.LOOSE,
    )
    store = deploy(tmp_path / "store", deployment, None, None, small.KEY)
    user = store.vocabulary().find("user", "3")
    assert store.vocabulary().find("user", "") is None
    with store.writing():
        receive(store, small.ask(tmp_path, "r1,user,3,,", "r2,user,no such token,,", "r3,user,[PAD],,"))
        served = serve(store)
    assert store.queue.counts() == {"not_found": 2, "deleted_unverified": 1}
    assert served.outcomes[0].method == "row_reset"
    assert not bool((store.head_data().train.edge_index[0] == user).any())
    written = hand_over(store, tmp_path / "new.pth")
    back = recbole.load(written[0], written[1])
    assert not bool((back.train_data.dataset.inter_feat["user_id"] == user).any())
    ours = store.model().inner.user_embedding.weight
    assert back.model.user_embedding.weight.equal(ours)
