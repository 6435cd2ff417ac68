"""A user's own pipeline, from a local folder and back."""

from __future__ import annotations

import json
import shutil

import pytest
import torch

pytest.importorskip("diffusers", reason="needs the extra diffusion")
pytest.importorskip("transformers", reason="the text encoder of a pipeline is one of transformers")

from graphforget.diffusion import pipelines
from graphforget.diffusion.concealment import partial_diffusion
from graphforget.diffusion.esd import ESD
from graphforget.diffusion.forget_me_not import ForgetMeNot
from graphforget.diffusion.task import NoisePrediction
from graphforget.errors import InputError, UnknownName
from graphforget.forget import ForgetRequest, ForgetSplit
from tests.diffusion.small import write_pipeline


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("pipelines") / "small"
    write_pipeline(path)
    return path


def test_a_concept_is_erased_and_the_pipeline_is_written_back(folder, tmp_path):
    told = pipelines.load(folder, ["cat", "dog", "a fox"])
    task = NoisePrediction(scheduler=told.scheduler, sampling_steps=4)
    data = told.draw(4, steps=3)
    split = ForgetSplit.of(data, ForgetRequest.of("class", [told.concept("dog")]), data)
    for method in (ESD(group="esd-x", source="sampled", pool=2, batch_size=4, epochs=2, keep=0.0),
                   ForgetMeNot(epochs=2, batch_size=4)):  # fmt: skip
        result = method.unlearn(told.model, task, split)
        assert result.model.prompts.equal(told.model.prompts)
    x = partial_diffusion(told.model, result.model, told.scheduler, torch.tensor([1, 1]), told.shape, psi=0.5, steps=4)
    assert told.decode(x).shape[:2] == (2, 3)
    path = pipelines.save(told, result.model, tmp_path / "out")
    again = pipelines.load(path, told.concepts)
    assert all(v.equal(again.model.state_dict()[k]) for k, v in result.model.state_dict().items())
    assert not list(path.rglob("*.bin"))
    with pytest.raises(InputError, match="is not empty"):
        pipelines.save(told, result.model, path)


def test_tokens_of_the_concept_are_its_words(folder):
    told = pipelines.load(folder, ["cat", "dog"])
    masks = told.model.token_mask(torch.tensor([0, 1, -1]))
    assert masks.sum(1).tolist() == [3, 3, 0]  # this vocabulary spells letter by letter
    assert not masks[:, 0].any()  # the start


def test_unknown_concepts_and_prompts(folder):
    told = pipelines.load(folder, ["cat", "dog"])
    with pytest.raises(UnknownName, match="did you mean 'cat'"):
        told.concept("cats")
    for prompts in ([], ["cat", "cat"], [""]):
        with pytest.raises(InputError, match="prompts must be different and not empty"):
            pipelines.load(folder, prompts)


def test_a_pipeline_without_its_scheduler_is_refused(folder, tmp_path):
    path = tmp_path / "cut"
    shutil.copytree(folder, path)
    shutil.rmtree(path / "scheduler")
    with pytest.raises(InputError, match=r"needs a noise scheduler, such as DDPMScheduler \(got no 'scheduler'\)"):
        pipelines.load(path, ["cat"])


def test_foreign_code_and_pickles_are_refused(folder, tmp_path):
    path = tmp_path / "foreign"
    shutil.copytree(folder, path)
    index = json.loads((path / "model_index.json").read_text())
    (path / "model_index.json").write_text(json.dumps({**index, "vae": ["my_module", "Evil"]}))
    with pytest.raises(InputError, match="names a class outside diffusers and transformers for 'vae'"):
        pipelines.load(path, ["cat"])
    pickled = tmp_path / "pickled"
    write_pipeline(pickled, safe=False)
    with pytest.raises(InputError, match="does not load as a pipeline of safetensors"):
        pipelines.load(pickled, ["cat"])


def test_no_folder_no_index(tmp_path):
    with pytest.raises(InputError, match=r"holds no model_index\.json"):
        pipelines.load(tmp_path, ["cat"])
    (tmp_path / "model_index.json").write_text("{")
    with pytest.raises(InputError, match="is not JSON"):
        pipelines.load(tmp_path, ["cat"])
    (tmp_path / "model_index.json").write_text("[]")
    with pytest.raises(InputError, match=r"must name the pipeline's parts \(got a list\)"):
        pipelines.load(tmp_path, ["cat"])
