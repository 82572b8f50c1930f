"""The slots for sequences in progress, and who waits for one."""

from collections.abc import Iterator

from service.engine.request_sequence import RequestSequence


class Slots:
    """Owns which sequences are in progress, of which there are `most` at once, and the order of those that wait."""

    def __init__(self) -> None:
        self.most = 0
        self._taken = 0
        self._waiting: dict[RequestSequence, None] = {}

    def __len__(self) -> int:
        """Sequences in progress, and those that wait."""
        return self._taken + len(self._waiting)

    @property
    def free(self) -> bool:
        """Whether one who comes now gets a slot: those who wait go first."""
        return self._taken < self.most and not self._waiting

    def enter(self, sequence: RequestSequence) -> None:
        """It takes a slot, unless it has one, or waits for one."""
        if sequence.seated or sequence in self._waiting:
            return
        if self.free:
            self._seat(sequence)
        else:
            self._waiting[sequence] = None

    def leave(self, sequence: RequestSequence) -> None:
        """It is over."""
        self._waiting.pop(sequence, None)
        self._taken -= sequence.seated
        sequence.seated = False

    def follow(self) -> Iterator[RequestSequence]:
        """Those that get a slot now, after others have left."""
        while self._waiting and self._taken < self.most:
            sequence = next(iter(self._waiting))
            del self._waiting[sequence]
            self._seat(sequence)
            yield sequence

    def _seat(self, sequence: RequestSequence) -> None:
        sequence.seated = True
        self._taken += 1
