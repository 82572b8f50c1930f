"""A version of a model as the catalog lists it."""

import time
from dataclasses import dataclass

import structlog

from service.artifact.config import ModelConfig
from service.engine.servable import Servable
from service.metadata import IndexEntry
from service.metrics import ModelMetrics
from service.repository.folder import VersionFolder

LOADING = "LOADING"
READY = "READY"
UNAVAILABLE = "UNAVAILABLE"
UNLOADING = "UNLOADING"
UNLOADED = "unloaded"
_log = structlog.get_logger()


@dataclass(kw_only=True, slots=True)
class Generation:
    """A version from the moment that it is to be served; `model` answers for it, None while nothing does.

    `files` and `config` are what `model` was made of. `reason` says why there is no model, or why a newer one isn't in
    its place. `numbers` are those of one that couldn't be loaded; a model has its own.
    """

    name: str
    version: str
    state: str
    reason: str = ""
    model: Servable | None = None
    files: VersionFolder | None = None
    config: ModelConfig | None = None
    numbers: ModelMetrics | None = None

    def entry(self) -> IndexEntry:
        """As the index lists it: a model without a worker isn't ready, though it was loaded."""
        problem = self.model.problem if self.model else ""
        state = UNAVAILABLE if problem else self.state
        return IndexEntry(name=self.name, version=self.version, state=state, reason=problem or self.reason)

    def give_reason(self, reason: str) -> None:
        """Why it, or what has become of its files, isn't served."""
        if self.model is None:
            self.state = UNAVAILABLE
        if reason != self.reason:
            event = "goes on serving what was loaded" if self.model else "not served"
            _log.error(event, model=self.name, version=self.version, reason=reason)
        self.reason = reason

    def answer(self, model: Servable, files: VersionFolder, config: ModelConfig | None) -> Servable | None:
        """Let this model, made of these, answer from now on; the one that did."""
        old, self.model = self.model, model
        self.state, self.reason = READY, ""
        self.files, self.config = files, config
        model.metrics.loaded_at = time.time()
        model.metrics.missing_instructions = files.missing_instructions
        if files.warning:
            _log.warning("answers and times may differ", model=self.name, version=self.version, reason=files.warning)
        return old

    def is_made_of(self, files: VersionFolder, config: ModelConfig | None) -> bool:
        """Whether it serves exactly this, so that loading it again would change nothing."""
        return (
            self.model is not None
            and self.model.ready
            and self.files is not None
            and self.files.same_files(files)
            and self.config == config
        )
