"""What a version must pass before any runtime sees its file."""

from dataclasses import dataclass
from pathlib import Path

from service.artifact.card import CARD_NAME, Card, load_card, verify_files
from service.artifact.config import DEFAULT_MODEL_FILENAME, ModelConfig
from service.artifact.names import resolve_under
from service.errors import ArtifactError
from service.repository.folder import VersionFolder

CONFIG_NAME = "config.pbtxt"
DEFAULT_MAX_MODEL_BYTES = 2 << 30


@dataclass(frozen=True, kw_only=True, slots=True)
class Checks:
    """The rules that an operator set: the size cap of a model file, and whether a card is demanded."""

    max_model_bytes: int = DEFAULT_MAX_MODEL_BYTES
    require_card: bool = False

    def check(self, root: Path, name: str, version: int, config: ModelConfig | None) -> VersionFolder:
        """The version under this configuration. Raises ArtifactError."""
        if config and config.is_all:
            return self._config_alone(root, name, version, config)
        return self.version(root, name, version, config.default_model_filename if config else DEFAULT_MODEL_FILENAME)

    def version(self, root: Path, name: str, version: int, filename: str) -> VersionFolder:
        """The version in `<root>/<name>/<version>`, its card verified. Raises ArtifactError, naming the file."""
        folder = resolve_under(root, name, str(version))
        place = f"{name}/{version}"
        model_path = resolve_under(root, name, str(version), filename)
        self._model_file(model_path, f"{place}/{filename}")
        card = self._card(root, folder, place)
        if card is not None and filename not in card.files:
            raise ArtifactError(f"{place}/{CARD_NAME}: files doesn't name {filename}")
        sha256 = card.files[filename].sha256 if card else ""
        return VersionFolder(
            version=version, model_path=model_path, card=card, sha256=sha256, folder=root / name / str(version)
        )

    def single(self, path: Path) -> VersionFolder:
        """The model file at `path` by itself, as version 1. Raises ArtifactError."""
        self._model_file(path, path.name)
        if self.require_card:
            raise ArtifactError(f"{path.name}: has no {CARD_NAME}, and a card is required")
        return VersionFolder(version=1, model_path=path.resolve())

    def _config_alone(self, root: Path, name: str, version: int, config: ModelConfig) -> VersionFolder:
        """A version that another server or other models compute, which have cards of their own."""
        if self.require_card and config.hone.remote:
            raise ArtifactError(f"{config.origin}: a card is required, and a model of a remote server has none")
        return VersionFolder(version=version, model_path=resolve_under(root, name, CONFIG_NAME))

    def _model_file(self, path: Path, place: str) -> None:
        if not path.is_file():
            raise ArtifactError(f"{place}: {'is no regular file' if path.exists() else 'no such file'}")
        size = path.stat().st_size
        if size == 0:
            raise ArtifactError(f"{place}: is empty")
        if size > self.max_model_bytes:
            raise ArtifactError(f"{place}: {size} bytes, the limit is {self.max_model_bytes}")

    def _card(self, root: Path, folder: Path, place: str) -> Card | None:
        path = folder / CARD_NAME
        if not path.exists() and not path.is_symlink():
            if self.require_card:
                raise ArtifactError(f"{place}: has no {CARD_NAME}, and a card is required")
            return None
        if not resolve_under(root, *place.split("/"), CARD_NAME).is_file():
            raise ArtifactError(f"{place}/{CARD_NAME}: isn't a file")
        card = load_card(path)
        try:
            verify_files(card, folder)
        except OSError as error:
            raise ArtifactError(f"{place}: a file that the card names can't be read ({error.strerror})") from error
        return card
