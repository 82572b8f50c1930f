"""Messages in wire form: cut apart and put together as protobuf itself does it."""

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2 as pb

from service.errors import HoneError, InvalidRequest, TooLarge
from service.messages import InferRequest
from service.protocol.client_memory import ClientMemory
from service.protocol.grpc.infer_request import InferDecoder
from service.protocol.grpc.wire import field, split
from service.protocol.limits import Limits

NAMES = st.text(max_size=40)
PARAMETERS = st.dictionaries(
    NAMES,
    st.one_of(
        st.integers(-(2**63), 2**63 - 1).map(lambda value: pb.InferParameter(int64_param=value)),
        st.text(max_size=20).map(lambda value: pb.InferParameter(string_param=value)),
        st.booleans().map(lambda value: pb.InferParameter(bool_param=value)),
    ),
    max_size=3,
)


@st.composite
def messages(draw: st.DrawFn) -> pb.ModelInferRequest:
    """Any request of the protocol."""
    return pb.ModelInferRequest(
        model_name=draw(NAMES),
        model_version=draw(NAMES),
        id=draw(NAMES),
        parameters=draw(PARAMETERS),
        inputs=[
            pb.ModelInferRequest.InferInputTensor(
                name=draw(NAMES),
                datatype=draw(st.sampled_from(["FP32", "INT8", "BYTES", "x"])),
                shape=draw(st.lists(st.integers(-3, 2**62), max_size=4)),
                contents=draw(st.none() | st.just(pb.InferTensorContents(fp32_contents=[1.0, 2.0]))),
            )
            for _ in range(draw(st.integers(0, 3)))
        ],
        outputs=[pb.ModelInferRequest.InferRequestedOutputTensor(name=draw(NAMES))] if draw(st.booleans()) else [],
        raw_input_contents=draw(st.lists(st.binary(max_size=300), max_size=3)),
    )


def decoded(message: bytes) -> InferRequest:
    decoder = InferDecoder(Limits(), ClientMemory(allowed=False))
    parts = split(message, 2**20)
    return decoder.request(decoder.head(parts.head), parts, None)


def attempt(message: bytes) -> InferRequest | HoneError:
    try:
        return decoded(message)
    except HoneError as error:
        return error


@given(messages())
def test_what_is_cut_apart_is_what_protobuf_reads(message: pb.ModelInferRequest) -> None:
    """The id, the raw contents, and a head that is the message without both."""
    parts = split(message.SerializeToString(), 2**20)

    assert message.id.encode() == parts.id
    assert list(message.raw_input_contents) == [bytes(one) for one in parts.raw]
    rest = pb.ModelInferRequest()
    rest.CopyFrom(message)
    rest.ClearField("id")
    rest.ClearField("raw_input_contents")
    assert rest == pb.ModelInferRequest.FromString(parts.head)


@given(st.binary(max_size=200) | messages().map(lambda message: message.SerializeToString()), st.data())
def test_no_bytes_are_more_than_refused(message: bytes, data: st.DataObject) -> None:
    """Whatever comes, also a message with a byte changed or cut off: a request, or an error that says what is wrong."""
    garbled = bytearray(message)
    if garbled and data.draw(st.booleans()):
        garbled[data.draw(st.integers(0, len(garbled) - 1))] = data.draw(st.integers(0, 255))
    text = bytes(garbled[: data.draw(st.integers(0, len(garbled)))])
    found = attempt(text)
    if isinstance(found, HoneError):
        assert str(found).isprintable()
    else:
        theirs = pb.ModelInferRequest.FromString(text)
        assert theirs.model_name == found.model
        assert [tensor.name for tensor in theirs.inputs] == [tensor.name for tensor in found.inputs]


@given(st.integers(1, 2**28), st.integers(0, 300))
def test_fields_are_written_as_protobuf_reads_them(number: int, size: int) -> None:
    """Tags and lengths of any size."""
    content = bytes(size)
    text = b"".join(field(number, content))
    try:
        message = pb.ModelInferResponse.FromString(text)
    except DecodeError:
        assert number <= 6  # a field of that number has another form, or other bytes
        return
    if number > 6:
        assert text == message.SerializeToString()  # unknown fields are kept as they are


def test_of_several_ids_the_last_counts() -> None:
    """And each has to be text, as protobuf has it."""
    one, two, bad = (b"".join(field(3, content)) for content in (b"one", b"two", b"\xff"))
    assert decoded(one + two).id == pb.ModelInferRequest.FromString(one + two).id == "two"
    for text in (bad + two, one + bad):
        with pytest.raises(InvalidRequest):
            decoded(text)


def test_a_head_has_a_limit() -> None:
    """Raw contents don't count."""
    message = pb.ModelInferRequest(model_name="m" * 90, raw_input_contents=[bytes(1000)])
    split(message.SerializeToString(), 100)

    with pytest.raises(TooLarge, match="raw_input_contents"):
        split(message.SerializeToString(), 90)
