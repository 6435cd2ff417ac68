"""The causal-LM task: what a token's outputs are, its doors, adapters, and models on disk."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import graphforget
from graphforget.errors import InputError
from graphforget.llm import adapters
from graphforget.llm.models import build, load_model, save_model
from graphforget.llm.npo import NPO
from graphforget.llm.rmu import RMU
from graphforget.llm.task import CausalLM, likeness
from graphforget.llm.tokens import IGNORE, answers, encode, train_tokenizer
from graphforget.llm.unstar import UnSTAR
from graphforget.train import seeded
from tests.llm.small import PAIRS, TABLE, TRAINED, world
from tests.small import equal_states, state


def test_the_loss_is_that_of_transformers():
    model, task, split, _ = world()
    batch = task.elements(split.data, split.data)
    rows = split.data.rows()
    with torch.no_grad():
        own = task.loss(model, split.data, batch)
        theirs = model(split.data.x[rows, 0], attention_mask=split.data.x[rows, 1], labels=split.data.y[rows]).loss
        torch.testing.assert_close(own, theirs)
        nll = task.answer_nll(model, batch)
        logits = model(split.data.x[rows, 0], attention_mask=split.data.x[rows, 1]).logits[:, :-1]
        each = F.cross_entropy(logits.transpose(1, 2), split.data.y[rows, 1:], ignore_index=IGNORE, reduction="none")
        torch.testing.assert_close(nll, each.sum(1))


def test_outputs_are_the_same_in_any_order_and_with_or_without_gradient():
    model, task, split, _ = world()
    batch = task.elements(split.data, split.data)
    order = torch.randperm(batch.size, generator=torch.Generator().manual_seed(0))
    whole = task.teacher(model, split.data)(batch)
    torch.testing.assert_close(task.teacher(model, split.data)(batch.take(order)), whole[order])
    torch.testing.assert_close(task.outputs(model, split.data, batch.take(order[:5])).detach(), whole[order[:5]])


def test_exact_is_what_greedy_generation_says():
    model, task, split, tokenizer = world()
    said = task.generate(model, split.data)
    right = np.mean([a == b for a, b in zip(said, answers(tokenizer, split.data), strict=True)])
    assert task.evaluate(model, split.data, split.data)["exact"] == right == 1
    new = task.fresh(model, 1)
    said = task.generate(new, split.data)
    right = np.mean([a == b for a, b in zip(said, answers(tokenizer, split.data), strict=True)])
    assert task.evaluate(new, split.data, split.data)["exact"] == right


def test_structure_knows_the_retained_answers_only():
    _, task, split, _ = world()
    batch = task.elements(split.retain, split.forget)
    other = split.data.view(split.retain.mask)
    x, y = split.data.x.clone(), split.data.y.clone()
    for row in split.forget.rows().tolist():
        x[row, 0, y[row] != IGNORE] = 3
        y[row, y[row] != IGNORE] = 3
    changed = graphforget.Samples(x, y, split.data.groups, split.retain.mask)
    found = likeness(other, batch)
    assert found.shape == (batch.size, 4)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(likeness(changed, batch), found)


def test_a_vocabulary_that_is_too_small_is_refused():
    _, task, split, _ = world()
    with seeded(0):
        narrow = build("llama_tiny", train_tokenizer(["Ann"]))
    with pytest.raises(InputError, match=r"token ids must lie in \[0, 5\), the model's vocabulary"):
        NPO().unlearn(narrow, task, split)


def test_generation_needs_a_tokenizer():
    model, _, split, _ = world()
    with pytest.raises(InputError, match="generation needs"):
        CausalLM().generate(model, split.data)


def test_features_of_tokens_cannot_be_forgotten():
    with pytest.raises(InputError, match="feature requests need x"):
        world().split.data.partition({"feature": torch.tensor([0])})


@pytest.mark.parametrize("lora", [0, 4])
def test_one_call_from_a_folder_to_a_folder(tmp_path, lora):
    model, task, _, tokenizer = world()
    save_model(model, tmp_path / "before")
    before = state(load_model(tmp_path / "before"))
    assert equal_states(before, state(model))
    found = graphforget.unlearn_text(
        tmp_path / "before",
        tokenizer,
        PAIRS[:TRAINED],
        [0, 5],
        method=NPO(lr=3e-3, epochs=10),
        lora=lora,
        out=tmp_path / "after",
    )
    assert type(found.model) is type(model)
    assert not set(found.data.rows().tolist()) & {0, 5}
    again = load_model(tmp_path / "after")
    assert list((tmp_path / "after").glob("*.safetensors"))
    rows = encode(tokenizer, PAIRS[:TRAINED])
    gone = rows.view(rows.mask_of(torch.tensor([0, 5])))
    old, new = (task.evaluate(each, gone, gone)["nll"] for each in (model, again))
    assert new > old + 1
    assert new == pytest.approx(task.evaluate(found.model, gone, gone)["nll"], rel=1e-5)
    with pytest.raises(InputError, match="out must be a new or empty folder"):
        graphforget.unlearn_text(model, tokenizer, PAIRS, [0], out=tmp_path / "after")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no causal language model"):
        load_model(tmp_path / "empty")


def test_a_name_is_looked_up_in_the_cache_alone(tmp_path, monkeypatch):
    """No host is asked, be the name known or not."""
    hub = pytest.importorskip("huggingface_hub")

    def asked(*args, **kwargs):
        pytest.fail(f"the network was asked: {args[:2]}")

    monkeypatch.setattr("socket.getaddrinfo", asked)
    for name in ("nobody/nothing", "nothing", str(tmp_path / "nowhere")):
        with pytest.raises(InputError, match=r"no (model is in this folder|causal language model)"):
            load_model(name)
    found = []
    save_model(world().model, tmp_path / "snapshots" / "abc")

    def cached(name, file):
        found.append((name, file))
        return str(tmp_path / "snapshots" / "abc" / file)

    monkeypatch.setattr(hub, "try_to_load_from_cache", cached)
    model = load_model("somebody/something")
    assert found == [("somebody/something", "config.json")]
    assert equal_states(state(model), state(world().model))
    assert model.config._name_or_path == "somebody/something"


def test_an_adapter_is_trained_alone_and_merged():
    model, task, split, _ = world()
    adapted = adapters.with_adapter(model, rank=2)
    found = NPO(lr=1e-2, epochs=2).unlearn(adapted, task, split).model
    now, was = found.state_dict(), adapted.state_dict()
    changed = {name for name, value in now.items() if not value.equal(was[name])}
    assert changed
    assert all("lora_" in name for name in changed)
    whole = adapters.merged(found)
    assert {name: value.shape for name, value in whole.state_dict().items()} == {
        name: value.shape for name, value in model.state_dict().items()
    }
    torch.testing.assert_close(
        task.teacher(whole, split.data)(task.elements(split.data, split.data)),
        task.teacher(found, split.data)(task.elements(split.data, split.data)),
        atol=1e-4,
        rtol=1e-4,
    )
    assert adapters.merged(model) is model


def test_an_adapter_for_another_model_is_refused(tmp_path):
    model, _, _, tokenizer = world()
    adapters.with_adapter(model, rank=2).save_pretrained(tmp_path / "own")
    assert adapters.load_adapter(model, tmp_path / "own") is not model
    with seeded(0):
        other = build("llama_small", tokenizer, length=32)
    with pytest.raises(InputError, match="made for another base model"):
        adapters.load_adapter(other, tmp_path / "own")
    with pytest.raises(InputError, match=r"an adapter is adapter_config\.json"):
        adapters.load_adapter(model, tmp_path)
    (tmp_path / "own" / "adapter_model.safetensors").write_bytes(b"half")
    with pytest.raises(InputError, match="does not fit the model"):
        adapters.load_adapter(model, tmp_path / "own")
    (tmp_path / "own" / "adapter_config.json").write_text("[]", encoding="utf-8")
    with pytest.raises(InputError, match="is no adapter's configuration"):
        adapters.load_adapter(model, tmp_path / "own")


def test_an_adapter_is_loaded_on_its_base_model_by_name(tmp_path, monkeypatch):
    """The same folder by another path is the same model; another name needs a word from the user."""
    for name in ("here", "elsewhere"):
        save_model(world().model, tmp_path / name)
    adapters.with_adapter(load_model(tmp_path / "here"), rank=2).save_pretrained(tmp_path / "own")
    monkeypatch.chdir(tmp_path)
    for name in ("here", "./here/", str(tmp_path / "here")):
        adapted = adapters.load_adapter(load_model(name), "own")
        assert any("lora_" in each for each, _ in adapted.named_parameters())
    with pytest.raises(InputError, match=r"made for another base model, '.*here' \(got 'elsewhere'\)"):
        adapters.load_adapter(load_model("elsewhere"), "own")
    assert adapters.load_adapter(load_model("elsewhere"), "own", base="here") is not None


def test_an_adapter_goes_out_and_comes_back(tmp_path):
    """Train the adapter alone, save it alone as safetensors, load it on the base again: the same answers."""
    model, task, split, _ = world()
    found = NPO(lr=1e-2, epochs=2).unlearn(adapters.with_adapter(model, rank=2), task, split).model
    save_model(found, tmp_path / "adapter")
    assert (tmp_path / "adapter" / "adapter_model.safetensors").is_file()
    assert not list((tmp_path / "adapter").glob("*.bin"))
    again = adapters.load_adapter(model, tmp_path / "adapter")
    batch = task.elements(split.data, split.data)
    torch.testing.assert_close(task.teacher(again, split.data)(batch), task.teacher(found, split.data)(batch))


def test_nothing_half_written_is_left(tmp_path):
    model, _, _, tokenizer = world()

    class Full:
        def save_pretrained(self, folder):
            raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space"):
        save_model(model, tmp_path / "out", Full())
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").write_text("mine")
    for write in (
        lambda: save_model(model, tmp_path / "file"),
        lambda: graphforget.unlearn_text(model, tokenizer, PAIRS, [0], out=tmp_path / "file"),
    ):
        with pytest.raises(InputError, match="must be"):
            write()
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("kind", ["GPT2", "OPT", "Qwen2", "GPTNeoX"])
def test_any_causal_model_of_transformers_by_its_folder(tmp_path, kind):
    transformers = pytest.importorskip("transformers")
    tokenizer = world().tokenizer
    ids = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("pad", "bos", "eos")}
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2}
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=len(tokenizer), max_position_embeddings=64, **sizes, **ids
    )
    with seeded(0):
        model = transformers.AutoModelForCausalLM.from_config(config)
    model.save_pretrained(tmp_path / "mine")
    task = CausalLM(tokenizer=tokenizer, generator=TABLE)
    for place, (method, lora) in enumerate(
        [(NPO(lr=1e-3, epochs=2), 4), (RMU(layer=1, epochs=1), 0), (UnSTAR(rounds=1, paraphrases=1), 0)]
    ):
        out = tmp_path / str(place)
        found = graphforget.unlearn_text(
            tmp_path / "mine", tokenizer, PAIRS[:6], [0], method=method, task=task, lora=lora, out=out
        )
        again = load_model(out)
        assert type(again) is type(model)
        assert equal_states(state(again), state(found.model))
        assert type(tokenizer).from_pretrained(out)("Ann")["input_ids"] == tokenizer("Ann")["input_ids"]
