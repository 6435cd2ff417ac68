"""Every method for language models keeps what the base and the design promise, on a tiny Llama."""

from __future__ import annotations

import pytest
import torch

from graphforget import catalog
from graphforget.errors import InputError, UnknownName
from graphforget.llm.task import CausalLM
from graphforget.methods.retrain import Retrain
from tests.llm.small import world
from tests.promises import keeps_its_promises
from tests.small import storages

SHORT = {"epochs": 1, "lr": 1e-3}
OWN = [key for key, path in catalog.METHODS.items() if path.startswith("graphforget.llm.")]
FIELDS = {"rmu": {"layer": 1}, "unstar": {"rounds": 1, "paraphrases": 2}}
METHODS = {key: catalog.method(key)(**SHORT, **FIELDS.get(key, {})) for key in OWN} | {
    "npo batch mean": catalog.method("npo")(**SHORT, reduction="batch_mean", retain="kl"),
    "undial with retain": catalog.method("undial")(**SHORT, alpha=1.0),
    "unstar as released": catalog.method("unstar")(**SHORT, rounds=1, paraphrases=2, retain_mix=0.0),
    "finetune": catalog.method("finetune")(epochs=1, lr=1e-3),
    "gradient_ascent": catalog.method("gradient_ascent")(**SHORT),
    "d2dgn": catalog.method("d2dgn")(**SHORT),
    "d2dgn_calibrated": catalog.method("d2dgn_calibrated")(**SHORT, refresh=0, regression="linear", least=20),
    **{f"grad_diff {name}": catalog.method("grad_diff")(**SHORT, forget=name)
       for name in ("wga", "sat_imp", "ce_u", "kl", "kl_released")},
}  # fmt: skip


@pytest.mark.parametrize("name", METHODS)
def test_every_method_keeps_its_promises(name):
    model, task, split, _ = world()
    found = keeps_its_promises(METHODS[name], task, model, split)
    assert found.model.state_dict().keys() == model.state_dict().keys()


def test_gold_starts_from_the_configuration_and_knows_nothing():
    """Norms and tied embeddings of a Llama are no trained values: a fresh model is at chance."""
    model, task, split, _ = world()
    new = task.fresh(model, 3)
    assert not storages(new) & storages(model)
    assert new.lm_head.weight is new.model.embed_tokens.weight
    assert all(torch.equal(value, torch.ones_like(value)) for name, value in new.state_dict().items() if "norm" in name)
    assert task.evaluate(new, split.data, split.data)["exact"] == 0
    assert task.evaluate(model, split.data, split.data)["exact"] == 1


def test_golds_guess_the_forgotten_and_know_the_rest():
    """One of five towns and one of four trades: a gold may guess right, three do not all."""
    model, task, split, _ = world()
    golds = [Retrain().unlearn(model, task, split, seed=seed).model for seed in (9, 10, 11)]
    assert all(task.evaluate(gold, split.retain, split.retain)["exact"] == 1 for gold in golds)
    guessed = [task.evaluate(gold, split.retain, split.forget)["prob"] for gold in golds]
    assert sum(guessed) / 3 < task.evaluate(model, split.retain, split.forget)["prob"] - 0.2


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("npo", {"beta": 0.0}, "beta must be positive"),
        ("npo", {"retain": "kk"}, "unknown retain loss"),
        ("simnpo", {"beta": -1.0}, "beta must be positive"),
        ("undial", {"gamma": 0.0}, "gamma must be positive"),
        ("dpo", {"batch_size": 0}, "batch_size must be at least 1"),
        ("rmu", {"layer": 0}, "layer must be at least 1"),
        ("task_vector", {"alpha": 0.0}, "alpha must be positive"),
        ("unstar", {"target": 0.0}, r"target must lie in \(0, 1\]"),
        ("unstar", {"rounds": 0}, "rounds must be at least 1"),
    ],
)
def test_settings_are_checked(name, fields, message):
    with pytest.raises(InputError, match=message):
        catalog.method(name)(**fields)


def test_an_unknown_forget_loss_is_named():
    with pytest.raises(UnknownName, match="did you mean 'kl'"):
        catalog.method("grad_diff")(forget="kll")


def test_what_a_method_needs_of_the_task_is_said():
    model, _, split, _ = world()
    for name, message in (("dpo", "DPO needs other answers"), ("unstar", "UnSTAR needs CausalLM")):
        with pytest.raises(InputError, match=message):
            catalog.method(name)().unlearn(model, CausalLM(), split)
    with pytest.raises(InputError, match=r"layer must lie in \[1, 2\]"):
        catalog.method("rmu")(layer=7).unlearn(model, CausalLM(), split)
