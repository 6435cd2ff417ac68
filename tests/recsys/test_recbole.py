"""The RecBole plug-in against the real RecBole: shim, graphs, stale caches, unlearning, checkpoints, data folders."""

from __future__ import annotations

import copy
import gc
import os
import pickle
import random
import subprocess
import sys
import weakref
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
import torch

pytest.importorskip("recbole", reason="needs RecBole: pip install --no-deps recbole==1.2.1")

from graphforget.errors import InputError, UnknownName
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.fresh import fresh
from graphforget.methods.finetune import FineTune
from graphforget.methods.retrain import Retrain
from graphforget.train import Recipe
from recsys import recbole as plugin
from recsys.recbole import Wrapped, compatible, evaluate, load, save, splits_of, to_graph, trusted, unlearn
from recsys.recbole.checkpoint import KEYS
from recsys.recbole.convert import with_graph
from recsys.task import Recommendation
from tests.recsys.recbole_small import own_scores, run, settings, write_small
from tests.small import same_random_state

TASK = Recommendation(recipe=Recipe(epochs=1, patience=1, lr=1e-3, batch_size=2048))
QUICK = FineTune(1, 1e-3)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_small(tmp_path_factory.mktemp("recbole"))


@pytest.fixture(scope="module")
def whole(root, tmp_path_factory):
    """A trained LightGCN with its checkpoint; tests leave it as it is."""
    here = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("run"))  # RecBole's trainers write to the current folder
    try:
        return run("LightGCN", root, epochs=3)
    finally:
        os.chdir(here)


@pytest.fixture
def own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def tokens(done, *ids, field: str = "user_id") -> list[str]:
    return [str(token) for token in done.train.dataset.id2token(field, list(ids))]


def rows(dataset) -> set[tuple[int, int]]:
    return set(zip(dataset.inter_feat["user_id"].tolist(), dataset.inter_feat["item_id"].tolist(), strict=True))


@pytest.fixture(scope="module")
def result(whole):
    """Users 3 and 5, item 7 and one interaction of user 8, forgotten."""
    user, item = next(pair for pair in sorted(rows(whole.train.dataset)) if pair[0] == 8 and pair[1] != 7)
    pair = (*tokens(whole, user), *tokens(whole, item, field="item_id"))
    return unlearn(
        whole.model,
        whole.train,
        whole.valid,
        whole.test,
        users=tokens(whole, 3, 5),
        items=tokens(whole, 7, field="item_id"),
        interactions=[pair],
        method=QUICK,
        task=TASK,
    )


# --- the shim


def test_numpy_scipy_and_the_rest_are_as_found(monkeypatch):
    import pandas as pd
    from recbole.data.dataset import Dataset
    from recbole.evaluator import Collector

    monkeypatch.setattr(sys, "argv", ["prog", "--foo=1", "--epochs=999", "-q"])
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    argv = sys.argv

    def state():
        return [dict(vars(owner)) for owner in (np, sp.dok_matrix, pd.Series, Dataset, Collector, torch)]

    before = state()
    with same_random_state():
        with compatible():
            from recbole.config import Config

            assert sys.argv == ["prog"]
            config = Config(model="BPR", dataset="ml-100k")
            assert config["epochs"] == 300
            assert vars(np)["float_"] is np.float64
            random.random(), np.random.shuffle([1, 2]), torch.rand(1)  # noqa: NPY002 - as RecBole does
        with pytest.raises(ZeroDivisionError), compatible():
            1 / 0  # noqa: B018
    for old, new in zip(before, state(), strict=True):
        assert old.keys() == new.keys()
        assert all(old[key] is new[key] for key in old if key != "__warningregistry__")
    assert sys.argv is argv
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


