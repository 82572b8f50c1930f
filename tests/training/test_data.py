"""Datasets: parts that never overlap, pixels in range, batches that depend on seed and epoch only."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from training.data import digits
from training.data.batches import Batches, plain_batches
from training.data.digits import DigitsSettings
from training.data.split import Dataset, Labels, stratify
from training.data.transforms.jitter import Jitter

STILL = Jitter()
SEEN = DigitsSettings(jitter=Jitter(rotation=15, shift=0.1, noise=0.1), validation_views=2, test_views=3)
LABELS = arrays.arrays(np.int64, st.integers(1, 200), elements=st.integers(0, 4))
FRACTIONS = st.tuples(st.floats(0, 0.5), st.floats(0, 0.5))


@given(labels=LABELS, fractions=FRACTIONS, seed=st.integers(0, 2**32))
def test_parts_are_disjoint_complete_and_repeatable(labels: Labels, fractions: tuple[float, float], seed: int) -> None:
    """Every position is in exactly one part, and the same seed finds the same parts."""
    parts = stratify(labels, fractions, seed)
    assert sorted(np.concatenate(parts)) == list(range(len(labels)))
    for one, other in zip(parts, stratify(labels, fractions, seed), strict=True):
        assert np.array_equal(one, other)


@given(labels=LABELS, fractions=FRACTIONS, seed=st.integers(0, 2**32))
def test_every_class_gives_each_part_its_share(labels: Labels, fractions: tuple[float, float], seed: int) -> None:
    """No class is over- or under-represented in a part by more than one image."""
    for part, fraction in zip(stratify(labels, fractions, seed), (*fractions, 1 - sum(fractions)), strict=True):
        for label in np.unique(labels):
            assert abs((labels[part] == label).sum() - fraction * (labels == label).sum()) <= 1


def test_another_seed_cuts_elsewhere(dataset: Dataset) -> None:
    """The cut is by chance: a different seed tests on different images."""
    other = digits.load(DigitsSettings(), seed=8)
    assert not np.array_equal(dataset.test.targets, other.test.targets)


def test_the_digits_are_bytes_in_range(dataset: Dataset) -> None:
    """Images are uint8 [N, 1, 16, 16] that use the range of a byte, of 1,797 scans, in ten classes."""
    parts = (dataset.train, dataset.validation, dataset.test)
    assert len(np.unique(np.concatenate([part.sources for part in parts]))) == 1797
    for part in parts:
        assert part.inputs.dtype == np.uint8
        assert part.inputs.shape == (len(part), 1, 16, 16)
        assert part.inputs.min() == 0
        assert part.inputs.max() > 250
        assert set(part.targets) == set(range(10))


def test_enlarging_keeps_the_picture() -> None:
    """A scan that is full or empty stays so at any size."""
    scans = np.stack([np.zeros((8, 8)), np.full((8, 8), 16.0)])
    enlarged = digits.enlarge(scans, 20)
    assert enlarged.shape == (2, 1, 20, 20)
    assert (enlarged[0] == 0).all()
    assert (enlarged[1] == 255).all()


def test_an_epoch_is_the_same_whatever_came_before(dataset: Dataset) -> None:
    """The third epoch has the same batches in a run that was resumed there."""
    jitter = Jitter(rotation=10, shift=0.1, scale=0.1)
    fresh = Batches(dataset.train, size=32, transforms=[jitter], seed=3)
    used = Batches(dataset.train, size=32, transforms=[jitter], seed=3)
    for number in range(2):
        list(used.epoch(number))
    for one, other in zip(fresh.epoch(2), used.epoch(2), strict=True):
        assert torch.equal(one.inputs, other.inputs)
        assert torch.equal(one.targets, other.targets)


def test_epochs_differ(dataset: Dataset) -> None:
    """Every epoch has an order of its own."""
    batches = Batches(dataset.train, size=32, transforms=[STILL], seed=3)
    assert not torch.equal(next(batches.epoch(0)).targets, next(batches.epoch(1)).targets)


def test_an_epoch_takes_every_full_batch_once(dataset: Dataset) -> None:
    """No image comes twice in an epoch, and only what doesn't fill a batch is left out."""
    batches = Batches(dataset.train, size=100, transforms=[STILL], seed=3)
    seen = torch.cat([batch.inputs for batch in batches.epoch(0)])
    assert len(seen) == 1000 == 100 * len(batches)
    assert len(torch.unique(seen, dim=0)) == len(np.unique(seen.numpy(), axis=0))


