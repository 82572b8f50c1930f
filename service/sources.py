"""From what lies in the repository to what the engine loads."""

from service.artifact.golden import GOLDEN_NAME
from service.engine.source import ModelSource
from service.repository.folder import ModelFolder


def sources(folder: ModelFolder) -> list[ModelSource]:
    """The versions of a model that are to be served, newest first."""
    return [
        ModelSource(
            name=folder.name,
            version=str(version.version),
            path=str(version.model_path),
            size_bytes=version.model_path.stat().st_size,
            sha256=version.sha256,
            config=folder.config,
            card=version.card,
            golden=str(version.model_path.parent / GOLDEN_NAME) if folder.path != version.model_path.parent else "",
        )
        for version in folder.versions
    ]
