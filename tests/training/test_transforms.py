"""Changes of a batch: each by its own draw, targets along with inputs, and by the generator alone."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from service.errors import SettingsError
from training.data.transforms import catalogue
from training.data.transforms.cutout import Cutout
from training.data.transforms.flip import Flip
from training.data.transforms.jitter import Jitter
from training.data.transforms.mixup import Mixup
from training.data.transforms.noise import Noise
from training.data.transforms.rotate import Rotate
from training.data.transforms.series_jitter import SeriesJitter
from training.data.transforms.shift import Shift
from training.data.transforms.token_dropout import TokenDropout
from training.data.transforms.transform import Transform

COUNT, SIDE, CLASSES = 64, 16, 5


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(seed: int = 1) -> torch.Tensor:
    return torch.randint(0, 256, (COUNT, 2, SIDE, SIDE), dtype=torch.uint8, generator=generator(seed))


def windows(seed: int = 1) -> torch.Tensor:
    return torch.randn((COUNT, 12, 3), generator=generator(seed)) * torch.tensor([1.0, 10.0, 100.0])


def ids(seed: int = 1) -> torch.Tensor:
    return torch.randint(0, 50, (COUNT, 20), generator=generator(seed))


def labels() -> torch.Tensor:
    return torch.arange(COUNT) % CLASSES


def marked() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Images with one bright rectangle at x 2..5, y 4..10, its mask, and its box before a place without one."""
    image = torch.zeros((COUNT, 1, SIDE, SIDE), dtype=torch.uint8)
    image[:, :, 4:11, 2:6] = 200
    boxes = torch.tensor([[[3.0, 2, 4, 6, 11], [-1.0, 0, 0, 0, 0]]]).repeat(COUNT, 1, 1)
    return image, (image[:, 0] > 0).long(), boxes


IMAGE_TRANSFORMS: Mapping[str, Transform] = {
    "cutout": Cutout(),
    "flip": Flip(),
    "jitter": Jitter(),
    "rotate": Rotate(),
    "shift": Shift(),
}


def bounds(image: torch.Tensor) -> list[int]:
    """x0, y0, x1, y1 of what isn't dark in [1, H, W]."""
    rows, columns = image[0].any(dim=1).nonzero(), image[0].any(dim=0).nonzero()
    return [int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1]


CASES: Mapping[str, tuple[Transform, torch.Tensor]] = {
    "cutout": (Cutout(), images()),
    "flip": (Flip(), images()),
    "mixup": (Mixup(classes=CLASSES), images()),
    "noise": (Noise(), images()),
    "noise of numbers": (Noise(), windows()),
    "rotate": (Rotate(), images()),
    "series_jitter": (SeriesJitter(scale=0.1), windows()),
    "shift": (Shift(), images()),
    "token_dropout": (TokenDropout(token=7), ids()),
}