def test_nothing_of_recbole_is_imported_early_and_ray_never(root):
    code = (
        "import sys; import recsys.recbole as p; assert not any(m.split('.')[0] == 'recbole' for m in sys.modules)\n"
        "from tests.recsys.recbole_small import run; from pathlib import Path\n"
        f"done = run('BPR', Path({str(root)!r}), fit=False)\n"
        "from graphforget.methods.finetune import FineTune\n"
        "p.unlearn(done.model, done.train, done.valid, users=['1'], method=FineTune(1, 1e-3))\n"
        "p.evaluate(done.model, done.train, done.test)\n"
        "assert done.config['epochs'] == 1, done.config['epochs']\n"
        "assert not any(m.split('.')[0] == 'ray' or 'quick_start' in m for m in sys.modules)\n"
        "assert sys.argv == ['-c', '--foo=1', '--epochs=999'], sys.argv"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "--foo=1", "--epochs=999"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_missing_values_and_sequences_are_read_under_current_pandas(tmp_path):
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "tiny.inter").write_text(
        "user_id:token\titem_id:token\trating:float\n" + "".join(f"u{n % 7}\ti{n % 10}\t{n}\n" for n in range(35))
    )
    (folder / "tiny.item").write_text(
        "item_id:token\tprice:float\tclass:token_seq\tshop:token\tvector:float_seq\n"
        "i0\t2\ta b\tx\t1 2\ni1\t\tb\t\t3\ni2\t4\tc\ty\t5 6\ni3\t\ta\tx\t7 8\n"
    )
    done = run(
        "BPR",
        tmp_path,
        fit=False,
        dataset="tiny",
        load_col=None,
        normalize_all=False,
        filter_inter_by_user_or_item=False,
        metrics=["ItemCoverage", "Recall"],
    )
    feat, names = done.train.dataset.item_feat, done.train.dataset.field2id_token
    at = {token: number for number, token in enumerate(names["item_id"])}
    assert [float(feat["price"][at[f"i{n}"]]) for n in range(5)] == [2, 3, 4, 3, 3]  # the mean where it is missing
    classes = {token: [names["class"][n] for n in feat["class"][at[token]] if n] for token in ("i0", "i2", "i4")}
    assert classes == {"i0": ["a", "b"], "i2": ["c"], "i4": []}
    assert names["shop"][feat["shop"][at["i1"]]] == "[PAD]"
    assert feat["vector"][at["i3"]].tolist() == [7, 8]
    found = evaluate(done.model, done.train, done.test)
    assert 0 < found["itemcoverage@10"] <= 1


def test_evaluation_writes_nothing_and_is_recboles_own(whole, own_folder):
    found = evaluate(whole.model, whole.train, whole.test)
    assert list(own_folder.iterdir()) == []
    with compatible():
        from recbole.trainer import Trainer

        trainer = Trainer(whole.config, whole.model)
        expected = trainer.evaluate(whole.test, load_best_model=False)
    assert found == {key: float(value) for key, value in expected.items()}
    assert found["recall@10"] > 0


# --- graphs


def test_graphs_have_recboles_ids_and_padding_is_removed(whole):
    dataset = whole.train.dataset
    graph = to_graph(dataset).validate()
    assert graph.size == (dataset.user_num, dataset.item_num)
    assert graph.bipartite
    assert not graph.undirected
    assert graph.removed.nonzero().flatten().tolist() == [0, dataset.user_num]
    assert graph.edge_index.min() >= 1
    assert graph.num_edges == dataset.inter_num
    assert set(graph.edge_attrs) == {"rating", "time"}
    assert to_graph(dataset) is graph
    back = with_graph(dataset, graph).inter_feat
    assert all(back[field].equal(dataset.inter_feat[field]) for field in dataset.inter_feat)
    parts = splits_of(whole.train, whole.valid, whole.test)
    assert parts.train is graph
    assert parts.val.size == parts.test.size == graph.size
    assert sum(part.num_edges for part in parts) == sum(
        part.dataset.inter_num for part in (whole.train, whole.valid, whole.test)
    )


def test_a_data_set_that_is_not_built_or_none_at_all_is_refused(root):
    with compatible():
        from recbole.config import Config
        from recbole.data import create_dataset

        raw = create_dataset(Config(model="BPR", dataset="small", config_dict=settings("BPR", root)))
    with pytest.raises(InputError, match="not built yet"):
        to_graph(raw)
    with pytest.raises(InputError, match=r"data loader or a dataset of RecBole \(got list\)"):
        splits_of([], [], [])


def test_a_graph_of_other_numbers_is_refused(whole):
    graph = to_graph(whole.train.dataset)
    wrapped = Wrapped(whole.model, whole.train)
    smaller = graph.with_edges(graph.edge_index[1] < 9, size=(graph.size[0], 9), removed=None)
    with pytest.raises(InputError, match="users and items"):
        wrapped(smaller)
    with pytest.raises(InputError, match="no interaction"):
        wrapped(graph.with_edges(torch.zeros(graph.num_edges, dtype=torch.bool)))


