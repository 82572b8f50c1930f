"""From a folder to the models in it."""

from pathlib import Path

from service.artifact.config import DEFAULT_MODEL_FILENAME, ModelConfig, VersionPolicy, read_config
from service.artifact.names import check_model_name, is_version, resolve_under
from service.errors import ArtifactError
from service.repository.checks import Checks
from service.repository.folder import ModelFolder, VersionFolder
from service.repository.remote import remote_versions

CONFIG_NAME = "config.pbtxt"


def scan(root: Path, checks: Checks | None = None) -> list[ModelFolder]:
    """Every model below `root`, sorted by name, broken ones with their problem; or the one model that `root` itself
    is, when it is a file.

    Raises ArtifactError when there is no such folder or file. Hidden folders and plain files are passed over.
    """
    checks = checks or Checks()
    if root.is_file():
        return [_single_file(root, checks)]
    if not root.is_dir():
        raise ArtifactError(f"{root.name}: no such folder")
    try:
        names = sorted(entry.name for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    except OSError as error:
        raise ArtifactError(f"{root.name}: can't be listed ({error.strerror})") from error
    return [scan_model(root, name, checks) for name in names]


def scan_model(root: Path, name: str, checks: Checks | None = None) -> ModelFolder:
    """The model in the folder `name` below `root`; never raises for what is wrong inside it."""
    checks = checks or Checks()
    path = root / name
    config: ModelConfig | None = None
    warnings: tuple[str, ...] = ()
    try:
        check_model_name(name)
        resolve_under(root, name)
        config = _config(root, name)
        warnings = config.warnings if config else ()
        versions, skipped = _versions(root, name, config, checks)
        warnings += skipped
    except (ArtifactError, OSError) as error:
        problem = f"{name}: {error.strerror}" if isinstance(error, OSError) else str(error)
        return ModelFolder(name=name, path=path, config=config, problem=problem, warnings=warnings)
    return ModelFolder(name=name, path=path, config=config, versions=versions, warnings=warnings)


def _config(root: Path, name: str) -> ModelConfig | None:
    path = root / name / CONFIG_NAME
    if not path.exists() and not path.is_symlink():
        return None
    config = read_config(resolve_under(root, name, CONFIG_NAME), name=name)
    for filename in config.label_filenames.values():
        if not resolve_under(root, name, filename).is_file():
            raise ArtifactError(f"{name}/{filename}: no such file, but {CONFIG_NAME} names it as label_filename")
    return config


def _versions(
    root: Path, name: str, config: ModelConfig | None, checks: Checks
) -> tuple[tuple[VersionFolder, ...], tuple[str, ...]]:
    """The versions to serve, newest first, and the reasons why newer ones aren't among them.

    A version that fails a check isn't there (it may still be copied in), so an older one takes its place.
    """
    if config and config.hone.remote:
        return remote_versions(root / name / CONFIG_NAME, config, checks)
    policy = config.version_policy if config else VersionPolicy()
    filename = config.default_model_filename if config else DEFAULT_MODEL_FILENAME
    present = [int(entry.name) for entry in (root / name).iterdir() if is_version(entry.name) and entry.is_dir()]
    sound: list[VersionFolder] = []
    problems: list[str] = []
    for version in policy.candidates(present):
        if policy.latest is not None and len(sound) == policy.latest:
            break
        try:
            sound.append(checks.version(root, name, version, filename))
        except ArtifactError as error:
            problems.append(str(error))
    if not sound:
        raise ArtifactError(problems[0] if problems else _nothing(name, policy, present))
    return tuple(sound), tuple(problems)


def _nothing(name: str, policy: VersionPolicy, present: list[int]) -> str:
    if policy.specific is not None and present:
        return f"{name}: version_policy asks for {list(policy.specific)}, the folder has {sorted(present)}"
    return f"{name}: no version folder (a positive number without leading zeros)"


def _single_file(path: Path, checks: Checks) -> ModelFolder:
    """A model file by itself: its stem is the name, its version 1."""
    name = path.stem
    try:
        check_model_name(name)
        if path.suffix != ".onnx":
            raise ArtifactError(f"{path.name}: a single model must be an .onnx file")
        version = checks.single(path)
    except ArtifactError as error:
        return ModelFolder(name=name, path=path.parent, problem=str(error))
    return ModelFolder(name=name, path=path.parent, versions=(version,))
