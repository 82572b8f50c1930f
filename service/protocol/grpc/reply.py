"""The receiver of one request that takes exactly one answer, in wire form."""

from collections.abc import Callable, Mapping

from service.errors import BackendError, HoneError
from service.messages import InferResponse
from service.protocol.client_memory import Target
from service.protocol.grpc.infer_response import encode_infer


class Reply:
    """Owns the answer while it comes into being, and calls `deliver` once it is complete.

    `body` is then the ModelInferResponse, unless `error` says why there is none. `targets` are where in shared memory
    some outputs are to be written.
    """

    __slots__ = ("_deliver", "body", "error", "targets")

    def __init__(self, deliver: Callable[[], None]) -> None:
        self._deliver = deliver
        self.body: bytes | None = None
        self.targets: Mapping[str, Target] = {}
        self.error: HoneError | None = None

    def emit(self, response: InferResponse) -> None:
        """Encode the answer, while its arrays are still valid."""
        if self.body is not None:
            raise BackendError(f'model "{response.model}" gave more than one answer')
        self.body = encode_infer(response, self.targets)

    def finish(self, error: HoneError | None) -> None:
        """Settle what is answered, and deliver it."""
        if error is None and self.body is None:
            error = BackendError("the model gave no answer")
        self.error = error
        self._deliver()
