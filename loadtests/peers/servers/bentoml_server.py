"""BentoML: one worker, a batchable endpoint. Its bodies are JSON of the endpoint's arguments."""

import bentoml
import numpy as np

from loadtests.peers.assignment import assigned
from loadtests.peers.network import Network
from loadtests.peers.oip import DTYPES

GIVEN = assigned()
MAX_LATENCY_MS = 10_000
QUIET = {"access": {"enabled": False}}


@bentoml.service(workers=1, traffic={"timeout": 60, "max_concurrency": 1024}, metrics={"enabled": False}, logging=QUIET)
class Model:
    """BentoML joins waiting requests along the first dimension."""

    def __init__(self) -> None:
        self._network = Network(GIVEN)

    @bentoml.api(batchable=True, max_batch_size=GIVEN.max_batch_size, max_latency_ms=MAX_LATENCY_MS)
    def infer(self, rows: np.ndarray) -> np.ndarray:
        """One run for the whole batch [N, *dims]."""
        return self._network(np.asarray(rows, dtype=DTYPES[GIVEN.datatype]))
