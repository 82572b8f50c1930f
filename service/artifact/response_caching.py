"""Whether a model's answers may be kept and given again: Triton's `response_cache`."""

from typing import Any

from service.errors import ArtifactError


def read_response_cache(config: Any, *, source: str) -> tuple[bool, tuple[str, ...]]:
    """Whether the message `ModelConfig` asks for it, and a warning where it does in vain.

    Raises ArtifactError for a model of sequences, as Triton does: its answers depend on more than what is asked.
    """
    if not config.response_cache.enable:
        return False, ()
    if config.HasField("sequence_batching"):
        raise ArtifactError(
            f"{source}: response_cache: answers within a sequence depend on those before and can't be kept; enable it"
            " or sequence_batching, not both"
        )
    if config.HasField("ensemble_scheduling"):
        return False, (f"{source}: response_cache is ignored: enable it for the models that the ensemble is made of",)
    if "hone.remote" in config.parameters:
        return False, (f"{source}: response_cache is ignored: enable it on the server that computes",)
    return True, ()
