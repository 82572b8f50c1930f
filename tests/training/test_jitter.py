"""Jitter: pictures change within bounds, each by its own draw, and not at all when nothing is asked."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from training.data.transforms.jitter import Jitter

SHARES = st.floats(0, 0.5)
JITTERS = st.builds(
    Jitter,
    rotation=st.floats(0, 180),
    slant=SHARES,
    shift=SHARES,
    scale=SHARES,
    negative=SHARES,
    fade=SHARES,
    noise=SHARES,
)
SIDE = 16


def pictures(seed: int, count: int = 4) -> torch.Tensor:
    return torch.randint(0, 256, (count, 1, SIDE, SIDE), dtype=torch.uint8, generator=generator(seed))


def seen(jitter: Jitter, images: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    labels = torch.arange(len(images))
    changed, kept = jitter(images, labels, random)
    assert kept is labels
    return changed


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def square(level: int = 200) -> torch.Tensor:
    """64 copies of a bright square of 4 x 4 pixels in the middle of a dark picture."""
    picture = torch.zeros((64, 1, SIDE, SIDE), dtype=torch.uint8)
    picture[:, :, 6:10, 6:10] = level
    return picture


@given(seed=st.integers(0, 2**32))
def test_nothing_asked_changes_nothing(seed: int) -> None:
    """With all bounds zero every picture comes out bit by bit as it went in."""
    assert torch.equal(pictures(seed), seen(Jitter(), pictures(seed), generator(seed)))


@given(jitter=JITTERS, seed=st.integers(0, 2**32))
def test_the_generator_decides_everything(jitter: Jitter, seed: int) -> None:
    """The same generator gives the same pictures, of the shape and type that went in, which stays as it was."""
    images = pictures(seed)
    before = images.clone()
    changed = seen(jitter, images, generator(seed))
    assert torch.equal(changed, seen(jitter, images, generator(seed)))
    assert (images.shape, torch.uint8) == (changed.shape, changed.dtype)
    assert torch.equal(before, images)


def test_the_global_random_state_is_left_alone() -> None:
    """Chance comes from the generator alone, so nothing else is shifted by it."""
    before = torch.random.get_rng_state()
    seen(Jitter(rotation=10, noise=0.5), pictures(1), generator(1))
    assert torch.equal(before, torch.random.get_rng_state())


def test_each_picture_moves_its_own_way() -> None:
    """Copies of one picture come out different from each other."""
    moved = seen(Jitter(rotation=15, shift=0.1, scale=0.1), pictures(2, 1).repeat(8, 1, 1, 1), generator(0))
    assert 8 == len(torch.unique(moved, dim=0))


def test_a_shift_stays_within_its_bound() -> None:
    """The centre of a square moves by at most the share of the side that was asked, in both directions, and does so."""
    moved = seen(Jitter(shift=0.25), square(), generator(3)).float()[:, 0]
    mass = moved.sum(dim=(1, 2))
    places = torch.arange(SIDE) - 7.5
    across = (moved.sum(dim=1) * places).sum(dim=1) / mass
    down = (moved.sum(dim=2) * places).sum(dim=1) / mass
    for offset in (across, down):
        assert offset.abs().max() <= 0.25 * SIDE + 0.1
        assert offset.max() > 0.15 * SIDE
        assert offset.min() < -0.15 * SIDE


def test_a_scale_stays_within_its_bound() -> None:
    """The square's sides grow and shrink by about the share that was asked, not more."""
    area = seen(Jitter(scale=0.3), square(), generator(4)).float().sum(dim=(1, 2, 3)) / (200 * 16)
    assert area.max() <= 1.1 / 0.7**2
    assert area.min() >= 0.9 / 1.3**2
    assert area.max() > 1.3
    assert area.min() < 0.8


def test_a_rotation_keeps_the_middle() -> None:
    """Turning moves no mass out of a centred square, whatever the angle."""
    turned = seen(Jitter(rotation=180), square(), generator(5)).float().sum(dim=(1, 2, 3))
    assert np.allclose(200 * 16, turned, rtol=0.15)


def test_fading_pulls_every_pixel_to_one_grey() -> None:
    """At most the asked share of the contrast is lost, and what is lost becomes an even grey."""
    faded = seen(Jitter(fade=0.5), square(200), generator(6)).float()
    contrast = faded[:, 0, 8, 8] - faded[:, 0, 0, 0]
    assert contrast.min() >= 0.5 * 200 - 1
    assert contrast.max() <= 200
    assert all(len(torch.unique(picture)) == 2 for picture in faded)


def test_noise_is_as_strong_as_asked_at_most() -> None:
    """Pixels scatter around their value by no more than the asked share of 255."""
    grey = torch.full((64, 1, SIDE, SIDE), 128, dtype=torch.uint8)
    spread = seen(Jitter(noise=0.1), grey, generator(7)).float().std(dim=(1, 2, 3))
    assert spread.max() <= 0.1 * 255 * 1.15
    assert spread.max() > 0.08 * 255
    assert spread.min() < 0.02 * 255


def test_negatives_are_as_many_as_asked_and_exact() -> None:
    """A negative is 255 less each pixel; with share 1 all are, and a picture that isn't negative isn't touched."""
    images = square()
    assert torch.equal(255 - images, seen(Jitter(negative=1.0), images, generator(8)))
    some = seen(Jitter(negative=0.5), images, generator(8))
    turned = (some == 255 - images).flatten(1).all(dim=1)
    assert torch.equal(images[~turned], some[~turned])
    assert 16 < int(turned.sum()) < 48


@pytest.mark.parametrize("name", ["rotation", "slant", "shift", "scale", "negative", "fade", "noise"])
def test_a_negative_bound_is_refused(name: str) -> None:
    """A bound below zero means nothing."""
    with pytest.raises(ValueError, match="must not be below 0"):
        Jitter(**{name: -0.1})


@pytest.mark.parametrize("name", ["scale", "fade"])
def test_a_bound_that_leaves_nothing_is_refused(name: str) -> None:
    """A picture of no size or no contrast is none."""
    with pytest.raises(ValueError, match="must be below 1"):
        Jitter(**{name: 1.0})
