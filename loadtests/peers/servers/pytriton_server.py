"""Triton through PyTriton: its own HTTP front and batcher, the model in its Python backend. It speaks the protocol."""

import numpy as np
from numpy.typing import NDArray
from pytriton.decorators import batch
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

from loadtests.peers.assignment import DELAY_SECONDS, assigned
from loadtests.peers.network import Network
from loadtests.peers.oip import DTYPES


def main() -> None:
    """Serve until told to stop."""
    given = assigned()
    network = Network(given)

    @batch
    def infer(**inputs: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        return {given.output_name: network(inputs[given.input_name])}

    config = TritonConfig(http_address="127.0.0.1", http_port=given.port, allow_grpc=False, allow_metrics=False)
    delay = round(DELAY_SECONDS * 1e6)
    with Triton(config=config) as triton:
        triton.bind(
            model_name=given.model,
            infer_func=infer,
            inputs=[Tensor(name=given.input_name, dtype=DTYPES[given.datatype].type, shape=given.input_dims)],
            outputs=[Tensor(name=given.output_name, dtype=np.float32, shape=given.output_dims)],
            config=ModelConfig(
                max_batch_size=given.max_batch_size, batcher=DynamicBatcher(max_queue_delay_microseconds=delay)
            ),
        )
        triton.serve()


if __name__ == "__main__":
    main()