# --- the wrapper


def test_the_given_model_is_left_alone_and_the_wrapper_holds_no_data(whole):
    state, adjacency = copy.deepcopy(whole.model.state_dict()), whole.model.norm_adj_matrix
    wrapped = Wrapped(whole.model, whole.train)
    assert whole.model.norm_adj_matrix is adjacency
    graph = to_graph(whole.train.dataset)
    users, items = wrapped(graph)
    wrapped.loss(graph, Recommendation().triples(graph, graph, graph.edge_index[:, :9], 1)).backward()
    torch.optim.SGD(wrapped.parameters(), 1.0).step()
    for name in ("norm_adj_matrix", "interaction_matrix", "restore_user_e", "restore_item_e"):
        assert getattr(wrapped.inner, name) is None
    assert all(state[key].equal(value) for key, value in whole.model.state_dict().items())
    assert whole.model.norm_adj_matrix is adjacency
    assert not users.equal(wrapped(graph)[0])
    assert items.shape == (graph.size[1], 16)


def test_messages_pass_on_the_graph_that_is_given(whole):
    """Against LightGCN in plain numpy: no forgotten edge, in either direction."""
    graph = to_graph(whole.train.dataset)
    split = ForgetSplit.of(graph, ForgetRequest.of("node", [3, graph.size[0] + 7]), to_graph(whole.valid.dataset))
    wrapped = Wrapped(whole.model, whole.train).eval()
    weights = whole.model.state_dict()
    table = torch.cat([weights["user_embedding.weight"], weights["item_embedding.weight"]]).double().numpy()
    for part in (graph, split.retain, graph):
        users, items = part.edge_index.numpy()
        adjacency = np.zeros((sum(graph.size), sum(graph.size)))
        adjacency[users, graph.size[0] + items] = adjacency[graph.size[0] + items, users] = 1
        scale = 1 / np.sqrt(np.maximum(adjacency.sum(1), 1e-7))
        adjacency = scale[:, None] * adjacency * scale
        expected = (table + adjacency @ table + adjacency @ adjacency @ table) / 3
        with torch.no_grad():
            found = torch.cat(wrapped(part)).double().numpy()
        np.testing.assert_allclose(found, expected, atol=1e-5)
        with wrapped.bound(part) as inner:
            assert inner.norm_adj_matrix._nnz() == 2 * part.num_edges


def test_what_a_graph_gave_goes_with_it(whole):
    graph = to_graph(whole.train.dataset)
    wrapped = Wrapped(whole.model, whole.train)
    other = graph.with_edges(torch.arange(graph.num_edges) > 9)
    wrapped(other)
    adjacency = weakref.ref(wrapped.source.table[other]["norm_adj_matrix"])
    twin = copy.deepcopy(wrapped)
    assert twin.source is wrapped.source
    assert len(wrapped.source.table) == 2
    del other
    gc.collect()
    assert adjacency() is None
    assert len(wrapped.source.table) == 1


def test_an_epoch_state_is_never_that_of_another_graph(root):
    done = run("SGL", root, fit=False)
    graph = to_graph(done.train.dataset)
    other = graph.with_edges(graph.edge_index[0] != 3)
    wrapped = Wrapped(done.model, done.train)
    wrapped.begin_epoch(graph, torch.Generator().manual_seed(0))
    views = wrapped._cached_epoch[1]
    index = Recommendation().triples(other, other, other.edge_index[:, :50], 1)
    wrapped.loss(other, index)
    drawn = wrapped._cached_epoch
    assert drawn[0]() is other
    assert drawn[1]["sub_graph1"] is not views["sub_graph1"]
    assert not bool((drawn[1]["sub_graph1"].coalesce().indices() == 3).any())
    with same_random_state():
        wrapped.begin_epoch(other, torch.Generator().manual_seed(0))


def test_a_never_trained_model_comes_from_its_seed(whole):
    wrapped = Wrapped(whole.model, whole.train)
    with same_random_state():
        first, again, second = fresh(wrapped, 1), fresh(wrapped, 1), fresh(wrapped, 2)
    key = "inner.user_embedding.weight"
    assert first.state_dict()[key].equal(again.state_dict()[key])
    assert not first.state_dict()[key].equal(second.state_dict()[key])
    bound = np.sqrt(6 / (to_graph(whole.train.dataset).size[0] + 16))
    assert 0.9 * bound < float(first.state_dict()[key].max()) <= bound  # RecBole's Xavier of the full table


