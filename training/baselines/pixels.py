"""What is alike looks alike, pixel by pixel."""

from service.errors import SettingsError
from training.baselines.rows import flat
from training.data.split import Array, Split
from training.statistics import Values


class Pixels:
    """Takes inputs themselves for their embeddings: their nearest neighbours are those on pixels."""

    def __init__(self, train: Split) -> None:
        self._shape = train.inputs.shape[1:]

    def predict(self, inputs: Array) -> Values:
        """Of `inputs` [N, ...] the embeddings [N, D]. Raises SettingsError if they aren't as the training inputs."""
        if inputs.shape[1:] != self._shape:
            raise SettingsError(f"inputs: are {list(inputs.shape[1:])}, and those of training {list(self._shape)}")
        return flat(inputs)
