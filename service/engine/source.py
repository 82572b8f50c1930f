"""From a version on disk to what the engine loads."""

from service.artifact.config import ModelConfig
from service.artifact.golden import GOLDEN_NAME
from service.engine.served_model import ModelSource
from service.errors import ArtifactError
from service.repository.folder import VersionFolder


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
