"""Our recommenders as models of RecBole: trained, scored, saved and loaded by RecBole itself."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest
import torch

pytest.importorskip("recbole", reason="needs RecBole: pip install --no-deps recbole==1.2.1")

from graphforget.errors import InputError, UnknownName
from graphforget.methods.finetune import FineTune
from graphforget.train import Recipe
from recsys import recbole as plugin
from recsys.models import MULTIMODAL
from recsys.recbole import own
from recsys.recbole.modalities import features_of, settings_for
from recsys.recbole.models import general_recommenders, main
from recsys.row_reset import RowReset
from recsys.task import Recommendation
from tests.recsys.recbole_small import Run, own_scores, run, settings, write_small
from tests.small import same_random_state

TASK = Recommendation(recipe=Recipe(epochs=1, patience=1, lr=1e-3, batch_size=2048))
QUICK = FineTune(1, 1e-3)
KEYS = sorted(own.NAMES.values())


def write_modal(root: Path, users: int = 60) -> Path:
    """The small data with image and text features of its items, made from their numbers; return its folder."""
    folder = write_small(root, users) / "small"
    items = sorted({line.split("\t")[1] for line in (folder / "small.inter").read_text().splitlines()[1:]}, key=int)
    for suffix, token, column, width in (("itemvis", "vid", "vis_emb", 5), ("itemtxt", "tid", "txt_emb", 3)):
        lines = [f"{item}\t{' '.join(str((int(item) * 7 + n) % 11 - 5.5) for n in range(width))}" for item in items]
        (folder / f"small.{suffix}").write_text("\n".join([f"{token}:token\t{column}:float_seq", *lines, ""]))
    return folder


def trained(key: str, folder: Path, *, epochs: int = 2, **changes) -> Run:
    """One of ours, trained by RecBole's own trainer with its checkpoint in the current folder."""
    with plugin.compatible():
        from recbole.config import Config
        from recbole.data import create_dataset, data_preparation
        from recbole.trainer import Trainer
        from recbole.utils import init_seed

        made = plugin.model_class(key)
        values = settings(made.__name__, folder.parent, epochs=epochs, checkpoint_dir="saved", learning_rate=0.02)
        config = Config(model=made, dataset=folder.name, config_dict=values | settings_for(folder) | changes)
        init_seed(config["seed"], config["reproducibility"])
        train, valid, test = data_preparation(config, create_dataset(config))
        model = made(config, train.dataset).to(config["device"])
        trainer = Trainer(config, model)
        trainer.fit(train, valid, verbose=False, show_progress=False)
    return Run(config, model.eval(), train, valid, test, Path(trainer.saved_model_file).absolute())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_modal(tmp_path_factory.mktemp("modal"))


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    """RecBole's trainers write to the current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("key", KEYS)
def test_recbole_trains_scores_and_loads_it_and_it_forgets(key, folder, own_folder):
    done = trained(key, folder)
    before, weights = plugin.evaluate(done.model, done.train, done.test), copy.deepcopy(done.model.state_dict())
    untrained = plugin.model_class(key)(done.config, done.train.dataset)
    assert before["recall@10"] > 0
    assert not all(value.equal(weights[name]) for name, value in untrained.state_dict().items())

    # our loader reads its checkpoint, weights and split alike
    run = plugin.load(done.checkpoint)
    assert type(run.model) is type(done.model)
    assert plugin.evaluate(run.model, run.train_data, run.test_data) == before

    # forgotten, by the plug-in, and nothing given has changed
    users, items = (done.train.dataset.id2token(f"{kind}_id", [3, 5]) for kind in ("user", "item"))
    result = plugin.unlearn(
        *(run.model, *run[2:]), users=[*users], items=[*items], method=RowReset(epochs=1), task=TASK
    )
    assert type(result.model) is type(done.model)
    assert all(weights[name].equal(value) for name, value in run.model.state_dict().items())
    graph = result.model.graph
    assert graph.num_edges == result.dataset.inter_num < run.model.graph.num_edges
    assert not torch.isin(graph.edge_index, torch.tensor([3, 5])).any()
    for name, values in graph.features.items():
        assert not values[[3, 5]].any()
        assert values[4].equal(run.model.graph.features[name][4])

    # saved, and RecBole's own loader takes it: what its load_data_and_model does
    plugin.save(result, own_folder / "new.pth")
    after = plugin.evaluate(result.model, result.train_data, result.test_data)
    with plugin.compatible(), plugin.trusted(own_folder / "new.pth"):
        from recbole.data import create_dataset, data_preparation
        from recbole.trainer import Trainer
        from recbole.utils import get_model

        saved = torch.load(own_folder / "new.pth")
        train, _, test = data_preparation(saved["config"], create_dataset(saved["config"]))
        model = get_model(saved["config"]["model"])(saved["config"], train.dataset)
        model.load_state_dict(saved["state_dict"])
        model.load_other_parameter(saved["other_parameter"])
        theirs = Trainer(saved["config"], model).evaluate(test, load_best_model=False)
    assert {name: float(value) for name, value in theirs.items()} == after
    assert model.graph.edge_index.sort().values.equal(graph.edge_index.sort().values)
    assert all(model.graph.features[name].equal(values) for name, values in graph.features.items())


@pytest.mark.parametrize("key", ["freedom", "vbpr"])
def test_a_withdrawn_modality_is_gone_from_model_data_and_files(key, folder, own_folder):
    done = trained(key, folder, epochs=1)
    tokens = [str(token) for token in done.train.dataset.id2token("item_id", [4, 6])]
    given = (done.model, done.train, done.valid, done.test)
    result = plugin.unlearn(*given, features={"image": tokens}, method=RowReset(epochs=1), task=TASK)
    plugin.save(result, own_folder / "new.pth")
    again = plugin.load(own_folder / "new.pth")
    old = done.model.graph.features
    for model in (result.model, again.model):
        new = model.graph.features
        assert not new["image"][[4, 6]].any()
        assert new["image"][5].equal(old["image"][5])
        assert new["text"].equal(old["text"])
        assert model.graph.num_edges == done.model.graph.num_edges
    assert old["image"][[4, 6]].any()  # what was given is as it was
    assert str(folder / "small.itemvis") in result.report["item files"]
    assert plugin.evaluate(again.model, again.train_data, again.test_data) == plugin.evaluate(
        result.model, result.train_data, result.test_data
    )
    with pytest.raises(UnknownName, match="did you mean 'image'"):
        plugin.unlearn(*given, features={"imag": tokens}, method=QUICK, task=TASK)
    with pytest.raises(InputError, match=r"does not know 1 of the request: item 'nothing'"):
        plugin.unlearn(*given, features={"image": ["nothing"]}, method=QUICK, task=TASK)


def test_a_model_of_recbole_has_no_features_to_forget(folder):
    done = run("BPR", folder.parent, fit=False, **settings_for(folder))
    token = str(done.train.dataset.id2token("item_id", 4))
    with pytest.raises(InputError, match="BPR of RecBole reads no item features"):
        plugin.unlearn(done.model, done.train, done.valid, features={"image": [token]}, method=QUICK, task=TASK)


def test_scores_are_the_recommenders_own_on_every_path(folder):
    done = trained("mgcn", folder, epochs=1)
    users = torch.arange(1, 9)
    with torch.no_grad():
        user, item = done.model.recommender(done.model.graph)
    expected = user[users] @ item.T
    assert own_scores(done.model, users, len(item)).equal(expected)
    from recbole.data.interaction import Interaction

    pairs = Interaction({"user_id": users, "item_id": users + 1})
    torch.testing.assert_close(done.model.predict(pairs).detach(), expected[torch.arange(8), users + 1])


def test_scores_are_never_those_of_old_weights(folder):
    done = trained("lightgcn", folder, epochs=1)
    users = torch.arange(1, 9)
    old = own_scores(done.model, users, done.model.n_items)
    assert own_scores(done.model, users, done.model.n_items).equal(old)
    with torch.no_grad():
        done.model.recommender.item_embedding.mul_(-1)
    new = own_scores(done.model, users, done.model.n_items)
    assert not new.equal(old)
    done.model.eval()
    done.model.recommender.item_embedding.data.zero_()  # a change that torch does not count
    done.model.eval()
    assert not own_scores(done.model, users, done.model.n_items).equal(new)


def test_freedom_draws_its_edges_once_an_epoch(folder):
    model = trained("freedom", folder, epochs=1).model
    first = model.train().recommender._drawn
    second = model.train().recommender._drawn
    assert first[0]() is second[0]() is model.graph
    assert first[1] is not second[1]
    assert first[1].matrix._nnz() < 2 * model.graph.num_edges


def test_settings_of_the_config_reach_the_recommender(folder):
    changes = {"embedding_size": 8, "n_layers": 3, "rho": 0.5, "modal_weight": 0, "k": 4}
    model = trained("freedom", folder, epochs=1, **changes).model.recommender
    assert (model.user_embedding.shape[1], model.layers, model.rho, model.k, model.item_layers) == (8, 3, 0.5, 4, 1)
    assert isinstance(model.modal_weight, float)
    for wrong in ({"n_layers": 1.5}, {"rho": "much"}, {"k": True}):
        with pytest.raises(InputError, match=rf"{next(iter(wrong))} of the config must be of type"):
            trained("freedom", folder, **wrong)


def test_features_are_found_by_token_whichever_way_the_config_names_them(folder):
    with plugin.compatible():
        from recbole.config import Config
        from recbole.data import create_dataset

        given = settings("BPR", folder.parent) | settings_for(folder)
        preloaded = create_dataset(Config(model="FREEDOM", dataset="small", config_dict=given)).build()[0]
        given.pop("preload_weight")
        columns = create_dataset(Config(model="FREEDOM", dataset="small", config_dict=given)).build()[0]
        tokens = preloaded.field2id_token["item_id"]
    expected = {
        name: torch.tensor([[0.0] * n, *([(int(t) * 7 + c) % 11 - 5.5 for c in range(n)] for t in tokens[1:])])
        for name, n in (("image", 5), ("text", 3))
    }
    for dataset in (preloaded, columns):
        found = features_of(dataset)
        assert {name: values.dtype for name, values in found.items()} == dict.fromkeys(expected, torch.float32)
        assert all(found[name].equal(values) for name, values in expected.items())


def test_the_posters_are_read_as_mmrec_reads_them(data_root):
    """Three printed decimals, float16 in the other files: equal within .005."""
    from recsys.data import load_splits

    folder = data_root / "ml_posters" / "recbole" / "mlls_posters"
    if not folder.is_dir():
        pytest.skip("ml_posters in RecBole's form is not there")
    with plugin.compatible():
        from recbole.config import Config
        from recbole.data import create_dataset

        made = plugin.model_class("vbpr")
        config = Config(model=made, dataset=folder.name, config_dict=settings_for(folder))
        dataset = create_dataset(config).build()[0]
    ours = load_splits("ml_posters", root=data_root).train.features
    names = (data_root / "ml_posters" / "mmrec" / "i_id_mapping.csv").read_text().splitlines()[1:]
    place = {line.split("\t")[1]: int(line.split("\t")[0]) for line in names}
    rows = [place[token] for token in dataset.field2id_token["item_id"][1:]]
    for name, values in features_of(dataset).items():
        assert (values[1:] - ours[name][rows]).abs().max() < 0.005


def test_a_class_is_pickled_by_its_name_and_never_taken_for_recboles(folder):
    for key in KEYS:
        made = plugin.model_class(key)
        assert pickle.loads(pickle.dumps(made)) is made is getattr(own, made.__name__)
        assert made.__name__ not in general_recommenders()
    with pytest.raises(AttributeError, match="has no attribute 'Freedom'"):
        own.Freedom  # noqa: B018
    with pytest.raises(UnknownName, match="did you mean 'freedom'"):
        plugin.model_class("fredom")


def test_the_list_names_ours(capsys):
    main()
    printed = capsys.readouterr().out
    assert all(name in printed for name in own.NAMES)


def test_random_state_stays_and_the_same_seed_gives_the_same_model(folder):
    done = trained("freedom", folder, epochs=1)
    given = {"users": [str(done.train.dataset.id2token("user_id", 3))], "method": QUICK, "task": TASK}
    with same_random_state():
        first = plugin.unlearn(done.model, done.train, done.valid, seed=3, **given)
        plugin.load(done.checkpoint)
    again = plugin.unlearn(done.model, done.train, done.valid, seed=3, **given)
    for name, value in first.model.state_dict().items():
        assert value.equal(again.model.state_dict()[name])


# --- bad input


@pytest.mark.parametrize("key", sorted(MULTIMODAL))
def test_a_multimodal_model_without_features_says_what_it_needs(key, tmp_path):
    with pytest.raises(InputError, match=f"{key} needs item features"):
        trained(key, write_small(tmp_path) / "small")


def test_features_that_are_not_numbers_are_refused(tmp_path):
    folder = write_modal(tmp_path)
    file = folder / "small.itemvis"
    head, first, *rest = file.read_text().splitlines()
    file.write_text("\n".join([head, first.rpartition(" ")[0] + " nan", *rest, ""]))
    with pytest.raises(InputError, match=r"features\['image'\] holds NaN or infinity \(first in row \d+\)"):
        trained("vbpr", folder)


def test_the_data_of_another_run_is_refused(folder, tmp_path):
    done = trained("vbpr", folder, epochs=1, checkpoint_dir="first")  # RecBole names checkpoints by the second
    fewer = write_modal(tmp_path, users=30)
    other = trained("vbpr", fewer, epochs=1)
    with pytest.raises(InputError, match="was built on another dataset"):
        plugin.unlearn(done.model, other.train, other.valid, users=["1"], method=QUICK, task=TASK)
    with pytest.raises(InputError, match="was trained on another data set"):
        plugin.load(done.checkpoint, fewer)


def test_a_folder_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(InputError, match=r"there is no small\.inter"):
        settings_for(tmp_path / "small")
    folder = write_small(tmp_path) / "small"
    assert "preload_weight" not in settings_for(folder)
    (folder / "small.itemvis").write_text("vid:token\n")
    with pytest.raises(InputError, match="one token and one float_seq column"):
        settings_for(folder)
    (folder / "small.itemvis").write_text("vid\tvis_emb\n")
    with pytest.raises(InputError, match=r"itemvis: line 1: expected a header of field:type"):
        settings_for(folder)