def test_training_never_sees_another_view_of_what_is_tested() -> None:
    """The parts share no scan, however often each is seen."""
    seen = digits.load(SEEN, seed=3)
    train, validation, test = (set(part.sources) for part in (seen.train, seen.validation, seen.test))
    assert not train & validation
    assert not test & (train | validation)
    assert len(train) + len(validation) + len(test) == 1797


def test_held_out_scans_are_seen_as_often_as_asked() -> None:
    """Every scan of a held-out part has its number of views, each drawn by itself, all with its label."""
    plain, seen = digits.load(DigitsSettings(), seed=3), digits.load(SEEN, seed=3)
    for whole, part, views in ((plain.validation, seen.validation, 2), (plain.test, seen.test, 3)):
        assert np.array_equal(part.sources, np.repeat(whole.sources, views))
        assert np.array_equal(part.targets, np.repeat(whole.targets, views))
        assert len(np.unique(part.inputs, axis=0)) > 0.99 * len(part)


def test_held_out_images_are_drawn_once() -> None:
    """Whoever loads the digits again judges on the very same images; another seed draws others."""
    first, again, other = digits.load(SEEN, seed=3), digits.load(SEEN, seed=3), digits.load(SEEN, seed=4)
    for part in ("train", "validation", "test"):
        assert np.array_equal(getattr(first, part).inputs, getattr(again, part).inputs)
        assert not np.array_equal(getattr(first, part).inputs, getattr(other, part).inputs)


def test_the_jitter_of_held_out_images_leaves_training_images_as_scanned() -> None:
    """Training draws anew in every epoch, so what it draws from is untouched, whatever the jitter."""
    plain = digits.load(replace(SEEN, jitter=Jitter()), seed=3)
    assert np.array_equal(plain.train.inputs, digits.load(SEEN, seed=3).train.inputs)
    assert not np.array_equal(plain.test.inputs, digits.load(SEEN, seed=3).test.inputs)


def test_samples_are_what_the_first_epoch_shows(dataset: Dataset) -> None:
    """Calibration sees images as training does: those of epoch 0 in its order, changed, as many as asked."""
    batches = Batches(dataset.train, size=32, transforms=[Jitter(rotation=10)], seed=3)
    shown = torch.cat([batch.inputs for batch in batches.epoch(0)]).numpy()
    assert np.array_equal(batches.sample(50), shown[:50])
    assert len(shown) == len(batches.sample(10_000))
    assert [32, 32] == [len(batch.targets) for batch in batches.first(33)]


@pytest.mark.parametrize("size", [1, 7, 450, 2000])
def test_plain_batches_hold_every_image_once(dataset: Dataset, size: int) -> None:
    """Assessment sees all images in order, the last batch being smaller."""
    labels = torch.cat([batch.targets for batch in plain_batches(dataset.test, size)])
    assert np.array_equal(labels.numpy(), dataset.test.targets)


def test_a_plain_sample_is_always_the_same_part_of_training(dataset: Dataset) -> None:
    """Examples by chance, in order, each once, with their targets and untouched; all of them where more are asked."""
    batches = Batches(dataset.train, size=64, transforms=(Jitter(rotation=45),), seed=3)
    sample = batches.plain(100)
    assert np.array_equal(sample.inputs, batches.plain(100).inputs)
    places = [int((dataset.train.inputs == one).all(axis=(1, 2, 3)).argmax()) for one in sample.inputs]
    assert 100 == len(set(places))
    assert sorted(places) == places != list(range(100))
    assert np.array_equal(dataset.train.targets[places], sample.targets)
    assert len(dataset.train) == len(batches.plain(10**6))
