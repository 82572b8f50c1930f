"""How a configuration lets requests be joined and queued: Triton's `dynamic_batching`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from service.artifact.queue_policy import QueuePolicy
from service.errors import ArtifactError

MAX_PRIORITY_LEVELS = 100
_DELAY = 1  # ModelQueuePolicy.TimeoutAction


@dataclass(frozen=True, kw_only=True, slots=True)
class DynamicBatching:
    """Requests may be joined. Priority levels are 1 (first) to `priority_levels`; 0 of them: all are equal."""

    max_queue_delay_microseconds: int = 0
    preferred_batch_size: tuple[int, ...] = ()
    priority_levels: int = 0
    default_priority_level: int = 0
    default_queue_policy: QueuePolicy = field(default_factory=QueuePolicy)
    priority_queue_policies: Mapping[int, QueuePolicy] = field(default_factory=dict)


def read_dynamic_batching(written: Any, *, max_batch_size: int, source: str, remote: bool = False) -> DynamicBatching:
    """What the message `ModelDynamicBatching` says, checked; a `remote` server may still say the batch size.

    Raises ArtifactError naming the field.
    """
    preferred = tuple(sorted(set(written.preferred_batch_size)))
    if max_batch_size == 0 and not remote:
        raise ArtifactError(f"{source}: dynamic_batching needs a max_batch_size above 0")
    if preferred and not 1 <= preferred[0] <= preferred[-1] <= max_batch_size:
        raise ArtifactError(f"{source}: preferred_batch_size must lie between 1 and max_batch_size")
    _check_levels(written, source)
    return DynamicBatching(
        max_queue_delay_microseconds=written.max_queue_delay_microseconds,
        preferred_batch_size=preferred,
        priority_levels=written.priority_levels,
        default_priority_level=written.default_priority_level,
        default_queue_policy=_queue_policy(written.default_queue_policy),
        priority_queue_policies={
            level: _queue_policy(policy) for level, policy in written.priority_queue_policy.items()
        },
    )


def _check_levels(written: Any, source: str) -> None:
    levels, default = written.priority_levels, written.default_priority_level
    if levels > MAX_PRIORITY_LEVELS:
        raise ArtifactError(f"{source}: priority_levels is {levels}, at most {MAX_PRIORITY_LEVELS} make sense")
    if not (1 <= default <= levels if levels else default == 0):
        expected = f"1 to {levels}" if levels else "0, since there are no priority_levels"
        raise ArtifactError(f"{source}: default_priority_level is {default}, expected {expected}")
    unknown = [level for level in written.priority_queue_policy if not 1 <= level <= levels]
    if unknown:
        raise ArtifactError(f"{source}: priority_queue_policy is given for level {min(unknown)} of {levels}")


def _queue_policy(written: Any) -> QueuePolicy:
    return QueuePolicy(
        max_queue_size=written.max_queue_size,
        default_timeout_microseconds=written.default_timeout_microseconds,
        timeout_action="delay" if written.timeout_action == _DELAY else "reject",
        allow_timeout_override=written.allow_timeout_override,
    )
