"""Traces: what a few requests did, and when. Which requests these are may change while the server runs.

The settings are those of Triton's trace extension; what they ask for is written by a `TraceFile`.
"""

from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any, Literal

import msgspec

from service.trace_file import Series, TraceFile

OFF: Literal["OFF"] = "OFF"
ALL = ""
"""Stands for every model that has no settings of its own."""


class TraceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Which requests are traced: unless `level` is OFF one in `rate`, until `count` of them were; -1 for no end.

    A file takes `log_frequency` traces and is followed by another one; 0 for a single file.
    """

    level: Literal["OFF", "TIMESTAMPS"] = OFF
    rate: int = 1000
    count: int = -1
    log_frequency: int = 0


class Trace:
    """Owns what one request did, in moments of `time.monotonic()`, until it is written."""

    __slots__ = ("_file", "_moments", "_number", "_series")

    def __init__(self, number: int, series: Series, file: TraceFile) -> None:
        self._number = number
        self._series = series
        self._file = file
        self._moments: list[dict[str, str | int]] = []

    def note(self, name: str, seconds: float) -> None:
        """Something happened at that moment."""
        self._moments.append({"name": name, "ns": int(seconds * 1e9)})

    def end(self, model: str, version: str, request: str) -> None:
        """All of it has happened, to a request of this id, which may be empty."""
        content: dict[str, Any] = {"id": self._number, "model_name": model, "model_version": int(version)}
        if request:
            content["request_id"] = request
        self._file.put(self._series, {**content, "timestamps": self._moments})


class _Sampler:
    """Owns the counts under one setting: how many requests were `_seen`, and how many traces are `left` to be taken."""

    def __init__(self, settings: TraceSettings, left: int) -> None:
        self.settings = settings
        self.left = left
        self.series = Series(settings.log_frequency, indexed=settings.log_frequency > 0 or settings.count >= 0)
        self._seen = 0

    @property
    def on(self) -> bool:
        return self.settings.level != OFF

    def takes(self) -> bool:
        """Whether the request that has just come is one of those."""
        self._seen += 1
        if self.left == 0 or self._seen % self.settings.rate:
            return False
        self.left = max(self.left - 1, -1)
        return True


class TraceControl:
    """Owns which requests are traced: by `settings` from the start, then as clients say, for all models or for one.

    `locked` says why clients may not, empty where they may. Without a `file` nothing is ever traced. `on` is all that a
    request costs while nothing is.
    """

    def __init__(
        self, file: TraceFile | None = None, settings: TraceSettings | None = None, *, locked: str = ""
    ) -> None:
        self.file = file
        self.locked = locked
        self.on = False
        self._start = settings or TraceSettings()
        self._numbers = count(1)
        self._own: dict[str, dict[str, Any]] = {ALL: {}}
        self._samplers: dict[str, _Sampler] = {}
        self.change(ALL, {})

    def settings(self, model: str = ALL) -> TraceSettings:
        """What holds for a model, whether or not it has settings of its own; `count` is what is left of it."""
        sampler = self._sampler(model)
        return msgspec.structs.replace(sampler.settings, count=sampler.left)

    def change(self, model: str, changes: Mapping[str, Any]) -> None:
        """Set for one model, or for ALL, what `changes` name of TraceSettings; None takes back what was set.

        What isn't set for a model is what is set for all, and what isn't set for those is what held at the start.
        """
        own = {**self._own.get(model, {}), **changes}
        self._own[model] = {key: value for key, value in own.items() if value is not None}
        self._samplers = dict(self._renewed(model, changes))
        self.on = self.file is not None and any(sampler.on for sampler in self._samplers.values())

    def sample(self, model: str) -> Trace | None:
        """A trace for the request to this model that has just come, if it is one of those that are traced."""
        sampler = self._sampler(model)
        if self.file is None or self.file.reached or not sampler.on or not sampler.takes():
            return None
        return Trace(next(self._numbers), sampler.series, self.file)

    def close(self) -> None:
        """Write what isn't written yet. Waits for the disk, so it is meant for a thread."""
        if self.file:
            self.file.close()

    def _sampler(self, model: str) -> _Sampler:
        return self._samplers.get(model) or self._samplers[ALL]

    def _renewed(self, model: str, changes: Mapping[str, Any]) -> Iterator[tuple[str, _Sampler]]:
        """A sampler for each model that has settings of its own, and for all others.

        One whose settings stay goes on; what was left of a count that isn't set anew is still left.
        """
        of_all = msgspec.structs.replace(self._start, **self._own[ALL])
        for name, own in self._own.items():
            if not own and name != ALL:
                continue
            settings = msgspec.structs.replace(of_all, **own)
            concerned = name == model or (model == ALL and "count" not in own)
            recounted = concerned and "count" in changes
            before = None if recounted else self._samplers.get(name)
            if before and before.settings == settings:
                yield name, before
            else:
                goes_on = before and before.settings.count == settings.count
                yield name, _Sampler(settings, before.left if before and goes_on else settings.count)
