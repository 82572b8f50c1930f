"""What a generation is made from: a version in the repository, and the server's own limits."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from service.artifact.card import Card
from service.artifact.config import ModelConfig
from service.artifact.golden import GOLDEN_NAME
from service.engine.remote.address import RemoteAddress
from service.engine.response_cache import ResponseCache
from service.engine.trials.findings import FindingsCache
from service.errors import ArtifactError
from service.repository.folder import VersionFolder
from service.workers.patience import Patience


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineLimits:
    """What every model gets unless its configuration says otherwise. Times are in seconds.

    `worker_nice` is added to the niceness of workers on the CPU. `remotes` are the servers that a configuration may
    name as the one that computes. `traced` says that there may be requests that are traced.
    """

    default_deadline: float = 30.0
    max_queued_requests: int = 1024
    max_queued_bytes: int = 256 * 1024 * 1024
    max_output_bytes: int = 256 * 1024 * 1024
    worker_nice: int = 0
    response_cache: ResponseCache = field(default_factory=lambda: ResponseCache(0))
    findings: FindingsCache = field(default_factory=lambda: FindingsCache(None))
    patience: Patience = field(default_factory=Patience)
    remotes: Mapping[str, RemoteAddress] = field(default_factory=dict)
    traced: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelSource:
    """Where a version's files are and what is written about it; `config` and `card` are None where there are none.

    A version that a remote server computes has no file but the configuration that names the server: `path` is that.
    `golden` is the path of its golden samples, empty for a model file by itself.
    """

    name: str
    version: str
    path: str
    size_bytes: int
    sha256: str
    config: ModelConfig | None
    card: Card | None
    golden: str = ""


def source_of(name: str, files: VersionFolder, config: ModelConfig | None) -> ModelSource:
    """The version under this configuration. Raises ArtifactError when its file has gone since it was found."""
    try:
        size_bytes = files.model_path.stat().st_size
    except OSError as error:
        raise ArtifactError(f"{name}/{files.version}/{files.model_path.name}: {error.strerror}") from error
    return ModelSource(
        name=name,
        version=str(files.version),
        path=str(files.model_path),
        size_bytes=size_bytes,
        sha256=files.sha256,
        config=config,
        card=files.card,
        golden=str(files.model_path.parent / GOLDEN_NAME) if files.folder else "",
    )
