"""What a version must pass before any runtime sees its file."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from service.artifact.card import CARD_NAME, Card, load_card, verify_files, verify_records
from service.artifact.config import DEFAULT_MODEL_FILENAME, ModelConfig
from service.artifact.initial_state import INITIAL_STATES
from service.artifact.names import resolve_under
from service.artifact.tokenizer import TOKENIZER_NAME
from service.errors import ArtifactError
from service.repository.folder import VersionFolder

CONFIG_NAME = "config.pbtxt"
DEFAULT_MAX_MODEL_BYTES = 2 << 30


@dataclass(frozen=True, kw_only=True, slots=True)
class Checks:
    """The rules that an operator set: the size cap of a model file, whether a card is demanded, and who must have
    signed it: one of the `keys`, each with the name of its file. None for anybody, or nobody.
    """

    max_model_bytes: int = DEFAULT_MAX_MODEL_BYTES
    require_card: bool = False
    keys: Mapping[str, str] | None = None

    def check(self, root: Path, name: str, version: int, config: ModelConfig | None) -> VersionFolder:
        """The version under this configuration. Raises ArtifactError."""
        if config and config.is_all:
            return self._config_alone(root, name, version, config)
        filename = config.default_model_filename if config else DEFAULT_MODEL_FILENAME
        found = self.version(root, name, version, filename)
        if config and found.card:
            self._beside(root, name, found.card, config)
        return found

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
        if self._demanded:
            raise ArtifactError(f"{path.name}: has no {CARD_NAME}, and {self._demanded} is required")
        return VersionFolder(version=1, model_path=path.resolve())

    def _config_alone(self, root: Path, name: str, version: int, config: ModelConfig) -> VersionFolder:
        """A version that another server or other models compute, which have cards of their own."""
        if self._demanded and config.hone.remote:
            raise ArtifactError(
                f"{config.origin}: {self._demanded} is required, and a model of a remote server has none"
            )
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
            if self._demanded:
                raise ArtifactError(f"{place}: has no {CARD_NAME}, and {self._demanded} is required")
            return None
        if not resolve_under(root, *place.split("/"), CARD_NAME).is_file():
            raise ArtifactError(f"{place}/{CARD_NAME}: isn't a file")
        card = load_card(path)
        if self.keys is not None:
            _check_signer(card, place, self.keys)
        with _readable(place):
            verify_files(card, folder)
        return card

    def _beside(self, root: Path, name: str, card: Card, config: ModelConfig) -> None:
        """Raises ArtifactError for a file in the model's folder that `config` names and that isn't as on the card, or
        not on it where a signature is demanded.
        """
        named = dict.fromkeys(_named_beside(config))
        if self.keys is not None and (uncovered := named.keys() - card.beside):
            raise ArtifactError(f"{name}/{min(uncovered)}: no signature covers it, and a signature is required")
        with _readable(name):
            records = {file: card.beside[file] for file in named if file in card.beside}
            verify_records(records, resolve_under(root, name), place=name)

    @property
    def _demanded(self) -> str:
        if self.keys is not None:
            return "a signed card"
        return "a card" if self.require_card else ""


def _check_signer(card: Card, place: str, keys: Mapping[str, str]) -> None:
    """Raises ArtifactError unless one of `keys` signed the card, and for the model that it lies at."""
    if card.signer is None:
        raise ArtifactError(f"{place}/{CARD_NAME}: isn't signed, and a signature is required")
    if card.signer not in keys:
        raise ArtifactError(
            f"{place}/{CARD_NAME}: is signed by {card.signer}, which is none of the keys that are trusted"
        )
    if place.partition("/")[0] not in card.names:
        raise ArtifactError(f"{place}/{CARD_NAME}: is signed for a model called {' or '.join(card.names)}")


def _named_beside(config: ModelConfig) -> Iterator[str]:
    yield from config.label_filenames.values()
    if config.hone.generate:
        yield TOKENIZER_NAME
    for state in config.sequence_batching.states if config.sequence_batching else ():
        if state.data_file:
            yield f"{INITIAL_STATES}/{state.data_file}"


@contextmanager
def _readable(place: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ArtifactError(f"{place}: a file that the card names can't be read ({error.strerror})") from error
