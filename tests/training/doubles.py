"""Stand-ins for the service, where a test isn't about it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from training.data.split import Images
from training.evaluate import Request
from training.session import open_session


@dataclass(frozen=True, kw_only=True)
class InProcess:
    """The predictor of tests: runs the files of a model repository in this process."""

    repository: Path

    def request(self, model: str, images: Images) -> Request:
        """A request that is computed when it is called."""
        predict = open_session(self.repository / model / "1" / "model.onnx")
        return lambda: predict(images)


@contextmanager
def in_process(repository: Path, models: Sequence[str]) -> Iterator[InProcess]:
    """Stands in for `training.serving.serving` where a test isn't about the service."""
    assert all((repository / model / "config.pbtxt").is_file() for model in models)
    yield InProcess(repository=repository)
