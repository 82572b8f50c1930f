"""What is asked: a server, one of its models, and an inference request that the model should take."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from service.client.conformance.expectation import CheckFailed, CheckSkipped, applies
from service.client.conformance.http_client import Answer, HttpClient, Request
from service.client.conformance.output import Output, expect_same
from service.client.conformance.question import HEADER_LENGTH, NOT_IN_JSON, in_binary, in_json, json_entry
from service.client.conformance.refusal import expect_refusal
from service.client.conformance.reply import Reply, read_reply
from service.messages import Tensor

if TYPE_CHECKING:
    from service.client.conformance.rpc import Rpc

NOBODY = "no-model-has-this-name"
NO_VERSION = "987654"
_PLAIN = "the plain inference"


class Target:
    """Owns what is known of server and model, and the answer that others are compared with.

    `metadata` and `config` are the model's, empty where they can't be read; `inputs` are empty where `problem` says why
    there are none. `is_given` when the inputs are the user's, and not made up.
    """

    def __init__(
        self, *, http: HttpClient, rpc: "Rpc | None", server: Mapping[str, Any], model: str, given: bool = False
    ) -> None:
        self.http = http
        self.rpc_or_none = rpc
        self.server = server
        self.model = model
        self.is_given = given
        self.metadata: Mapping[str, Any] = {}
        self.config: Mapping[str, Any] = {}
        self.inputs: tuple[Tensor, ...] = ()
        self.parameters: Mapping[str, Any] = {}
        self.problem = ""
        self.is_steady = True
        self._reply: Reply | None = None

    @property
    def extensions(self) -> frozenset[str]:
        """What the server says it has besides the protocol."""
        listed = self.server.get("extensions")
        return frozenset(one for one in listed if isinstance(one, str)) if isinstance(listed, list) else frozenset()

    @property
    def rpc(self) -> "Rpc":
        """The gRPC side. Raises CheckSkipped without one."""
        if self.rpc_or_none is None:
            raise CheckSkipped("no gRPC address was given (--grpc-url HOST:PORT)")
        return self.rpc_or_none

    @property
    def version(self) -> str:
        """The newest version that the metadata lists. Raises CheckSkipped when it lists none."""
        versions = self.metadata.get("versions")
        found = [one for one in versions if isinstance(one, str)] if isinstance(versions, list) else []
        applies(found, "the model's metadata lists no versions")
        return max(found, key=lambda one: (one.isdecimal(), int(one) if one.isdecimal() else 0))

    @property
    def rows_allowed(self) -> int:
        """The largest batch that the config has; 0 when the model isn't batched, or there is no config."""
        found = self.config.get("max_batch_size")
        return found if type(found) is int else 0

    def described(self) -> Mapping[str, Any]:
        """The model's metadata. Raises CheckSkipped when it couldn't be read, which has a check of its own."""
        applies(self.metadata, "the model's metadata can't be read")
        return self.metadata

    def path(self, rest: str = "", *, model: str | None = None, version: str = "") -> str:
        """The model's path, or another's; `rest` with its slash."""
        named = f"/versions/{quote(version, safe='')}" if version else ""
        return f"/v2/models/{quote(self.model if model is None else model, safe='')}{named}{rest}"

    def request(
        self, body: bytes, headers: Mapping[str, str] | None = None, *, model: str | None = None, version: str = ""
    ) -> Request:
        """An inference request. It says what its body is: some servers look at that, so it has a check of its own."""
        kind = "application/octet-stream" if HEADER_LENGTH in (headers or {}) else "application/json"
        path = self.path("/infer", model=model, version=version)
        return Request(method="POST", path=path, body=body, headers={"Content-Type": kind, **(headers or {})})

    def infer(
        self, body: bytes, headers: Mapping[str, str] | None = None, *, model: str | None = None, version: str = ""
    ) -> Answer:
        """The answer to an inference request."""
        return self.http.ask(self.request(body, headers, model=model, version=version))

    def extra(self, **more: Any) -> dict[str, Any]:
        """What every request has besides its inputs, and `more`. Outputs that JSON can't carry are to be bytes."""
        found: dict[str, Any] = {"parameters": dict(self.parameters)} if self.parameters else {}
        outputs = self.metadata.get("outputs") or []
        if any(one.get("datatype") in NOT_IN_JSON for one in outputs):
            found["outputs"] = [
                {"name": one["name"], "parameters": {"binary_data": one["datatype"] in NOT_IN_JSON}} for one in outputs
            ]
        if "parameters" in more:
            more["parameters"] = {**self.parameters, **more["parameters"]}
        return found | more

    def plain(self, **more: Any) -> tuple[bytes, dict[str, str]]:
        """Body and headers of the inference request that the model should take: JSON, as far as JSON can carry it."""
        binary = {one.name for one in self.inputs if one.datatype in NOT_IN_JSON}
        if binary:
            return in_binary(self.inputs, binary, **self.extra(**more))
        return in_json(self.inputs, **self.extra(**more)), {}

    def ask_plainly(self) -> Reply:
        """What that request is answered. Raises CheckSkipped when it was made up and is refused, else CheckFailed."""
        applies(self.inputs, self.problem or "the model has no inputs")
        answer = self.infer(*self.plain())
        if answer.status != 200 and not self.is_given:
            self.problem = (
                f"the model refuses what was made up for it ({answer.brief}): "
                "give a request that it takes with --data FILE.json, or shapes with --shape NAME:DIMS"
            )
            raise CheckSkipped(self.problem)
        return read_reply(answer, _PLAIN)

    @property
    def baseline(self) -> Reply:
        """The answer that others are compared with. Raises CheckSkipped when there is none: that has its own check."""
        if self._reply is None:
            try:
                first, second = self.ask_plainly(), self.ask_plainly()
            except CheckFailed as error:
                raise CheckSkipped(f"the plain inference failed: {error}") from None
            self._reply = first
            try:
                expect_same(first.outputs, second.outputs, _PLAIN)
            except CheckFailed:
                self.is_steady = False
        return self._reply

    def document(self) -> dict[str, Any]:
        """That request as JSON, to be changed. Raises CheckSkipped when JSON can't carry it, or it isn't answered."""
        for one in self.inputs:
            applies(one.datatype not in NOT_IN_JSON, f'input "{one.name}" is {one.datatype}, which JSON can\'t carry')
        _ = self.baseline
        return self.extra(inputs=[json_entry(one) for one in self.inputs])

    def expect_answer(self, answer: Answer, what: str) -> Reply:
        """Raise CheckFailed unless the answer has the outputs that the plain inference has."""
        reply = read_reply(answer, what)
        self.expect_outputs(reply.outputs, what)
        return reply

    def expect_outputs(self, outputs: tuple[Output, ...], what: str) -> None:
        """The same of outputs; where a model's answers differ from time to time, only their names count."""
        if self.is_steady:
            expect_same(self.baseline.outputs, outputs, what)
        elif sorted(one.name for one in outputs) != sorted(self.baseline.names):
            raise CheckFailed(f"{what}: expected the outputs {self.baseline.names}")

    def expect_refused(
        self,
        body: bytes,
        what: str,
        headers: Mapping[str, str] | None = None,
        *,
        model: str | None = None,
        version: str = "",
    ) -> None:
        """Raise CheckFailed unless the server refuses this inference request, as the protocol has it."""
        expect_refusal(self.infer(body, headers, model=model, version=version), what)
