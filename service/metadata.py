"""What the doors tell about the models: the nouns of the metadata and index routes."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class TensorMetadata:
    """One input or output; `shape` includes the batch axis, with -1 for whatever varies."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelMetadata:
    """A model as the protocol describes it; `versions` are those that are served."""

    name: str
    versions: tuple[str, ...]
    platform: str
    inputs: tuple[TensorMetadata, ...]
    outputs: tuple[TensorMetadata, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexEntry:
    """One version in the index; `state` is READY, LOADING or UNAVAILABLE, and `reason` says why it isn't ready."""

    name: str
    version: str
    state: str
    reason: str
