"""A series in time, and how it becomes windows of the past with what followed each."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from service.errors import SettingsError
from training.data.checks import Finding, warning
from training.data.shares import Shares
from training.data.split import Dataset, Split


@dataclass(frozen=True, kw_only=True)
class WindowSettings:
    """The `horizon` steps that follow are foretold from a `window` of steps before them.

    `shares` are of the series' length: it is trained on its beginning, and tested on its end.
    """

    window: int = 24
    horizon: int = 1
    shares: Shares = field(default_factory=Shares)

    def __post_init__(self) -> None:
        if min(self.window, self.horizon) < 1:
            raise ValueError("window, horizon: must be at least 1")


@dataclass(frozen=True, kw_only=True)
class TimeSeries:
    """`values` float32 [M, F] of the `features`, the first of which is foretold, in order of time.

    Those that weren't `measured`, bool [M, F], are the last that was before.
    """

    features: tuple[str, ...]
    values: NDArray[np.float32]
    measured: NDArray[np.bool_]

    @classmethod
    def filled(cls, features: tuple[str, ...], raw: NDArray[np.float32]) -> Self:
        """The series `raw` [M, F], where what wasn't measured is NaN. Raises SettingsError if it begins with that.

        A gap is filled with what was known then, so that nothing tells of what comes later.
        """
        measured = np.isfinite(raw)
        for feature, begun in zip(features, measured[0], strict=True):
            if not begun:
                raise SettingsError(f"`{feature}`: the first step is missing, and nothing before it could stand there")
        last = np.maximum.accumulate(np.where(measured, np.arange(len(raw))[:, None], 0), axis=0)
        return cls(features=features, values=np.take_along_axis(raw, last, axis=0), measured=measured)

    def findings(self) -> Iterator[Finding]:
        """What wasn't measured."""
        for feature, gaps in zip(self.features, (~self.measured).sum(axis=0), strict=True):
            if gaps:
                told = f"`{feature}`: {gaps} of {len(self.values)} steps weren't measured"
                yield warning(f"{told}; the last value before stands there")

    def cut(self, settings: WindowSettings) -> Dataset:
        """Windows float32 [N, window, F] and the values float32 [N, horizon] after them, in order of time.

        The series is cut in three first, so no value is in two parts, neither in a window nor behind one. Windows that
        would ask for a value that wasn't measured are left out. Windows overlap; those that ask first within the same
        `horizon` steps are of one source. Raises SettingsError where a part is too short.
        """
        length, shares = len(self.values), settings.shares
        bounds = [round(length * (1 - shares.validation - shares.test)), round(length * (1 - shares.test))]
        train, validation, test = (
            self._windows(start, stop, settings) for start, stop in zip((0, *bounds), (*bounds, length), strict=True)
        )
        return Dataset(train=train, validation=validation, test=test, classes=())

    def _windows(self, start: int, stop: int, settings: WindowSettings) -> Split:
        """All windows with what follows them that lie in `start` to `stop`."""
        window, foretold = settings.window, self.features[0]
        span = window + settings.horizon
        if stop - start < span:
            raise SettingsError(
                f"`{foretold}`: a part has {stop - start} steps, window and horizon take {span}: shorten them, or give"
                " that part a larger share"
            )
        spans = np.lib.stride_tricks.sliding_window_view(self.values[start:stop], span, axis=0)  # [n, F, span]
        asked = np.lib.stride_tricks.sliding_window_view(self.measured[start:stop, 0], span)[:, window:]
        kept = np.flatnonzero(asked.all(axis=1))
        if not len(kept):
            raise SettingsError(f"`{foretold}`: in one part, gaps leave no {settings.horizon} measured steps in a row")
        return Split(
            inputs=spans[kept, :, :window].transpose(0, 2, 1).copy(),
            targets=spans[kept, 0, window:].copy(),
            sources=(start + window + kept) // settings.horizon,
        )