def test_a_wrapped_model_can_be_pickled(whole):
    wrapped = Wrapped(whole.model, whole.train).eval()
    again = pickle.loads(pickle.dumps(wrapped))
    graph = to_graph(whole.train.dataset)
    with torch.no_grad():
        assert again(graph)[0].equal(wrapped(graph)[0])


def test_the_data_of_another_run_is_refused(whole, root, tmp_path):
    other = run("LightGCN", write_small(tmp_path, users=30), fit=False)
    with pytest.raises(InputError, match="was built on another dataset"):
        Wrapped(whole.model, other.train)
    with pytest.raises(InputError, match="was built on another dataset"):
        unlearn(whole.model, other.train, other.valid, users=["1"], method=QUICK)


# --- stale caches


def test_recbole_alone_scores_by_the_old_weights_and_we_do_not(whole):
    model = copy.deepcopy(whole.model)
    before = evaluate(model, whole.train, whole.test)
    users = torch.arange(1, 20)
    own_scores(model, users, model.n_items)
    assert model.restore_user_e is not None
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0)))
    from recbole.data.interaction import Interaction

    stale = model.full_sort_predict(Interaction({"user_id": users}))
    assert stale.equal(own_scores(whole.model, users, model.n_items).view(-1))  # RecBole's cache: the trained scores
    after = evaluate(model, whole.train, whole.test)
    assert after != before
    assert model.restore_user_e is None
    assert model.restore_item_e is None


# --- unlearning


def test_no_part_of_the_result_holds_the_forgotten(whole, result):
    pairs = rows(result.dataset)
    for part in (result.train_data, result.valid_data, result.test_data):
        left = rows(part.dataset)
        assert left
        assert not {user for user, _ in left} & {3, 5}
        assert not {item for _, item in left} & {7}
    gone = rows(whole.train.dataset) - pairs
    single = [pair for pair in gone if pair[0] not in (3, 5) and pair[1] != 7]
    assert len(single) == 1
    assert single[0][0] == 8
    assert gone == {pair for pair in rows(whole.train.dataset) if pair[0] in (3, 5) or pair[1] == 7} | {*single}
    used = result.test_data._sampler.used_ids
    assert not used[3]
    assert not used[5]
    adjacency = result.model.norm_adj_matrix.coalesce()
    assert adjacency._nnz() == 2 * len(pairs)
    users, items = adjacency.indices()[:, adjacency.indices()[0] < result.dataset.user_num]
    assert set(zip(users.tolist(), (items - result.dataset.user_num).tolist(), strict=True)) == pairs
    assert result.model.restore_user_e is None
    assert result.model.restore_item_e is None


def test_ids_do_not_shift_and_the_given_objects_are_untouched(whole, result, root):
    again = run("LightGCN", root, fit=False)
    for field in ("user_id", "item_id"):
        names = whole.train.dataset.field2id_token[field]
        assert (result.dataset.field2id_token[field] == names).all()
        assert names[0] == "[PAD]"
    assert result.model.state_dict().keys() == whole.model.state_dict().keys()
    assert rows(again.train.dataset) == rows(whole.train.dataset)
    assert whole.model.norm_adj_matrix._nnz() == 2 * whole.train.dataset.inter_num
    assert not result.model.user_embedding.weight.equal(whole.model.user_embedding.weight)
    assert result.model.training == whole.model.training


def test_the_result_is_scored_and_trained_on_by_recbole(result, own_folder):
    found = evaluate(result.model, result.train_data, result.test_data)
    assert 0 < found["recall@10"] <= 1
    with compatible():
        from recbole.trainer import Trainer

        trainer = Trainer(result.config, copy.deepcopy(result.model))
        trainer.fit(result.train_data, result.valid_data, verbose=False, saved=False, show_progress=False)
        more = trainer.evaluate(result.test_data, load_best_model=False)
    assert more["recall@10"] >= 0


