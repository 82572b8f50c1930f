"""KServe's model server. It batches in a side-car of its clusters, not here. It speaks the protocol itself."""

import kserve

from loadtests.peers.assignment import assigned
from loadtests.peers.network import Network


class Model(kserve.Model):
    """KServe calls `predict` per request."""

    def __init__(self) -> None:
        super().__init__(assigned().model)
        self._network = Network(assigned())
        self.ready = True

    async def predict(
        self,
        payload: kserve.InferRequest,
        headers: dict[str, str] | None = None,
        response_headers: dict[str, str] | None = None,
    ) -> kserve.InferResponse:
        """One request; the session runs in the loop's own thread, as the documentation's examples do."""
        outputs = self._network(payload.inputs[0].as_numpy())
        output = kserve.InferOutput(name=assigned().output_name, shape=list(outputs.shape), datatype="FP32")
        output.set_data_from_numpy(outputs, binary_data=False)
        return kserve.InferResponse(response_id=payload.id, model_name=self.name, infer_outputs=[output])


if __name__ == "__main__":
    given = assigned()
    server = kserve.ModelServer(
        http_port=given.port,
        grpc_port=given.grpc_port,
        workers=1,
        enable_grpc=given.grpc_port > 0,
        access_log_format=None,
    )
    server.start([Model()])
