"""Where a configuration wants a model's worker processes: Triton's `instance_group`."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from service.errors import ArtifactError

DeviceKind: TypeAlias = Literal["auto", "cpu", "gpu"]

MOST_INSTANCES = 128
"""Of a model version: each is a process, and a machine can be brought down by a number with too many digits."""
_KINDS: dict[str, DeviceKind] = {"KIND_AUTO": "auto", "KIND_CPU": "cpu", "KIND_GPU": "gpu"}


@dataclass(frozen=True, kw_only=True, slots=True)
class InstanceGroup:
    """`count` worker processes, on each of `gpus` where any are named."""

    kind: DeviceKind = "auto"
    count: int = 1
    gpus: tuple[int, ...] = ()


def read_instance_groups(written: Iterable[Any], *, source: str) -> tuple[InstanceGroup, ...]:
    """What the messages `ModelInstanceGroup` say, checked. Raises ArtifactError."""
    groups = tuple(_group(group, source) for group in written)
    instances = sum(group.count * max(len(group.gpus), 1) for group in groups)
    if instances > MOST_INSTANCES:
        raise ArtifactError(f"{source}: instance_group: {instances} instances, at most {MOST_INSTANCES} are started")
    return groups


def _group(group: Any, source: str) -> InstanceGroup:
    name = group.Kind.Name(group.kind)
    if name not in _KINDS:
        raise ArtifactError(f"{source}: instance_group: {name} isn't supported")
    if group.count < 0 or any(gpu < 0 for gpu in group.gpus):
        raise ArtifactError(f"{source}: instance_group: count and gpus can't be negative")
    kind = _KINDS[name]
    if kind == "cpu" and group.gpus:
        raise ArtifactError(f"{source}: instance_group: gpus are named for KIND_CPU")
    return InstanceGroup(kind=kind, count=group.count or 1, gpus=tuple(group.gpus))