def test_the_same_seed_gives_the_same_model_and_random_state_stays(whole):
    given = {"users": tokens(whole, 4), "method": QUICK, "task": TASK}
    with same_random_state():
        first = unlearn(whole.model, whole.train, whole.valid, seed=3, **given)
    again = unlearn(whole.model, whole.train, whole.valid, seed=3, **given)
    other = unlearn(whole.model, whole.train, whole.valid, seed=4, **given)
    weight = first.model.user_embedding.weight
    assert weight.equal(again.model.user_embedding.weight)
    assert not weight.equal(other.model.user_embedding.weight)
    assert first.test_data is None
    with same_random_state():
        evaluate(first.model, first.train_data, first.valid_data)


def test_retrain_gives_the_gold(whole):
    gold = unlearn(
        whole.model, whole.train, whole.valid, whole.test, users=tokens(whole, 3), method=Retrain(), task=TASK
    )
    assert evaluate(gold.model, gold.train_data, gold.test_data)["recall@10"] >= 0
    assert not torch.allclose(gold.model.user_embedding.weight, whole.model.user_embedding.weight, atol=1e-2)
    named = unlearn(whole.model, whole.train, whole.valid, users=tokens(whole, 3), method="retrain", task=TASK)
    assert named.model.user_embedding.weight.equal(gold.model.user_embedding.weight)


def test_the_default_method_draws_the_rows_of_the_forgotten_anew(whole):
    pytest.importorskip("recsys.row_reset", reason="the default method, recsys.row_reset, is not there yet")
    found = unlearn(whole.model, whole.train, whole.valid, whole.test, users=tokens(whole, 3), task=TASK)
    old, new = (model.user_embedding.weight.detach() for model in (whole.model, found.model))
    moved = (new - old).norm(dim=1)
    assert moved[3] > 2 * moved[[1, 2, 4, 5, 6]].max()
    assert evaluate(found.model, found.train_data, found.test_data)["recall@10"] > 0


def test_a_second_request_goes_on_from_the_first(whole, result):
    given = (result.model, result.train_data, result.valid_data, result.test_data)
    second = unlearn(*given, users=tokens(whole, 3, 10), method=QUICK, task=TASK)
    assert not {user for user, _ in rows(second.dataset)} & {3, 5, 10}
    with pytest.raises(InputError, match="not trained on any"):
        unlearn(*given, users=tokens(whole, 3, 5), method=QUICK, task=TASK)


def test_the_config_sets_the_recipe(whole):
    from recsys.recbole.bridge import task_of

    recipe = task_of(whole.config).recipe
    assert (recipe.lr, recipe.batch_size, recipe.weight_decay) == (0.001, 2048, 0.0)


def test_unknown_tokens_are_listed_and_nothing_is_changed(whole):
    before = copy.deepcopy(whole.model.state_dict())
    given = {
        "users": [*tokens(whole, 3), "nobody", "[PAD]"],
        "items": ["nothing"],
        "interactions": [(*tokens(whole, 3), "nothing"), ("1", "no")],
    }
    with pytest.raises(InputError, match="does not know 5 of the request") as caught:
        unlearn(whole.model, whole.train, whole.valid, **given)
    for part in ("user 'nobody'", "user '[PAD]'", "item 'nothing'", "interaction ('1', 'no')", "skip_missing=True"):
        assert part in str(caught.value)
    assert all(before[key].equal(value) for key, value in whole.model.state_dict().items())
    found = unlearn(whole.model, whole.train, whole.valid, skip_missing=True, method=QUICK, task=TASK, **given)
    assert len(found.skipped) == 5
    assert 3 not in {user for user, _ in rows(found.dataset)}


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({}, r"the request is empty"),
        ({"users": []}, r"the request is empty"),
        ({"users": [3]}, r"raw tokens as strings, not internal ids \(got 3\)"),
        ({"users": "196"}, r"write \['196'\]"),
        ({"interactions": ["196"]}, r"\(user, item\) pairs"),
        ({"interactions": [("1", 2)]}, r"\(user, item\) pairs"),
        ({"users": ["nobody"]}, r"does not know 1 of the request: user 'nobody'"),
    ],
)
def test_a_bad_request_is_refused(whole, request_, message):
    with pytest.raises(InputError, match=message):
        unlearn(whole.model, whole.train, whole.valid, **request_)


