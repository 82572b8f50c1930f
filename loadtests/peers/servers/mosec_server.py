"""mosec: one worker, with its dynamic batching."""

import numpy as np
from mosec import Server, Worker
from mosec.errors import ValidationError
from numpy.typing import NDArray

from loadtests.peers.assignment import DELAY_SECONDS, assigned
from loadtests.peers.network import Network
from loadtests.peers.oip import Protocol


class Model(Worker):
    """mosec calls `deserialize`, `forward` with the batch, and `serialize` in one process."""

    def __init__(self) -> None:
        self._network, self._protocol = Network(assigned()), Protocol(assigned())

    def deserialize(self, data: bytes) -> tuple[str, NDArray[np.float32]]:
        """The id and the row; mosec answers 4xx to a ValidationError."""
        try:
            return self._protocol.decode(data)
        except ValueError as error:
            raise ValidationError(str(error)) from error

    def forward(self, data: list[tuple[str, NDArray[np.float32]]]) -> list[tuple[str, NDArray[np.float32]]]:
        """One run for the whole batch [N, *dims]."""
        outputs = self._network(np.stack([row for _, row in data]))
        return [(identity, row) for (identity, _), row in zip(data, outputs, strict=True)]

    def serialize(self, data: tuple[str, NDArray[np.float32]]) -> bytes:
        """The answer of one request."""
        return self._protocol.encode(*data)


if __name__ == "__main__":
    server = Server()
    delay = round(DELAY_SECONDS * 1000)
    server.append_worker(Model, num=1, max_batch_size=assigned().max_batch_size, max_wait_time=delay)
    server.run()
