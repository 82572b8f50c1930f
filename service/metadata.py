"""What the doors tell about the models: the nouns of the metadata, index and statistics routes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias


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


Duration: TypeAlias = tuple[int, int]
"""How often something was done, and how many nanoseconds it took altogether."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelStatistics:
    """One version that is served, as the statistics extension counts it.

    `last_inference` is in milliseconds since the epoch. `durations` has those of requests, `batches` those of the
    batches of each size, both by the protocol's names.
    """

    name: str
    version: str
    last_inference: int
    inference_count: int
    execution_count: int
    durations: Mapping[str, Duration]
    batches: Mapping[int, Mapping[str, Duration]]
