"""Ray Serve: one replica, its batching decorator, bodies taken raw."""

import signal

import numpy as np
import ray
from ray import serve
from starlette.requests import Request
from starlette.responses import Response

from loadtests.peers.assignment import DELAY_SECONDS, assigned
from loadtests.peers.network import Network
from loadtests.peers.oip import Protocol

GIVEN = assigned()


class Model:
    """Ray calls the replica per request, which waits for its batch."""

    def __init__(self) -> None:
        self._network, self._protocol = Network(GIVEN), Protocol(GIVEN)

    @serve.batch(max_batch_size=GIVEN.max_batch_size, batch_wait_timeout_s=DELAY_SECONDS)
    async def compute(self, rows: list[np.ndarray]) -> list[np.ndarray]:
        """One run for the whole batch [N, *dims]."""
        return list(self._network(np.stack(rows)))

    async def __call__(self, request: Request) -> Response:
        """One request."""
        identity, row = self._protocol.decode(await request.body())
        return Response(self._protocol.encode(identity, await self.compute(row)), media_type="application/json")


if __name__ == "__main__":
    ray.init(num_cpus=2, include_dashboard=False, logging_level="error", log_to_driver=False)
    quiet = {"enable_access_log": False, "log_level": "ERROR"}
    serve.start(http_options={"host": "127.0.0.1", "port": GIVEN.port}, logging_config=quiet)
    deployment = serve.deployment(Model, num_replicas=1, max_ongoing_requests=1024, ray_actor_options={"num_cpus": 1})
    serve.run(deployment.bind(), name="bench", route_prefix="/infer")
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    ray.shutdown()
