"""CRS and CCS on arrays, against numpy and their known ends."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from graphforget.diffusion.features import teller, triplet
from graphforget.diffusion.metrics import ccs, crs_forget, crs_retain, crs_signed, sim
from graphforget.errors import InputError
from tests.small import same_random_state


def features(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_distance_at_its_three_known_points():
    a = torch.tensor([1.0, 0.0], dtype=torch.float64)
    found = [float(sim(a, torch.tensor(b, dtype=torch.float64))) for b in ([1.0, 0.0], [0.0, 1.0], [-1.0, 0.0])]
    assert found == pytest.approx([0.136620, 0.636620, 1.136620], abs=1e-6)


def test_the_scores_equal_plain_numpy():
    x, u, o = features(3, 4), features(6, seed=1), features(7, seed=2)

    def s(refs):
        a, b = x.numpy()[:, :, None], refs.numpy()
        cos = (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)
        return ((1 - np.arctan(cos)) / (np.pi / 2)).mean(-1)

    gap = np.abs(s(u) - s(o)).mean(1)
    found = crs_forget(x, u, o)
    assert found.mean == pytest.approx(gap.mean(), abs=1e-12)
    assert found.error == pytest.approx(gap.std(ddof=1) / np.sqrt(3), abs=1e-12)
    signed = ((s(u) - s(o)) / (np.abs(s(u)) + np.abs(s(o)))).mean()
    assert crs_signed(x, u, o).mean == pytest.approx(signed, abs=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_the_two_published_forms_are_one_quantity(seed):
    x, u, o = features(2, 3, seed=seed), features(6, seed=seed + 10), features(7, seed=seed + 20)
    assert crs_forget(x, u, o).mean + crs_retain(x, u, o).mean == pytest.approx(1.0, abs=1e-12)


def test_images_of_either_model_are_told_by_the_signed_and_calibrated_scores():
    rng = torch.Generator().manual_seed(0)
    light, dark = (torch.rand(40, 1, 8, 8, generator=rng) + shift for shift in (0.6, -0.6))
    with same_random_state():
        told = teller(dark, light, seed=0)  # the unlearned model draws dark images
    refs = told.features(dark), told.features(light)
    ends = told.probability(told.unlearned), told.probability(told.original)
    for images, top in ((light[:1, None], 1), (dark[:1, None], 0)):
        score = ccs(told.probability(images), *ends)
        assert score.scaled == pytest.approx(top, abs=0.1)
        assert (crs_signed(told.features(images), *refs).mean > 0) == bool(top)
    published = [crs_forget(told.features(images), *refs).mean for images in (light[:1, None], dark[:1, None])]
    assert min(published) > 0.1  # the same sign for both: no verdict


def test_the_triplet_loss_asks_for_the_margin():
    rng = torch.Generator().manual_seed(0)
    h = torch.tensor([[0.0], [0.0], [10.0], [10.0]])
    assert float(triplet(h, torch.tensor([0, 0, 1, 1]), rng)) == 0.0
    assert float(triplet(h, torch.tensor([0, 1, 0, 1]), rng)) == pytest.approx(11.0)
    assert float(triplet(h, torch.zeros(4, dtype=torch.long), rng)) == 0.0  # no negative


def test_arrays_of_another_form_are_refused():
    with pytest.raises(InputError, match="probabilities"):
        ccs(torch.tensor([[1.5]]), torch.tensor([0.1]), torch.tensor([0.9]))
    with pytest.raises(InputError, match="features, 3 axes"):
        crs_forget(features(2), features(2), features(2))
    with pytest.raises(InputError, match="one width"):
        crs_forget(torch.ones(1, 1, 3), torch.ones(2, 4), torch.ones(2, 3))
    with pytest.raises(InputError, match=r"at least ten images .* \(got 9 and 20\)"):
        teller(torch.ones(9, 1, 8, 8), torch.ones(20, 1, 8, 8))
