"""The receiver of one request that takes exactly one answer."""

from collections.abc import Callable

from service.errors import BackendError, HoneError
from service.messages import InferResponse
from service.protocol.http.answer import Answer, internal_error, refusal, success
from service.protocol.http.infer_response import encode_infer
from service.protocol.http.wanted import ALL_JSON, Wanted


class Reply:
    """Owns the answer while it comes into being, and calls `deliver` once it is complete.

    It may serve one request after another: `reset` between them. `failure` is None when all is well; `body` and
    `json_length` are then what `encode_infer` made.
    """

    __slots__ = ("_max_json_bytes", "body", "deliver", "failure", "json_length", "wanted")

    def __init__(self, deliver: Callable[[], None], max_json_bytes: int) -> None:
        self._max_json_bytes = max_json_bytes
        self.deliver = deliver
        self.reset(ALL_JSON)

    def reset(self, wanted: Wanted) -> None:
        """Forget the last answer; the next is written as `wanted`."""
        self.wanted = wanted
        self.failure: Answer | None = None
        self.json_length: int | None = None
        self.body: bytes | None = None

    def emit(self, response: InferResponse) -> None:
        """Encode the answer, while its arrays are still valid. Raises what `encode_infer` raises."""
        if self.body is not None:
            raise BackendError(f'model "{response.model}" gave more than one answer')
        self.json_length, self.body = encode_infer(response, self.wanted, self._max_json_bytes)

    def finish(self, error: HoneError | None) -> None:
        """Settle what is answered, and deliver it."""
        if error is not None:
            self.failure = refusal(error)
        elif self.body is None and self.failure is None:
            self.failure = internal_error()
        self.deliver()

    def answer(self) -> Answer:
        """The whole answer, good or bad."""
        if self.failure is not None or self.body is None:
            return self.failure or internal_error()
        return success(self.json_length, self.body)
