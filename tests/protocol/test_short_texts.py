"""However long a client's words are, the texts of errors about them stay short."""

import pytest

from service.errors import HoneError
from service.protocol.client_memory import ClientMemory
from service.protocol.http.head import Head
from service.protocol.http.infer_request import InferDecoder
from service.protocol.limits import Limits
from tests.contract.double_engine import DoubleEngine
from tests.contract.raw import document, tensor

LONG = "n" * 4000
DECODER = InferDecoder(DoubleEngine(), Limits(), ClientMemory(allowed=False))


@pytest.mark.parametrize(
    "body",
    [
        document(tensor(name=LONG, shape=[3])),
        document(tensor(name=LONG), tensor(name=LONG)),
        document(tensor(datatype=LONG)),
        document(tensor(shape=[-(10**4000)])),
        document(tensor([LONG, 1])),
        document(outputs=[{"name": LONG}] * 2),
        document(parameters={LONG: []}),
        document(parameters={"timeout": LONG}),
        document(id=[LONG]),
        document(**{LONG: 1}) + b"x",
    ],
    ids=["name", "twins", "datatype", "dimension", "element", "output", "parameter", "timeout", "id", "JSON"],
)
def test_what_a_client_wrote_is_shortened(body: bytes) -> None:
    """Names, datatypes, dimensions and elements of thousands of characters appear cut."""
    with pytest.raises(HoneError) as raised:
        DECODER.decode("m", None, Head(), body)

    assert len(str(raised.value)) < 300