def test_a_request_for_what_was_not_learned_or_for_everything_is_refused(whole):
    held = next(iter(sorted(rows(whole.test.dataset) - rows(whole.train.dataset) - rows(whole.valid.dataset))))
    pair = (*tokens(whole, held[0]), *tokens(whole, held[1], field="item_id"))
    with pytest.raises(InputError, match="does not know 1"):
        unlearn(whole.model, whole.train, whole.valid, interactions=[pair])
    with pytest.raises(InputError, match="not trained on any"):
        unlearn(whole.model, whole.train, whole.valid, whole.test, interactions=[pair], method=QUICK)
    everyone = [str(token) for token in whole.train.dataset.field2id_token["user_id"][1:]]
    with pytest.raises(InputError, match="covers everything"):
        unlearn(whole.model, whole.train, whole.valid, users=everyone, method=QUICK)


def test_an_unknown_method_is_named(whole):
    with pytest.raises(UnknownName, match="did you mean 'retrain'"):
        unlearn(whole.model, whole.train, whole.valid, users=tokens(whole, 3), method="retrian")


def test_side_features_of_the_forgotten_are_blanked(root, tmp_path):
    write_small(tmp_path)
    known = sorted({line.split("\t")[0] for line in (tmp_path / "small/small.inter").read_text().splitlines()[1:]})
    lines = ["user_id:token\tage:float\tjob:token", *(f"{user}\t{20 + n}\tjob{n % 3}" for n, user in enumerate(known))]
    (tmp_path / "small/small.user").write_text("\n".join([*lines, ""]))
    columns = {"inter": ["user_id", "item_id"], "user": ["user_id", "age", "job"]}
    done = run("BPR", tmp_path, fit=False, load_col=columns, normalize_all=False)
    found = unlearn(done.model, done.train, done.valid, done.test, users=tokens(done, 3), method=QUICK, task=TASK)
    old, new = done.train.dataset.user_feat, found.dataset.user_feat
    assert float(old["age"][3]) > 0
    assert int(old["job"][3]) > 0
    assert float(new["age"][3]) == int(new["job"][3]) == 0
    assert new["user_id"].equal(old["user_id"])
    assert new["age"][4:].equal(old["age"][4:])
    folder = save(found, tmp_path / "out" / "new.pth")
    again = load(tmp_path / "out" / "new.pth").train_data.dataset
    assert again.user_feat["age"][1:].equal(new["age"][1:])  # row 0, padding, is the mean
    assert again.user_feat["job"].equal(new["job"])
    line = (folder / "small.user").read_text().splitlines()[3]
    assert line == f"{tokens(done, 3)[0]}\t0.0\t"


# --- checkpoints


def test_a_run_is_loaded_with_its_weights_and_its_split(whole, root):
    with same_random_state():
        found = load(whole.checkpoint)
    assert type(found.model) is type(whole.model)
    assert not found.model.training
    saved = torch.load(whole.checkpoint, weights_only=False)  # written above by this very test
    for key, value in found.model.state_dict().items():
        assert value.equal(saved["state_dict"][key])
    for mine, theirs in zip(found[2:], (whole.train, whole.valid, whole.test), strict=True):
        assert rows(mine.dataset) == rows(theirs.dataset)
    for key, value in whole.config.final_config_dict.items():
        if key != "worker":
            assert found.config[key] == value, key
    assert load(whole.checkpoint, root).model.n_users == load(whole.checkpoint, root / "small").model.n_users


