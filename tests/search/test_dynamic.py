"""Approximate rank pooling: its coefficients, its sums, and clips that stand still."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from graphforget.errors import InputError
from graphforget.search.dynamic import FORMS, coefficients, dynamic_image


def test_two_frames_are_their_difference():
    assert coefficients(2).tolist() == pytest.approx([-0.5, 0.5])
    assert coefficients(2, "linear").tolist() == [-1.0, 1.0]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("frames", [2, 3, 7, 30])
def test_the_coefficients_sum_to_zero(frames, form):
    assert float(coefficients(frames, form).sum()) == pytest.approx(0.0, abs=1e-10)


def test_the_rank_form_equals_plain_numpy():
    frames = 6
    h = lambda n: sum(1 / i for i in range(1, n + 1))  # noqa: E731
    expected = [2 * (frames - t + 1) - (frames + 1) * (h(frames) - h(t - 1)) for t in range(1, frames + 1)]
    np.testing.assert_allclose(coefficients(frames).numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("form", FORMS)
def test_a_clip_that_stands_still_is_zero(form):
    frame = torch.rand(1, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    assert not dynamic_image(frame.expand(9, -1, -1, -1), form=form).any()


def test_a_moving_spot_is_bright_where_it_ends_and_the_scale_is_met():
    clip = torch.stack([torch.eye(4)[t].expand(1, 1, 4) for t in range(4)])
    found = dynamic_image(clip)
    assert float(found.min()) == 0.0
    assert float(found.max()) == 255.0
    assert int(found.argmin()) == 0  # rank pooling darkens where the spot began
    many = dynamic_image(torch.stack([clip, clip.flip(0)]))
    assert many.shape == (2, 1, 1, 4)
    assert many[0].equal(found)
    assert not many[0].equal(many[1])  # the direction of time is kept


@pytest.mark.parametrize("count", [0, 1])
def test_a_sequence_of_one_frame_is_refused(count):
    with pytest.raises(InputError, match=rf"at least two frames \(got {count}\)"):
        dynamic_image(torch.zeros(count, 1, 4, 4))


def test_whole_numbers_are_taken_as_numbers_and_do_not_wrap():
    clip = torch.tensor([[3, 200, 7], [250, 1, 7], [9, 80, 7]], dtype=torch.uint8)[:, None, None]
    for form in FORMS:
        assert dynamic_image(clip, form=form).equal(dynamic_image(clip.float(), form=form))


def test_other_bad_input():
    with pytest.raises(InputError, match="NaN or infinity"):
        dynamic_image(torch.full((3, 1, 4, 4), torch.nan))
    with pytest.raises(InputError, match=r"clips must be \[\.\.\., T, C, H, W\]"):
        dynamic_image(torch.zeros(3, 4, 4))
    with pytest.raises(InputError, match="unknown form"):
        coefficients(3, "quadratic")
