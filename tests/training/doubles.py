"""Stand-ins for the service, where a test isn't about it."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from training.data.split import Dataset
from training.export import INPUT, OUTPUT
from training.session import Tensors, open_model
from training.timing import Request


@dataclass(frozen=True, kw_only=True)
class InProcess:
    """The predictor of tests: runs the files of a model repository in this process."""

    repository: Path
    _computed: dict[str, float] = field(default_factory=dict)

    def request(self, model: str, inputs: Tensors) -> Request:
        """A request that is computed when it is called."""
        compute = open_model(self.repository / model / "1" / "model.onnx")

        def send() -> Tensors:
            start = time.perf_counter()
            answer = compute(inputs)
            self._computed[model] = self.compute_seconds(model) + time.perf_counter() - start
            return answer

        return send

    def compute_seconds(self, model: str) -> float:
        """How long the model has computed so far."""
        return self._computed.get(model, 0.0)

    def is_independent(self, model: str) -> bool:
        """True."""
        return True


@contextmanager
def in_process(repository: Path, models: Sequence[str]) -> Iterator[InProcess]:
    """Stands in for `training.serving.serving` where a test isn't about the service."""
    assert all((repository / model / "config.pbtxt").is_file() for model in models)
    yield InProcess(repository=repository)


@dataclass(kw_only=True)
class Acting:
    """A predictor that takes a given time and errs on given images; it keeps the order of what it was asked.

    A request takes `seconds` of its model, of which all but `overhead` is said to be computing.
    """

    dataset: Dataset
    seconds: dict[str, float]
    errors: dict[str, int]
    overhead: float = 0.0
    asked: list[tuple[str, int]] = field(default_factory=list)
    computed: dict[str, float] = field(default_factory=dict)

    def request(self, model: str, inputs: Tensors) -> Request:
        """Right answers but for the first `errors` images of the test part, the surer the earlier the image."""
        test = self.dataset.test
        places = {image.tobytes(): place for place, image in reversed(list(enumerate(test.inputs)))}
        images = inputs[INPUT]
        answer = np.zeros((len(images), len(self.dataset.classes)), dtype=np.float32)
        for row, image in zip(answer, images, strict=True):
            place = places[image.tobytes()]
            truth, wrong = test.targets[place], place < self.errors[model]
            sure = 0.9 - 0.3 * place / len(test)
            row[truth] = 1 - sure if wrong else 1.0
            row[(truth + 1) % 10] += sure if wrong else 0.0

        def send() -> Tensors:
            self.asked.append((model, len(images)))
            time.sleep(self.seconds[model])
            self.computed[model] = self.compute_seconds(model) + self.seconds[model] - self.overhead
            return {OUTPUT: answer}

        return send

    def compute_seconds(self, model: str) -> float:
        """The sum of all requests' shares of computing."""
        return self.computed.get(model, 0.0)

    def is_independent(self, model: str) -> bool:
        """True."""
        return True