@pytest.mark.parametrize("name", CASES)
def test_the_generator_decides_everything(name: str) -> None:
    """The same generator gives the same, another something else; shape and type stay, and so does what came in."""
    transform, inputs = CASES[name]
    before, kept, chance = inputs.clone(), labels(), torch.random.get_rng_state()
    first, _ = transform(inputs, kept, generator(3))
    again, _ = transform(inputs, kept, generator(3))
    other, _ = transform(inputs, kept, generator(4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert (inputs.shape, inputs.dtype) == (first.shape, first.dtype)
    assert torch.equal(before, inputs)
    assert torch.equal(labels(), kept)
    assert torch.equal(chance, torch.random.get_rng_state())


@pytest.mark.parametrize(
    "transform", [Cutout(share=0.0), Flip(share=0.0), Noise(deviation=0.0), Rotate(degrees=0.0), Shift(share=0.0)]
)
def test_nothing_asked_changes_nothing(transform: Transform) -> None:
    """At zero every image comes out bit by bit as it went in."""
    changed, kept = transform(images(), labels(), generator(1))
    assert torch.equal(images(), changed)
    assert torch.equal(labels(), kept)


@pytest.mark.parametrize("vertical", [False, True])
def test_masks_and_boxes_are_flipped_with_their_image(vertical: bool) -> None:
    """Wherever the rectangle went, its mask and its box went too; what is no box stays so."""
    image, masks, boxes = marked()
    flip = Flip(vertical=vertical)
    seen, turned = flip(image, masks, generator(1))
    again, edges = flip(image, boxes, generator(1))
    assert torch.equal(seen, again)
    assert torch.equal((seen[:, 0] > 0).long(), turned)
    assert [bounds(one) for one in seen] == edges[:, 0, 1:].int().tolist()
    assert torch.equal(boxes[:, 1], edges[:, 1])
    ways = {tuple(bounds(one)) for one in seen}
    assert ways == {(2, 4, 6, 11), (2, 5, 6, 12) if vertical else (10, 4, 14, 11)}


@given(share=st.floats(0, 0.99), seed=st.integers(0, 1000))
def test_masks_and_boxes_move_with_their_image(share: float, seed: int) -> None:
    """A box is what can still be seen of its object, and none where nothing can."""
    image, masks, boxes = marked()
    seen, moved = Shift(share=share)(image, masks, generator(seed))
    _, edges = Shift(share=share)(image, boxes, generator(seed))
    assert torch.equal((seen[:, 0] > 0).long(), moved)
    there = (seen > 0).flatten(1).any(dim=1)
    assert torch.equal(torch.where(there, 3.0, -1.0), edges[:, 0, 0])
    assert [bounds(one) for one in seen[there]] == edges[there, 0, 1:].int().tolist()
    assert not edges[~there, 0, 1:].any()
    assert torch.equal(boxes[:, 1], edges[:, 1])


def test_a_shift_stays_within_its_bound_and_reaches_it() -> None:
    """A quarter of 16 pixels is 4 either way."""
    image, _, _ = marked()
    seen, _ = Shift(share=0.25)(image.roll((4, 5), (2, 3)), labels(), generator(1))
    steps = {bounds(one)[0] - 7 for one in seen}
    assert steps == set(range(-4, 5))


def test_masks_turn_with_their_image_and_boxes_are_refused() -> None:
    """What is bright before and after is what is masked, up to the edge; a turned box would be another."""
    image, masks, boxes = marked()
    seen, turned = Rotate(degrees=30)(image, masks, generator(1))
    unlike = ((seen[:, 0] > 100).long() != turned).float().mean()
    assert unlike < 0.02
    assert not torch.equal(masks, turned)
    assert {0, 1} == set(turned.flatten().tolist())
    with pytest.raises(SettingsError, match="rotate: boxes can't be turned"):
        Rotate()(image, boxes, generator(1))


def test_noise_is_as_strong_as_asked() -> None:
    """A share of 255 for pixels; as it is for numbers."""
    grey = torch.full((COUNT, 1, SIDE, SIDE), 128, dtype=torch.uint8)
    seen, _ = Noise(deviation=0.1)(grey, labels(), generator(1))
    assert 25.5 == pytest.approx(float(seen.float().std()), rel=0.05)
    numbers, _ = Noise(deviation=0.1)(torch.zeros(1000, 3), labels(), generator(1))
    assert 0.1 == pytest.approx(float(numbers.std()), rel=0.05)


def test_mixup_mixes_inputs_and_labels_by_one_share() -> None:
    """Constant images tell the share that each is made of: it is that of their labels."""
    inputs = (labels() * 50).to(torch.float32)[:, None]
    mixed, shares = Mixup(alpha=1.0, classes=CLASSES)(inputs, labels(), generator(5))
    assert (COUNT, CLASSES) == shares.shape
    assert torch.allclose(torch.ones(COUNT), shares.sum(dim=1))
    assert torch.allclose(mixed[:, 0], shares @ (torch.arange(CLASSES) * 50.0), atol=1e-4)
    assert (shares.max(dim=1).values < 1).any()


def test_mixup_mixes_values_too() -> None:
    """What is linear in its inputs stays so."""
    inputs = torch.randn((COUNT, 3), generator=generator(1))
    mixed, values = Mixup()(inputs, 2 * inputs, generator(2))
    assert torch.allclose(2 * mixed, values, atol=1e-6)
    assert not torch.equal(inputs, mixed)


def test_a_hole_is_a_square_of_zeros() -> None:
    """Inside the image it has a quarter of the side; what isn't in it stays."""
    bright = torch.full((COUNT, 2, SIDE, SIDE), 9, dtype=torch.uint8)
    seen, _ = Cutout(share=0.25)(bright, labels(), generator(1))
    sizes = (seen == 0).sum(dim=(1, 2, 3)) // 2
    assert 16 == sizes.max()
    assert 4 <= sizes.min()
    assert {0, 9} == set(seen.flatten().tolist())


def test_series_scatter_by_their_own_size() -> None:
    """Noise is a share of each feature's swing, a factor keeps the mean, and nothing happens to a flat line."""
    changed, _ = SeriesJitter(noise=0.1)(windows(), labels(), generator(1))
    strength = (changed - windows()).std(dim=(0, 1)) / windows().std(dim=(0, 1))
    assert torch.allclose(torch.full((3,), 0.1), strength, atol=0.01)
    scaled, _ = SeriesJitter(noise=0.0, scale=0.2)(windows(), labels(), generator(1))
    assert torch.allclose(windows().mean(dim=1), scaled.mean(dim=1), atol=1e-3)
    factor = scaled.std(dim=1) / windows().std(dim=1)
    assert 0.2 == pytest.approx(float(factor.std()), abs=0.04)
    flat = torch.ones(COUNT, 12, 3)
    assert torch.equal(flat, SeriesJitter(noise=0.5, scale=0.5)(flat, labels(), generator(1))[0])


def test_what_follows_a_window_grows_with_it() -> None:
    """Each window has a factor of its own, and its targets the same; as often one that makes smaller."""
    series = torch.rand(COUNT, 13, 1, generator=generator(3)) + 1
    inputs, targets = series[:, :12], series[:, 12]
    grown, followed = SeriesJitter(noise=0.0, growth=0.3)(inputs, targets, generator(1))
    factors = followed / targets
    assert torch.allclose(inputs * factors[:, :, None], grown)
    assert 0.3 == pytest.approx(float(factors.log().std()), abs=0.06)
    assert 0.0 == pytest.approx(float(factors.log().mean()), abs=0.08)
    beside = torch.cat([inputs, torch.ones_like(inputs)], dim=2)
    both, _ = SeriesJitter(noise=0.0, growth=0.3)(beside, targets, generator(1))
    assert torch.equal(both, torch.cat([grown, torch.ones_like(inputs)], dim=2))  # a holiday stays one


def test_dropped_tokens_become_the_one_that_is_named_and_padding_stays() -> None:
    """About the asked share of the tokens that there are."""
    before = ids()
    before[:, 15:] = 0
    after, _ = TokenDropout(token=99, share=0.2)(before, labels(), generator(1))
    assert not after[before == 0].any()
    assert set(after[after != before].tolist()) == {99}
    assert 0.2 == pytest.approx(float((after == 99).sum() / (before != 0).sum()), abs=0.03)


@pytest.mark.parametrize(
    "transform, inputs, targets, text",
    [
        (Noise(), ids(), labels(), "noise: tokens have no neighbours"),
        (Mixup(classes=CLASSES), ids(), labels(), "mixup: tokens, tags, masks and boxes can't be mixed"),
        (Mixup(classes=CLASSES), images(), marked()[1], "mixup: tokens, tags, masks and boxes can't be mixed"),
        (TokenDropout(token=1), images(), labels(), "token_dropout: is for ids"),
        (SeriesJitter(), images(), labels(), "series_jitter: is for windows"),
        (
            SeriesJitter(growth=0.1),
            windows(),
            labels(),
            "series_jitter: growth is for windows whose targets are values",
        ),
        (Jitter(), images(), marked()[1], "jitter: moves images without their masks and boxes; use flip, "),
        (Jitter(), images(), marked()[2], "jitter: moves images without their masks and boxes; use flip, "),
        *(
            (transform, windows(), labels(), rf"{name}: is for images, \[N, C, H, W\], .* are \[64, 12, 3\]")
            for name, transform in IMAGE_TRANSFORMS.items()
        ),
    ],
)
def test_what_cannot_be_changed_so_is_refused(
    transform: Transform, inputs: torch.Tensor, targets: torch.Tensor, text: str
) -> None:
    """The text names the transform and, where there is one, what to use instead."""
    with pytest.raises(SettingsError, match=text):
        transform(inputs, targets, generator(1))


def test_a_recipe_names_them_in_a_list() -> None:
    """In the order of the list, with the settings beside the name; the number of classes comes from the data."""
    made = catalogue.make([{"name": "flip", "share": 0.3}, {"name": "mixup", "alpha": 0.4}], classes=7)
    assert (Flip(share=0.3), Mixup(alpha=0.4, classes=7)) == made
    assert () == catalogue.make([], classes=0)


@pytest.mark.parametrize(
    "named, text",
    [
        ({"name": "filp"}, r"transforms\[0\]: no transform `filp`, did you mean `flip`\?"),
        ({"share": 0.1}, r"transforms\[0\]: must map `name` to one of cutout, flip, "),
        ({"name": "flip", "shaer": 0.1}, r"transforms\[0\]: flip: unknown key `shaer`, did you mean `share`\?"),
        ({"name": "flip", "share": 2}, r"transforms\[0\]: flip: share: must be between 0 and 1"),
        ({"name": "flip", "share": "a"}, r"transforms\[0\]: flip: Expected `float`, got `str` - at `\$.share`"),
        ({"name": "mixup", "classes": 3}, r"transforms\[0\]: `classes` is decided by the data and can't be set"),
        ({"name": "token_dropout"}, r"transforms\[0\]: token_dropout: .*`token`"),
    ],
)
def test_a_wrong_list_is_refused_by_place_and_key(named: Any, text: str) -> None:
    """The nearest name that there is stands in the text."""
    with pytest.raises(SettingsError, match=text):
        catalogue.make([named], classes=3)


@pytest.mark.parametrize(
    "make, wrong",
    [
        (Cutout, {"share": 1.0}),
        (Flip, {"share": 1.1}),
        (Mixup, {"alpha": 0.0}),
        (Noise, {"deviation": -0.1}),
        (Rotate, {"degrees": 181.0}),
        (SeriesJitter, {"scale": -0.1}),
        (SeriesJitter, {"growth": -0.1}),
        (SeriesJitter, {"growth": 200}),
        (Shift, {"share": 1.0}),
        (TokenDropout, {"token": -1}),
    ],
)
def test_settings_without_a_meaning_are_refused(make: type[Any], wrong: dict[str, float]) -> None:
    """The text names the setting."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        make(**wrong)