def test_a_saved_result_is_loaded_by_us_and_by_recbole(whole, result, own_folder):
    folder = save(result, own_folder / "new.pth")
    expected = evaluate(result.model, result.train_data, result.test_data)
    names = whole.train.dataset.field2id_token

    ours = load(own_folder / "new.pth")
    assert evaluate(ours.model, ours.train_data, ours.test_data) == expected
    with compatible(), trusted(own_folder / "new.pth"):  # what RecBole's load_data_and_model does
        from recbole.data import create_dataset, data_preparation
        from recbole.trainer import Trainer
        from recbole.utils import get_model

        saved = torch.load(own_folder / "new.pth")
        config = saved["config"]
        train, valid, test = data_preparation(config, create_dataset(config))
        model = get_model(config["model"])(config, train.dataset)
        model.load_state_dict(saved["state_dict"])
        model.load_other_parameter(saved.get("other_parameter"))
        trainer = Trainer(config, model)
        theirs = trainer.evaluate(test, load_best_model=False)
        trainer.resume_checkpoint(own_folder / "new.pth")
        assert trainer.evaluate(test, load_best_model=True, model_file=own_folder / "new.pth") == theirs
    assert {key: float(value) for key, value in theirs.items()} == expected
    for loaded in (ours.train_data.dataset, train.dataset):
        assert rows(loaded) == rows(result.dataset)
        for field in ("user_id", "item_id"):
            assert list(loaded.field2id_token[field]) == list(names[field])
        for field in result.dataset.inter_feat:
            assert loaded.inter_feat[field].equal(result.dataset.inter_feat[field])
    for mine, theirs_, part in zip((valid, test), ours[3:], (result.valid_data, result.test_data), strict=True):
        assert rows(mine.dataset) == rows(theirs_.dataset) == rows(part.dataset)
    assert model.norm_adj_matrix._nnz() == 2 * result.dataset.inter_num
    assert tuple(saved) == KEYS
    assert saved["other_parameter"] == {"restore_user_e": None, "restore_item_e": None}
    assert saved["optimizer"]["state"] == {}
    forgotten = {*tokens(whole, 3, 5)}
    for path in folder.glob("*.inter"):
        assert not forgotten & {line.split("\t")[0] for line in path.read_text().splitlines()}


def test_without_the_saved_data_set_ids_would_shift(whole, result, own_folder):
    """Why the folder has more than text: RecBole numbers tokens as they appear."""
    folder = save(result, own_folder / "new.pth")
    for path in (folder / "small.ids.json", folder / "small-Dataset.pth"):
        path.unlink()
    with pytest.raises(InputError, match="was trained on another data set"):
        load(own_folder / "new.pth")


def test_the_report_says_what_may_still_hold_the_forgotten(whole, result, root):
    assert str(root / "small" / "small.inter") in result.report["interaction files"]
    assert str(whole.checkpoint) in result.report["checkpoints"]
    assert {"given objects", "optimizer", "caches", "id maps"} <= set(result.report)
    assert "scaled columns" not in result.report


def test_scaled_columns_are_reported_and_not_scaled_again(root, own_folder):
    done = run("BPR", root, fit=False, normalize_all=True)
    assert float(done.train.dataset.inter_feat["rating"].max()) == 1
    lowest = done.train.dataset.inter_feat["timestamp"].argmin()  # without it the scale would shift
    user = tokens(done, int(done.train.dataset.inter_feat["user_id"][lowest]))
    found = unlearn(done.model, done.train, done.valid, done.test, users=user, method=QUICK, task=TASK)
    assert "scaled columns" in found.report
    save(found, own_folder / "new.pth")
    again = load(own_folder / "new.pth").train_data.dataset
    for field in ("rating", "timestamp"):
        assert again.inter_feat[field].equal(found.dataset.inter_feat[field])


def test_nothing_is_overwritten(result, own_folder):
    save(result, own_folder / "new.pth", own_folder / "data")
    with pytest.raises(InputError, match="already"):
        save(result, own_folder / "new.pth")
    with pytest.raises(InputError, match="must be empty"):
        save(result, own_folder / "other.pth", own_folder / "data")
    assert not (own_folder / "other.pth").exists()


def test_a_result_without_test_data_is_saved_and_loaded(whole, own_folder):
    found = unlearn(whole.model, whole.train, whole.valid, users=tokens(whole, 4), method=QUICK, task=TASK)
    save(found, own_folder / "new.pth")
    again = load(own_folder / "new.pth")
    assert rows(again.train_data.dataset) == rows(found.dataset)
    assert evaluate(again.model, again.train_data, again.valid_data)["recall@10"] >= 0
    with pytest.raises(InputError, match="no interaction"):
        evaluate(again.model, again.train_data, again.test_data)


def test_a_chain_of_requests_is_saved_and_loaded(whole, result, own_folder):
    save(result, own_folder / "first.pth")
    first = load(own_folder / "first.pth")
    second = unlearn(first.model, *first[2:], users=tokens(whole, 10), method=QUICK, task=TASK)
    save(second, own_folder / "second.pth")
    again = load(own_folder / "second.pth")
    assert rows(again.train_data.dataset) == rows(second.dataset)
    assert not {user for user, _ in rows(again.train_data.dataset)} & {3, 5, 10}
    assert evaluate(again.model, again.train_data, again.test_data) == evaluate(
        second.model, second.train_data, second.test_data
    )


