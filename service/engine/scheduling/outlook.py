"""What can be foreseen of a queue that several devices work on."""

from collections.abc import Sequence

from service.engine.scheduling.foresight import HASTE, Foresight, check_time
from service.engine.scheduling.station import Station


class Outlook:
    """Owns the sum of what is foreseen of each station. Answers admission's questions as `Foresight` does."""

    def __init__(self, stations: Sequence[Station]) -> None:
        self._stations = stations

    @property
    def mark(self) -> object:
        """See `Foresight`."""
        return tuple([one.mark for one in self._working()])

    def is_plenty(self, rows: int, allowed: float) -> bool:
        """See `Foresight`: whether any station could do it all."""
        return any(one.is_plenty(rows, allowed) for one in self._working())

    def hurry(self, now: float) -> None:
        """See `Foresight`: any station may be the one that it would have to wait for."""
        for one in self._working():
            one.hurry(now)

    def check(self, rows: int, ahead: int, now: float, deadline: float, weight: float = 1.0) -> None:
        """Raises Infeasible unless `rows` rows of this weight, behind `ahead` others, will be done by `deadline`."""
        if deadline - now < HASTE:
            self.hurry(now)
        check_time(self.wait(rows, ahead, now, weight), ahead, now, deadline)

    def wait(self, rows: int, ahead: int, now: float, weight: float = 1.0) -> float:
        """Seconds until `rows` rows are finished where they are finished first: all stations share the work before."""
        parts = sorted(one.parts(rows, ahead, now, weight) for one in self._working())
        start = _shared([(free, per_row) for free, per_row, _ in parts], ahead)
        return min((max(start, free) + own for free, _, own in parts), default=0.0)

    def _working(self) -> list[Foresight]:
        return [station.foresight for station in self._stations if station.foresight and station.working]


def foresee(stations: Sequence[Station]) -> Foresight | Outlook | None:
    """What answers admission's questions; None where nothing can be foreseen of a station."""
    if not all(station.foresight for station in stations):
        return None
    return stations[0].foresight if len(stations) == 1 else Outlook(stations)


def share_out(stations: Sequence[Station]) -> None:
    """Tell each station its part of the queue, by how many rows a second it computes."""
    rates = [one.working * _rows_a_second(one) for one in stations]
    for station, rate in zip(stations, rates, strict=True):
        station.share = rate / sum(rates) if sum(rates) else 1.0


def _rows_a_second(station: Station) -> float:
    """What one of its instances computes, in batches of the best size."""
    profile = station.profile
    return profile.best_rows / profile.expected(profile.best_rows) if profile else 1.0


def _shared(parts: Sequence[tuple[float, float]], rows: int) -> float:
    """When `rows` rows are done by all together; a part is when it is free and what a row takes it, soonest first."""
    rate, idle = 0.0, 0.0
    done = 0.0
    for number, (free, per_row) in enumerate(parts):
        rate += 1 / per_row
        idle += free / per_row
        done = (rows + idle) / rate
        if number + 1 < len(parts) and done <= parts[number + 1][0]:
            break
    return done
