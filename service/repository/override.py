"""What a client sends along with a load, in place of what the repository has."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from service.artifact.config import ModelConfig, parse_json_config
from service.artifact.names import is_model_name
from service.errors import ArtifactError, InvalidRequest
from service.quoting import quoted
from service.repository.checks import Checks
from service.repository.folder import ModelFolder, VersionFolder
from service.repository.glimpse import mark_of
from service.repository.scan import scan_model

_SENT = "the configuration that was sent"


@dataclass(frozen=True, kw_only=True, slots=True)
class Override:
    """A configuration, as JSON in Triton's words, and files by their path below the model's folder: `1/model.onnx`.

    Without files it is that under which the model's own folder is served; else these files are all that is served.
    """

    config: str
    files: Mapping[str, bytes] = field(default_factory=dict)


class SentFolder:
    """Owns a folder that only this user can look into, with the files of an override, until it is closed.

    That may be as soon as its versions are loaded: a generation holds what its later workers need. Every method works
    on the disk, and is meant for a thread.
    """

    def __init__(self, name: str, config: ModelConfig, files: Mapping[str, bytes], checks: Checks) -> None:
        """Raises ArtifactError when the files can't be written."""
        self._name = name
        self._config = config
        self._checks = checks
        self._refused: dict[int, str] = {}
        try:
            self._folder = TemporaryDirectory(prefix="hone-load-", ignore_cleanup_errors=True)
        except OSError as error:
            raise _unwritable(name, error) from error
        self._root = Path(self._folder.name)
        try:
            self._write(files)
        except OSError as error:
            self.close()
            raise _unwritable(name, error) from error

    def take(self) -> ModelFolder:
        """What is in it, checked as a model of the repository is."""
        return scan_model(self._root, self._name, self._check, config=self._config)

    def again(self, refused: Mapping[int, str], serving: Collection[int]) -> ModelFolder:
        """The same without versions that turned out to be no good, for the reasons given."""
        self._refused.update(refused)
        return scan_model(self._root, self._name, self._check, serving, config=self._config)

    def close(self) -> None:
        """Remove the folder; may be called again."""
        self._folder.cleanup()

    def _write(self, files: Mapping[str, bytes]) -> None:
        for path, content in files.items():
            target = self._root / self._name / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)

    def _check(self, root: Path, name: str, version: int, config: ModelConfig | None) -> VersionFolder:
        if version in self._refused:
            raise ArtifactError(self._refused[version])
        found = self._checks.check(root, name, version, config)
        return replace(found, mark=mark_of(root / name / str(version)))


def config_of(name: str, override: Override) -> ModelConfig:
    """The configuration that an override has for a model. Raises InvalidRequest."""
    if not is_model_name(name):
        raise InvalidRequest(f"{quoted(name)} can't name a model")
    try:
        config = parse_json_config(override.config, name=name, source=_SENT)
    except ArtifactError as error:
        raise InvalidRequest(str(error)) from error
    if config.ensemble_scheduling and override.files:
        raise InvalidRequest(f"{_SENT}: ensemble_scheduling: other models compute it, so no files can be sent along")
    if config.hone.remote and override.files:
        raise InvalidRequest(f"{_SENT}: hone.remote: another server computes, so no files can be sent along")
    return config


def _unwritable(name: str, error: OSError) -> ArtifactError:
    return ArtifactError(f"{name}: the files that were sent along can't be kept for the load: {error.strerror}")
