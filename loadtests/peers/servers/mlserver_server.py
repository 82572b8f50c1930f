"""MLServer: a runtime of our own with its adaptive batching. It speaks the protocol's JSON itself."""

import asyncio

import numpy as np
from mlserver import MLModel, MLServer, ModelSettings, Settings
from mlserver.settings import ModelParameters
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput

from loadtests.peers.assignment import DELAY_SECONDS, assigned
from loadtests.peers.network import Network
from loadtests.peers.oip import DTYPES
from loadtests.served import free_port


class Model(MLModel):
    """MLServer joins waiting requests into one `predict`."""

    async def load(self) -> bool:
        """Once, in the worker process."""
        self._assignment = assigned()
        self._network = Network(self._assignment)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """One run for the whole batch [N, *dims]."""
        (tensor,) = payload.inputs
        batch = np.array(tensor.data.root, dtype=DTYPES[tensor.datatype]).reshape(tensor.shape)
        outputs = self._network(batch)
        output = ResponseOutput(
            name=self._assignment.output_name,
            shape=list(outputs.shape),
            datatype="FP32",
            data=outputs.ravel().tolist(),
        )
        return InferenceResponse(id=payload.id, model_name=self._assignment.model, outputs=[output])


async def main() -> None:
    """One inference process, without the doors that nobody uses here."""
    given = assigned()
    settings = Settings(
        host="127.0.0.1",
        http_port=given.port,
        grpc_port=given.grpc_port or free_port(),
        metrics_endpoint=None,
        parallel_workers=1,
        debug=False,
    )
    model = ModelSettings(
        name=given.model,
        implementation="loadtests.peers.servers.mlserver_server.Model",
        max_batch_size=given.max_batch_size,
        max_batch_time=DELAY_SECONDS,
        parameters=ModelParameters(version="1"),
    )
    await MLServer(settings).start([model])


if __name__ == "__main__":
    asyncio.run(main())
