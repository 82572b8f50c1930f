"""What only the application has."""

import httpx
import pytest

from service.engine.exchange import Exchange, Receiver
from service.logs import LogControl
from service.messages import InferRequest
from service.metadata import IndexEntry
from service.protocol.client_memory import ClientMemory
from service.protocol.http.app import build_app
from service.protocol.limits import Limits
from tests.contract.double_engine import DoubleEngine


class BrokenEngine(DoubleEngine):
    """An engine with a fault."""

    def submit(self, request: InferRequest, receiver: Receiver) -> Exchange:
        """Fail as nothing should."""
        raise ZeroDivisionError("secret")

    async def index(self) -> list[IndexEntry]:
        """Fail as nothing should."""
        raise ZeroDivisionError("secret")


@pytest.mark.parametrize("method,path", [("POST", "/v2/models/affine/infer"), ("POST", "/v2/repository/index")])
async def test_a_fault_is_hidden(method: str, path: str) -> None:
    """A fault of Hone itself is a 500 that says nothing of what went wrong."""
    engine = BrokenEngine()
    transport = httpx.ASGITransport(
        build_app(engine, Limits(), LogControl(), ClientMemory(allowed=False)), raise_app_exceptions=False
    )
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        content = (
            {"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1]}]} if "infer" in path else None
        )
        answer = await client.request(method, path, json=content)

    assert answer.status_code == 500
    assert answer.json() == {"error": "internal error", "reason": "error"}


async def test_each_app_has_its_own_engine() -> None:
    """Two applications in a process don't share anything."""
    one, other = DoubleEngine(), DoubleEngine()
    one.is_ready = False
    answers = []
    for engine in (one, other):
        transport = httpx.ASGITransport(build_app(engine, Limits(), LogControl(), ClientMemory(allowed=False)))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            answers.append((await client.get("/v2/health/ready")).status_code)

    assert answers == [400, 200]
