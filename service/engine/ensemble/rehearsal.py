"""Whether an ensemble could be served over models of which only the configurations are known."""

from collections.abc import Mapping

from service.artifact.config import ModelConfig
from service.engine.ensemble.wiring import wire
from service.errors import ArtifactError


def problem_of_ensemble(config: ModelConfig, sound: Mapping[str, Mapping[int, ModelConfig | None]]) -> str:
    """Why it would not be served; empty if nothing is known that speaks against it.

    `sound` has, for each model that would be served, the configurations of its versions as a worker has completed them,
    None where only a remote server could say it.
    """
    assert config.ensemble_scheduling
    place = f"{config.origin}: ensemble_scheduling"
    configs = []
    for step in config.ensemble_scheduling.steps:
        versions = sound.get(step.model, {})
        if not versions:
            return f'{place}: {step}: no model "{step.model}" would be served'
        version = max(versions) if step.version is None else int(step.version)
        if version not in versions:
            return f"{place}: {step}: version {version} would not be served"
        configs.append(versions[version])
    known = [one for one in configs if one is not None]
    try:
        if len(known) == len(configs):
            wire(config, known)
    except ArtifactError as error:
        return str(error)
    return ""