# --- files from outside


class Trap:
    def __reduce__(self):
        return (os.system, ("echo hacked > pwned",))


def rewritten(whole, path, **changes):
    """The checkpoint with other values in its config, written as RecBole writes it."""
    saved = torch.load(whole.checkpoint, weights_only=False)
    saved["config"].final_config_dict.update(changes)
    torch.save(saved, path, pickle_protocol=4)
    return path


def test_a_hostile_checkpoint_runs_nothing(whole, own_folder):
    saved = torch.load(whole.checkpoint, weights_only=False)
    torch.save({**saved, "epoch": Trap()}, "a.pth", pickle_protocol=4)
    with pytest.raises(InputError, match=r"system, which is not on the allow-list"):
        load("a.pth")
    rewritten(whole, "b.pth", learner=Trap())
    with pytest.raises(InputError, match=r"system, which is not on the allow-list"):
        load("b.pth")
    rewritten(whole, "c.pth", learner="__import__('os').system('echo hacked > pwned')")
    assert load("c.pth").config["learner"].startswith("__import__")  # a string, as it was
    assert not Path("pwned").exists()


def test_pickled_data_beside_a_checkpoint_is_not_opened(whole, own_folder):
    for name in ("small-Dataset.pth", "small-for-LightGCN-dataloader.pth", "named.pth"):
        Path(name).write_bytes(pickle.dumps(Trap()))
    rewritten(
        whole,
        "a.pth",
        checkpoint_dir=str(own_folder),
        dataset_save_path=str(own_folder / "named.pth"),
        dataloaders_save_path=str(own_folder / "named.pth"),
    )
    assert rows(load("a.pth").train_data.dataset) == rows(whole.train.dataset)
    assert not Path("pwned").exists()


def test_a_checkpoint_of_another_data_set_is_refused(whole, own_folder):
    write_small(own_folder, users=30)
    with pytest.raises(InputError, match="was trained on another data set"):
        load(whole.checkpoint, own_folder)
    (own_folder / "empty").mkdir()
    with pytest.raises(InputError, match=r"there is no small\.inter"):
        load(whole.checkpoint, own_folder / "empty")
    with pytest.raises(InputError, match="there is no data folder"):
        load(whole.checkpoint, own_folder / "nowhere")


def test_what_is_no_checkpoint_of_a_supported_model_is_refused(whole, own_folder):
    torch.save({"a": 1}, "a.pth")
    with pytest.raises(InputError, match="no checkpoint of RecBole"):
        load("a.pth")
    torch.save({"config": {"model": "BPR"}, "state_dict": {}}, "b.pth")
    with pytest.raises(InputError, match="holds no config of RecBole"):
        load("b.pth")
    with pytest.raises(InputError, match="there is no checkpoint"):
        load("missing.pth")
    with pytest.raises(InputError, match="no general recommender"):
        load(rewritten(whole, "c.pth", model="SASRec"))
    with pytest.raises(InputError, match="NeuMF cannot be unlearned here"):
        load(rewritten(whole, "d.pth", model="NeuMF"))
    with pytest.raises(InputError, match="fine-tuned from another checkpoint"):
        load(rewritten(whole, "e.pth", model="RaCT", train_stage="finetune", pre_model_path="f.pth"))
    with pytest.raises(InputError, match="by a path"):
        load(rewritten(whole, "g.pth", dataset="../small"))
    with pytest.raises(InputError, match="no 'seed' in its config"):
        load(rewritten(whole, "h.pth", seed=None))


@pytest.mark.filterwarnings("ignore:Detected pickle protocol 4")
def test_only_the_named_file_is_trusted(whole, own_folder):
    torch.save({"a": Trap()}, "other.pth")
    with trusted(whole.checkpoint):
        assert "config" in torch.load(whole.checkpoint)
        with pytest.raises(pickle.UnpicklingError):
            torch.load("other.pth")
    with pytest.raises(pickle.UnpicklingError):
        torch.load(whole.checkpoint)
    assert not Path("pwned").exists()


def test_the_names_of_the_plug_in_are_there():
    assert all(hasattr(plugin, name) for name in plugin.__all__)
