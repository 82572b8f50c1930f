"""What a generation is made from: a version in the repository, and the server's own limits."""

from dataclasses import dataclass, field

from service.artifact.card import Card
from service.artifact.config import ModelConfig
from service.engine.trials.findings import FindingsCache
from service.workers.patience import Patience


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineLimits:
    """What every model gets unless its configuration says otherwise. Times are in seconds."""

    default_deadline: float = 30.0
    max_queued_requests: int = 1024
    max_queued_bytes: int = 256 * 1024 * 1024
    max_output_bytes: int = 256 * 1024 * 1024
    findings: FindingsCache = field(default_factory=lambda: FindingsCache(None))
    patience: Patience = field(default_factory=Patience)


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelSource:
    """Where a version's files are and what is written about it; `config` and `card` are None where there are none.

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
