"""From a folder to the models in it."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeAlias

from service.artifact.config import ModelConfig, read_config
from service.artifact.generate import GENERATE
from service.artifact.initial_state import INITIAL_STATES, read_initial_state
from service.artifact.labels import read_labels
from service.artifact.names import check_model_name, is_version, resolve_under
from service.artifact.tokenizer import TOKENIZER_NAME, read_tokenizer
from service.artifact.version_policy import VersionPolicy
from service.errors import ArtifactError
from service.repository.checks import CONFIG_NAME, Checks
from service.repository.ensemble import ensemble_versions, review_ensemble
from service.repository.folder import ModelFolder, VersionFolder
from service.repository.reason import not_there, reason_for
from service.repository.remote import remote_versions, review_remote

VersionCheck: TypeAlias = Callable[[Path, str, int, ModelConfig | None], VersionFolder]
"""From the repository, a model's name, a version and the configuration to the version; raises ArtifactError."""


def scan(root: Path, checks: Checks | None = None) -> list[ModelFolder]:
    """Every model below `root`, sorted by name, broken ones with their problem; or the one model that `root` itself
    is, when it is a file.

    Raises ArtifactError when there is no such folder or file. Hidden folders and plain files are passed over.
    """
    checks = checks or Checks()
    if root.is_file():
        return [scan_file(root, checks)]
    return [scan_model(root, name, checks.check) for name in model_names(root)]


def model_names(root: Path) -> list[str]:
    """The folders of `root` that are models, sorted. Raises ArtifactError when it can't be listed."""
    if not root.is_dir():
        raise ArtifactError(f"{root.name}: no such {'file' if root.suffix == '.onnx' else 'folder'}")
    try:
        return sorted(entry.name for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    except OSError as error:
        raise ArtifactError(f"{root.name}: can't be listed ({error.strerror})") from error


def scan_model(
    root: Path,
    name: str,
    check: VersionCheck | None = None,
    serving: Collection[int] = (),
    config: ModelConfig | None = None,
) -> ModelFolder:
    """The model in the folder `name` below `root`; never raises for what is wrong inside it.

    `config` takes the place of the one in the folder.
    Versions in `serving` have an older generation that serves: when one of them doesn't pass, that generation goes on,
    and no other version is looked for in its place.
    """
    path = root / name
    present: frozenset[int] = frozenset()
    sound: tuple[VersionFolder, ...] = ()
    refused: dict[int, str] = {}
    warnings: tuple[str, ...] = ()
    problem: str | None = None
    try:
        check_model_name(name)
        resolve_under(root, name)
        if not path.is_dir():
            raise ArtifactError(not_there(name))
        on_disk = frozenset(_present(path))
        present = on_disk.union(serving)  # a remote server's have no folder: what serves is there as far as is known
        config = _labelled(config, root, name) if config else _config(root, name)
        warnings = config.warnings if config else ()
        if config and config.hone.remote:
            warnings += review_remote(config)
            present = frozenset(remote_versions(config))
        elif config and config.ensemble_scheduling:
            warnings += review_ensemble(config, config.ensemble_scheduling)
            present = frozenset(ensemble_versions(config, on_disk))
        else:
            present = on_disk
        policy = config.version_policy if config else VersionPolicy()
        check = partial(check or Checks().check, root, name)
        sound, reasons = _versions(lambda version: check(version, config), policy, present, serving)
        refused = {version: reason_for(name, version, reason) for version, reason in reasons.items()}
        if not sound:
            problem = next(iter(refused.values()), None) or _nothing(name, policy, present)
        elif absent := sorted(set(policy.specific or ()) - present):
            warnings += (f"{name}: version_policy asks for {absent} too, which the folder doesn't have",)
    except (ArtifactError, OSError) as error:
        problem = f"{name}: {error.strerror}" if isinstance(error, OSError) else str(error)
    return ModelFolder(
        name=name,
        path=path,
        config=config,
        versions=sound,
        problem=problem,
        warnings=warnings,
        refused=refused,
        present=present,
    )


def scan_file(path: Path, checks: Checks) -> ModelFolder:
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


def _config(root: Path, name: str) -> ModelConfig | None:
    path = root / name / CONFIG_NAME
    if not path.exists() and not path.is_symlink():
        return None
    path = resolve_under(root, name, CONFIG_NAME)
    if path.exists() and not path.is_file():
        raise ArtifactError(f"{name}/{CONFIG_NAME}: isn't a file")
    return _labelled(read_config(path, name=name), root, name)


def _labelled(config: ModelConfig, root: Path, name: str) -> ModelConfig:
    """With the labels that it names the files of."""
    labels = {}
    for output, filename in config.label_filenames.items():
        labelled = resolve_under(root, name, filename)
        if not labelled.is_file():
            raise ArtifactError(f"{name}/{filename}: no such file, but {config.origin} names it as label_filename")
        labels[output] = read_labels(labelled, source=f"{name}/{filename}")
    tokenizer = ""
    if config.hone.generate:
        path = resolve_under(root, name, TOKENIZER_NAME)
        tokenizer = read_tokenizer(path, source=f"{name}/{TOKENIZER_NAME}", needs=GENERATE)
    return replace(config, labels=labels, initial_states=_initial_states(root, name, config), tokenizer=tokenizer)


def _initial_states(root: Path, name: str, config: ModelConfig) -> dict[str, bytes]:
    """What sequences begin with, by the name of the state's input."""
    states = config.sequence_batching.states if config.sequence_batching else ()
    return {
        state.input.name: read_initial_state(
            resolve_under(root, name, INITIAL_STATES, state.data_file),
            state,
            source=f"{name}/{INITIAL_STATES}/{state.data_file}",
        )
        for state in states
        if state.data_file
    }


def _present(path: Path) -> Iterator[int]:
    return (int(entry.name) for entry in path.iterdir() if is_version(entry.name) and entry.is_dir())


def _versions(
    check: Callable[[int], VersionFolder], policy: VersionPolicy, present: Collection[int], serving: Collection[int]
) -> tuple[tuple[VersionFolder, ...], dict[int, str]]:
    """The versions to serve, newest first, and the reasons why others aren't among them.

    A version that fails a check isn't there (it may still be copied in), so an older one takes its place.
    """
    sound: list[VersionFolder] = []
    refused: dict[int, str] = {}
    for version in policy.candidates(present):
        if policy.latest is not None and len(sound) + len(refused.keys() & set(serving)) >= policy.latest:
            break
        try:
            sound.append(check(version))
        except (ArtifactError, OSError) as error:
            refused[version] = str(error.strerror if isinstance(error, OSError) else error)
    return tuple(sound), refused


def _nothing(name: str, policy: VersionPolicy, present: Collection[int]) -> str:
    if policy.specific is not None and present:
        return f"{name}: version_policy asks for {list(policy.specific)}, the folder has {sorted(present)}"
    return f"{name}: no version folder (a positive number without leading zeros)"
