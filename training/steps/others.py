"""Who teaches along with the trained network: others of its kind, by other seeds."""

from collections.abc import Callable, Sequence
from pathlib import Path

from training.deadline import OVER, TimeUp
from training.errors import Diverged
from training.steps.journal import Journal, R


class Others:
    """So many (`count`) networks, at the places after the trained one's.

    `learn` says where the one at a place lies, which takes about so many `seconds` if it isn't there. Raises Diverged.
    """

    def __init__(self, journal: Journal[R], *, count: int, learn: Callable[[int], Path], seconds: float) -> None:
        self.count = count
        self._journal = journal
        self._learn = learn
        self._seconds = seconds
        self._paths: Sequence[Path] = ()

    def paths(self, foreseen: float) -> Sequence[Path]:
        """Where they lie, but for those whose fits diverged.

        None of them learns unless there is time for all, and for the `foreseen` seconds of what they are needed for:
        else this raises TimeUp.
        """
        if not self._paths:
            places = range(1, self.count + 1)
            if missing := [place for place in places if not self._is_there(place)]:
                self._journal.deadline.check(len(missing) * self._seconds + foreseen)
            self._paths = [path for place in places if (path := self._path(place))]
        return self._paths

    def _is_there(self, place: int) -> bool:
        try:
            with self._journal.until(OVER):
                self._path(place)
        except TimeUp:
            return False
        return True

    def _path(self, place: int) -> Path | None:
        try:
            return self._learn(place)
        except Diverged:
            return None
