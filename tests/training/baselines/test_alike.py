"""What taggers, autoencoders and embeddings have to beat."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from service.errors import SettingsError
from tests.training.baselines.parts import part
from training.baselines.baseline import Baseline
from training.baselines.frequent_tag import FrequentTag
from training.baselines.pixels import Pixels
from training.baselines.principal_components import PrincipalComponents
from training.baselines.principal_gaussian import PrincipalGaussian
from training.bootstrap import Resampling
from training.data.split import NO_TAG
from training.metrics import anomaly, retrieval

FEW = Resampling(rounds=60)


def scans() -> tuple[np.ndarray, np.ndarray]:
    """Real digits as pixels uint8 [N, 1, 8, 8], and which they are."""
    digits = load_digits()
    return (digits.images[:, None] * 15.9).astype(np.uint8), digits.target.astype(np.int64)


def test_a_token_has_the_tag_that_it_had_most_often() -> None:
    """A new one, beyond or between those of training, has the commonest of all; padding teaches nothing."""
    ids = np.array([[1, 2, 1, 0], [1, 2, 6, 3]])
    tags = np.array([[2, 1, 2, NO_TAG], [0, 1, 1, 1]])
    model: Baseline = FrequentTag(part(ids, tags), tags=3)
    found = model.predict(np.array([[1, 2, 3, 4, 6, 99]]))
    assert [[2, 1, 1, 1, 1, 1]] == found.tolist()
    assert np.int64 == found.dtype


def test_components_reconstruct_what_varies() -> None:
    """What lies on a plane comes back from two numbers, not from one; all components give pixels back."""
    random = np.random.default_rng(1)
    plane = (random.normal(size=(50, 2)) @ random.normal(size=(2, 6)) + 4).astype(np.float32)
    train = part(plane, np.zeros(50))
    two, one = PrincipalComponents(train, components=2), PrincipalComponents(train, components=1)
    assert plane == pytest.approx(two.reconstruct(plane), abs=1e-5)
    assert two.predict(plane).max() < 1e-9
    assert one.predict(plane).mean() > 1e-2
    pixels = scans()[0][:100]
    back = PrincipalComponents(part(pixels, np.zeros(100)), components=64).reconstruct(pixels)
    assert (pixels.shape, np.dtype(np.float32)) == (back.shape, back.dtype)
    assert pixels / 255 == pytest.approx(back, abs=1e-5)


def test_strange_digits_come_back_worse() -> None:
    """Fitted on zeros alone, the error of other digits is larger, and it is a score that the metric takes."""
    pixels, digits = scans()
    zeros = pixels[:900][digits[:900] == 0]
    model = PrincipalComponents(part(zeros, np.zeros(len(zeros))), components=8)
    strange = (digits[900:] != 0).astype(np.int64)
    limit = anomaly.threshold(model.predict(zeros), 0.05)
    found = anomaly.measure(model.predict(pixels[900:]), strange, np.arange(len(strange)), limit, FEW)
    assert found.auroc.low > 0.95


def test_neighbours_on_pixels_are_alike() -> None:
    """Of real digits most have their like nearest: pixels are an embedding to be beaten."""
    pixels, digits = scans()
    model = Pixels(part(pixels[:500], digits[:500]))
    found = retrieval.measure(model.predict(pixels[500:900]), digits[500:900], np.arange(400), (1, 5), FEW)
    assert found.recall[1].low > 0.9
    assert found.map_at_r.value < found.recall[1].value


def test_what_doesnt_fit_is_told() -> None:
    """More components than the data have numbers, pictures of another size."""
    train = part(np.zeros((5, 1, 4, 4), np.uint8), np.zeros(5))
    with pytest.raises(SettingsError, match="components: 6 aren't within 1 to 5"):
        PrincipalComponents(train, components=6)
    with pytest.raises(SettingsError, match=r"inputs: are \[1, 8, 8\], and those of training \[1, 4, 4\]"):
        Pixels(train).predict(np.zeros((5, 1, 8, 8), np.uint8))


def test_a_principal_gaussian_draws_as_the_images_vary() -> None:
    """Mean and covariance are those of the images, by seed; of fewer directions, only what lies along them."""
    random = np.random.default_rng(1)
    spread = random.normal(size=(2, 4))
    images = (np.clip(random.normal(size=(400, 2)) @ spread * 0.05 + 0.5, 0, 1)[:, None, None] * 255).astype(np.uint8)
    model = PrincipalGaussian(part(images, np.zeros(400)), components=2)
    drawn = model.draw(4000, seed=1)
    assert (4000, 1, 1, 4) == drawn.shape
    assert np.allclose(drawn.mean(axis=0), images.mean(axis=0) / 255, atol=0.01)
    real, made = (np.cov(one.reshape(len(one), 4), rowvar=False) for one in (images / 255.0, drawn))
    assert np.allclose(real, made, atol=0.1 * np.abs(real).max())
    assert np.array_equal(drawn, model.draw(4000, seed=1))
    assert not np.array_equal(drawn, model.draw(4000, seed=2))
    with pytest.raises(SettingsError, match="components: 5 aren't within 1 to 4"):
        PrincipalGaussian(part(images, np.zeros(400)), components=5)
