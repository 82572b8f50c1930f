"""Images drawn as a normal distribution in the space of principal components has them."""

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from service.errors import SettingsError
from training.baselines.rows import flat
from training.data.split import Split


class PrincipalGaussian:
    """Draws along the `components` directions in which the training images vary most, as much as they do.

    Raises SettingsError if there are fewer images or pixels in one than components. Source: M. Tipping, C. Bishop,
    "Probabilistic Principal Component Analysis", 1999: its model of images, without the noise that it adds to each
    pixel, which no image has.
    """

    def __init__(self, train: Split, *, components: int) -> None:
        rows = flat(train.inputs)
        if not 1 <= components <= min(rows.shape):
            raise SettingsError(f"components: {components} aren't within 1 to {min(rows.shape)}, which the data allow")
        self._model = PCA(components, svd_solver="full").fit(rows)
        self._shape = train.inputs.shape[1:]

    def draw(self, count: int, seed: int) -> NDArray[np.float32]:
        """So many images float32 [count, C, H, W] in [0, 1], shares of 255, by `seed`."""
        normal = np.random.default_rng(seed).standard_normal((count, self._model.n_components_))
        drawn = self._model.inverse_transform(normal * np.sqrt(self._model.explained_variance_))
        images: NDArray[np.float32] = np.clip(drawn, 0, 1).astype(np.float32).reshape(count, *self._shape)
        return images
