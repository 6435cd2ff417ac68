"""Unlearning from a trained model of RecBole: what the result holds, and requests that cannot be served."""

from __future__ import annotations

import copy

import pytest
import torch

pytest.importorskip("recbole", reason="needs RecBole: pip install --no-deps recbole==1.2.1")

from graphforget.errors import InputError, NotApplicable, UnknownName
from graphforget.methods.retrain import Retrain
from recsys.recbole import compatible, evaluate, load, save, unlearn
from recsys.recbole.bridge import METHODS
from recsys.receraser import RecEraser
from tests.recsys.recbole_small import QUICK, TASK, rows, run, tokens, write_small
from tests.small import same_random_state


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
    found = unlearn(whole.model, whole.train, whole.valid, whole.test, users=tokens(whole, 3), task=TASK)
    old, new = (model.user_embedding.weight.detach() for model in (whole.model, found.model))
    moved = (new - old).norm(dim=1)
    assert moved[3] > 2 * moved[[1, 2, 4, 5, 6]].max()
    assert evaluate(found.model, found.train_data, found.test_data)["recall@10"] > 0


def test_single_interactions_go_by_the_default_and_by_every_name(whole):
    user, item = next(iter(sorted(rows(whole.train.dataset))))
    pair = (*tokens(whole, user), *tokens(whole, item, field="item_id"))
    given = (whole.model, whole.train, whole.valid)
    found = unlearn(*given, interactions=[pair], task=TASK)
    assert (user, item) not in rows(found.dataset)
    assert "delta_mean" in found.record  # of mmrecun_calibrated
    for name in sorted({*METHODS} - {"row_reset", "mmrecun_calibrated"}):
        assert (user, item) not in rows(unlearn(*given, interactions=[pair], method=name, task=TASK).dataset)
    with pytest.raises(NotApplicable, match="use mmrecun_calibrated"):
        unlearn(*given, interactions=[pair], method="row_reset", task=TASK)


def test_users_and_single_interactions_of_others_go_in_one_request(whole):
    user, item = next(pair for pair in sorted(rows(whole.train.dataset)) if pair[0] != 3)
    pair = (*tokens(whole, user), *tokens(whole, item, field="item_id"))
    found = unlearn(whole.model, whole.train, whole.valid, users=tokens(whole, 3), interactions=[pair], task=TASK)
    assert not any(row == (user, item) or row[0] == 3 for row in rows(found.dataset))
    assert {"reset", "delta_mean"} <= set(found.record)  # its rows drawn anew, and the pair asked for by itself


def test_a_method_with_another_kind_of_product_is_refused_before_it_trains(whole):
    with pytest.raises(InputError, match="RecEraser returns another kind of model, which RecBole cannot load"):
        unlearn(whole.model, whole.train, whole.valid, users=tokens(whole, 3), method=RecEraser(), task=TASK)


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
