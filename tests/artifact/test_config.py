"""config.pbtxt: what is read, what is refused and in which words, and what the model's own signature adds."""

import json
from pathlib import Path

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import model_config_pb2 as pb

from service.artifact.batching import DynamicBatching
from service.artifact.config import (
    check_against,
    complete,
    parse_config,
    read_config,
)
from service.artifact.instance_group import InstanceGroup
from service.artifact.queue_policy import QueuePolicy
from service.artifact.signature import Dim, Signature, TensorSpec
from service.artifact.version_policy import VersionPolicy
from service.errors import ArtifactError

WHOLE = """
name: "m"
backend: "onnxruntime"
max_batch_size: 8
input { name: "x" data_type: TYPE_UINT8 dims: [ 1, 16, 16 ] }
output { name: "p" data_type: TYPE_FP32 dims: [ 10 ] label_filename: "labels.txt" }
output { name: "tag" data_type: TYPE_STRING dims: [ -1 ] }
dynamic_batching {
  max_queue_delay_microseconds: 500
  preferred_batch_size: [ 8, 4 ]
  default_queue_policy { max_queue_size: 100 }
  preserve_ordering: true
  priority_levels: 2
  default_priority_level: 2
  priority_queue_policy {
    key: 1
    value { timeout_action: DELAY default_timeout_microseconds: 9000 allow_timeout_override: true }
  }
}
instance_group { kind: KIND_CPU count: 2 }
instance_group { kind: KIND_GPU gpus: [ 0, 1 ] }
version_policy { specific { versions: [ 3, 1 ] } }
parameters { key: "hone.deadline_ms" value { string_value: "250" } }
parameters { key: "hone.family" value { string_value: "digits" } }
parameters { key: "intra_op_thread_count" value { string_value: "2" } }
parameters { key: "somebody.else" value { string_value: "x" } }
"""


def spec(name: str, datatype: str, *dims: Dim) -> TensorSpec:
    return TensorSpec(name=name, datatype=datatype, dims=dims)


IMAGES = Signature(inputs=(spec("x", "UINT8", "N", 1, 16, 16),), outputs=(spec("p", "FP32", "N", 10),))


def refusal(text: str, signature: Signature = IMAGES) -> str:
    with pytest.raises(ArtifactError) as caught:
        complete(parse_config(text, name="m"), "m", signature)
    return str(caught.value)


def test_whole_config() -> None:
    """Every field that is honoured arrives, typed, in the protocol's words."""
    config = parse_config(WHOLE, name="m")

    assert (spec("x", "UINT8", 1, 16, 16),) == config.inputs
    assert (spec("p", "FP32", 10), spec("tag", "BYTES", -1)) == config.outputs
    assert {"p": "labels.txt"} == config.label_filenames
    assert config.dynamic_batching == DynamicBatching(
        max_queue_delay_microseconds=500,
        preferred_batch_size=(4, 8),
        priority_levels=2,
        default_priority_level=2,
        default_queue_policy=QueuePolicy(max_queue_size=100),
        priority_queue_policies={
            1: QueuePolicy(timeout_action="delay", default_timeout_microseconds=9000, allow_timeout_override=True)
        },
    )
    assert (InstanceGroup(kind="cpu", count=2), InstanceGroup(kind="gpu", gpus=(0, 1))) == config.instance_groups
    assert VersionPolicy(latest=None, specific=(1, 3)) == config.version_policy
    assert (250.0, "digits", 2) == (config.hone.deadline_ms, config.hone.family, config.hone.intra_op_threads)
    assert config.parameters["somebody.else"] == "x"
    (warning,) = config.warnings
    assert "preserve_ordering" in warning
    assert ("onnxruntime_onnx", "model.onnx") == (config.platform, config.default_model_filename)


def test_json_is_tritons() -> None:
    """The JSON form has the proto's field names, 64-bit integers as numbers and enums as names."""
    answer = parse_config(WHOLE, name="m").to_json()

    assert answer == json.loads(json.dumps(answer))
    assert [1, 16, 16] == answer["input"][0]["dims"]
    assert answer["input"][0]["data_type"] == "TYPE_UINT8"
    assert answer["dynamic_batching"]["max_queue_delay_microseconds"] == 500
    assert {"specific": {"versions": [3, 1]}} == answer["version_policy"]
    assert {"string_value": "250"} == answer["parameters"]["hone.deadline_ms"]
    assert "sequence_batching" not in answer


def test_json_parses_back() -> None:
    """Any JSON reader of Triton's own proto accepts it: google's json_format gives the same message."""
    config = parse_config(WHOLE, name="m")

    message = json_format.ParseDict(config.to_json(), pb.ModelConfig())
    assert config.source == message.SerializeToString(deterministic=True)


@pytest.mark.parametrize(
    "text,expected",
    [
        ("max_bath_size: 3", 'config.pbtxt:1: unknown key "max_bath_size", did you mean "max_batch_size"?'),
        ('\n\ninput { nam: "x" }', 'config.pbtxt:3: unknown key "nam", did you mean "name"?'),
        ("zzz: 1", 'config.pbtxt:1: unknown key "zzz"'),
        ("input { data_type: TYPE_UINT }", "did you mean"),
        ('max_batch_size: "8"', "m/config.pbtxt:1: 'max_batch_size"),
        ("input {", 'm/config.pbtxt:1: Expected "}".'),
        ('name: "other"', 'm/config.pbtxt: name is "other", but the folder is "m"'),
        ("max_batch_size: -1", "m/config.pbtxt: max_batch_size is -1, expected 0 or above"),
        ('backend: "python"', 'm/config.pbtxt: backend "python" isn\'t one of onnxruntime, openvino'),
        ('platform: "tensorrt_plan"', 'backend "tensorrt_plan" isn\'t one of'),
        ('default_model_filename: "../model.onnx"', "must be a file name, not a path"),
        ("input { data_type: TYPE_FP32 dims: [1] }", 'input "": has no name'),
        ('input { name: "x" dims: [1] }', 'input "x": data_type is missing'),
        ('input { name: "x" data_type: TYPE_FP32 dims: [0] }', 'input "x": dims are [0]'),
        ('output { name: "p" data_type: TYPE_FP32 dims: [1] }' * 2, 'output "p": is given twice'),
        ("dynamic_batching {}", "dynamic_batching needs a max_batch_size above 0"),
        ("max_batch_size: 4 dynamic_batching { preferred_batch_size: 8 }", "preferred_batch_size must lie between 1"),
        ("instance_group { kind: KIND_MODEL }", "KIND_MODEL isn't supported"),
        ("instance_group { kind: KIND_CPU gpus: 0 }", "gpus are named for KIND_CPU"),
        ("instance_group { count: -1 }", "can't be negative"),
        ("instance_group { count: 2147483647 }", "2147483647 instances, at most 128 are started"),
        ("instance_group { count: 65 gpus: 0 } instance_group { count: 64 }", "129 instances, at most 128 are started"),
        ("version_policy { specific {} }", "version_policy.specific must name versions above 0"),
        ("model_transaction_policy { decoupled: true }", "only models with hone.generate can be so"),
        ('input { name: "x" allow_ragged_batch: true }', "ragged batches aren't supported"),
        ('input { name: "x" is_shape_tensor: true }', "shape tensors aren't supported"),
        ('batch_input { target_name: "x" }', "batch inputs aren't supported"),
        ('model_operations { op_library_filename: "a.so" }', "custom operations aren't supported"),
    ],
)
def test_refused(text: str, expected: str) -> None:
    """Each refusal is one line that names the file, the key and, where there is one, the nearest."""
    found = refusal(text)

    assert expected in found
    assert "\n" not in found


@pytest.mark.parametrize(
    "key,value,expected",
    [
        ("hone.deadlin_ms", "1", 'unknown key "hone.deadlin_ms", did you mean "hone.deadline_ms"?'),
        ("hone.", "1", 'unknown key "hone."'),
        ("hone.deadline_ms", "-1", "\"hone.deadline_ms\" is '-1', expected a number, 0 or above"),
        ("hone.deadline_ms", "nan", "expected a number"),
        ("hone.precision", "int8", "expected f32, bf16 or f16"),
        ("hone.reject_non_finite", "yes", "expected true or false"),
        ("hone.batch_tolerance", "1.5", "expected a share from 0 to 1"),
        ("hone.batch_tolerance", "-0.1", "expected a number, 0 or above"),
        ("hone.cuda_graphs", "1", "expected true or false"),
        ("hone.batch_buckets", "1,8", '"hone.batch_buckets" needs a max_batch_size above 0'),
        ("intra_op_thread_count", "two", "expected a whole number"),
        ("inter_op_thread_count", "-1", "expected a whole number"),
    ],
)
def test_refused_parameters(key: str, value: str, expected: str) -> None:
    """A parameter of ours that is misspelt or doesn't fit its type refuses the model."""
    assert expected in refusal(f'parameters {{ key: "{key}" value {{ string_value: "{value}" }} }}')


def test_ignored_fields_warn() -> None:
    """A field that changes no answer and isn't implemented is named in a warning, once, and the model is served."""
    text = """
    model_warmup { name: "a" } model_warmup { name: "b" }
    max_batch_size: 4 dynamic_batching { preserve_ordering: true }
    """

    assert parse_config(text, name="m").warnings == (
        "m/config.pbtxt: dynamic_batching.preserve_ordering isn't implemented and is ignored",
        "m/config.pbtxt: model_warmup isn't implemented and is ignored",
    )


@pytest.mark.parametrize("value", ["", "1,4", "1,8,4", "0,8", "4,4,8", "1;8", "1,8,", "1,9", "-1,8", "x,8"])
def test_buckets_rise_to_the_largest_batch(value: str) -> None:
    """Anything else is refused with what is expected."""
    text = f'max_batch_size: 8 parameters {{ key: "hone.batch_buckets" value {{ string_value: "{value}" }} }}'
    with pytest.raises(ArtifactError, match=r"rising numbers of rows, the last of them max_batch_size \(8\)"):
        parse_config(text, name="m")


def test_buckets_are_numbers_of_rows() -> None:
    """Blanks between them are fine."""
    text = 'max_batch_size: 8 parameters { key: "hone.batch_buckets" value { string_value: "1, 4,8" } }'
    assert (1, 4, 8) == parse_config(text, name="m").hone.batch_buckets


def test_zero_means_not_said() -> None:
    """A deadline or thread count of 0 is the same as none, as in Triton."""
    text = "".join(
        f'parameters {{ key: "{key}" value {{ string_value: "0" }} }}'
        for key in ("hone.deadline_ms", "intra_op_thread_count")
    )
    hone = parse_config(text, name="m").hone

    assert (None, None) == (hone.deadline_ms, hone.intra_op_threads)


def test_without_config_batchable() -> None:
    """Without a config, one symbolic first dimension shared by all tensors makes a model batchable."""
    config = complete(None, "m", IMAGES)

    assert ("m", "onnxruntime", 32) == (config.name, config.backend, config.max_batch_size)
    assert DynamicBatching() == config.dynamic_batching
    assert (spec("x", "UINT8", 1, 16, 16),) == config.inputs
    assert (spec("p", "FP32", 10),) == config.outputs


@pytest.mark.parametrize(
    "output", [spec("p", "FP32", "M", 10), spec("p", "FP32", -1, 10), spec("p", "FP32", 1, 10), spec("p", "FP32")]
)
def test_without_config_not_batchable(output: TensorSpec) -> None:
    """Without a config, any other first dimension means that requests are never joined, and shapes stay whole."""
    config = complete(None, "m", Signature(inputs=IMAGES.inputs, outputs=(output,)))

    assert (0, None) == (config.max_batch_size, config.dynamic_batching)
    assert (-1, 1, 16, 16) == config.inputs[0].shape
    assert output.shape == config.outputs[0].shape


def test_completed_in_part() -> None:
    """A config that leaves tensors out keeps what it says and takes the rest from the model."""
    text = 'max_batch_size: 4 output { name: "p" data_type: TYPE_FP32 dims: 10 label_filename: "labels.txt" }'
    config = complete(parse_config(text, name="m"), "m", IMAGES)

    assert (4, None) == (config.max_batch_size, config.dynamic_batching)
    assert (spec("x", "UINT8", 1, 16, 16),) == config.inputs
    assert {"p": "labels.txt"} == config.label_filenames
    assert config.to_json()["input"][0]["dims"] == [1, 16, 16]


@pytest.mark.parametrize(
    "text,expected",
    [
        (
            'max_batch_size: 8 input { name: "x" data_type: TYPE_FP32 dims: [ 1, 16, 16 ] }',
            'm/config.pbtxt: input "x": config says FP32, the model has UINT8',
        ),
        (
            'max_batch_size: 8 output { name: "p" data_type: TYPE_FP32 dims: 11 }',
            'm/config.pbtxt: output "p": config says shape [-1, 11], the model has [-1, 10]',
        ),
        (
            'max_batch_size: 8 output { name: "p" data_type: TYPE_FP32 dims: -1 }',
            'm/config.pbtxt: output "p": config says shape [-1, -1], the model has [-1, 10]',
        ),
        (
            'max_batch_size: 8 output { name: "p" data_type: TYPE_FP32 dims: [ 10, 1 ] }',
            "config says shape [-1, 10, 1], the model has [-1, 10]",
        ),
        (
            'max_batch_size: 8 output { name: "probs" data_type: TYPE_FP32 dims: 10 }',
            'm/config.pbtxt: output "probs": the model has no such output',
        ),
    ],
)
def test_mismatch(text: str, expected: str) -> None:
    """Where config and model differ, the error names the tensor and says what both say."""
    assert expected in refusal(text)


def test_mismatch_without_batch_axis() -> None:
    """A fixed first dimension can't be a batch axis."""
    fixed = Signature(inputs=(spec("x", "FP32", 1, 4),), outputs=(spec("p", "FP32", 1, 2),))

    assert "the model's shape [1, 4] has no batch axis" in refusal("max_batch_size: 8", fixed)


def test_every_input_must_be_named() -> None:
    """A config that names some inputs must name all of them; outputs may be fewer."""
    two = Signature(
        inputs=(*IMAGES.inputs, spec("y", "FP32", "N", 2)), outputs=(*IMAGES.outputs, spec("q", "FP32", "N"))
    )
    text = 'max_batch_size: 8 input { name: "x" data_type: TYPE_UINT8 dims: [1, 16, 16] }'
    one_output = 'max_batch_size: 8 output { name: "p" data_type: TYPE_FP32 dims: 10 }'

    assert refusal(text, two) == 'm/config.pbtxt: input "y" of the model is missing'
    check_against(complete(parse_config(one_output, name="m"), "m", two), two)


def test_open_dims_of_the_model_may_be_fixed() -> None:
    """Where the model leaves a size open, the config may fix it."""
    signature = Signature(inputs=(spec("x", "FP32", "N", "T"),), outputs=(spec("p", "FP32", "N", 2),))
    text = 'max_batch_size: 8 input { name: "x" data_type: TYPE_FP32 dims: 7 }'

    assert (7,) == complete(parse_config(text, name="m"), "m", signature).inputs[0].shape


def test_unreadable_file(tmp_path: Path) -> None:
    """A file that isn't text is named without its path on disk."""
    path = tmp_path / "config.pbtxt"
    path.write_bytes(b"\xff\xfe")

    with pytest.raises(ArtifactError) as caught:
        read_config(path, name="m")
    assert str(caught.value) == "m/config.pbtxt: can't be read as text"


@given(st.text(max_size=200) | st.text(alphabet='{}[]":,nameiputd0 \n', max_size=200))
def test_any_text_parses_or_is_refused_in_one_line(text: str) -> None:
    """No text makes the reader fail in another way than ArtifactError, with one line."""
    try:
        lines = repr(parse_config(text, name="m"))
    except ArtifactError as error:
        lines = str(error)

    assert "\n" not in lines


@pytest.mark.parametrize(
    "text,words",
    [
        ("input { data_type: 4294967296 }", "m/config.pbtxt: Value out of range: 4294967296"),
        ('platform: "a\\nb"', "a\\nb"),
        (f'platform: "{"a" * 100_000}"', "aaa..."),
    ],
    ids=["number", "two lines", "long"],
)
def test_what_a_text_holds_stays_in_a_short_line(text: str, words: str) -> None:
    """A configuration may come from a client, and what is said of it goes into logs and headers."""
    with pytest.raises(ArtifactError) as caught:
        parse_config(text, name="m", source="m/config.pbtxt")
    assert words in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 2100


@given(st.lists(st.integers(1, 50), unique=True), st.integers(1, 5))
def test_version_policy(versions: list[int], latest: int) -> None:
    """Candidates come newest first, and a specific policy lets through only what it names."""
    assert VersionPolicy(latest=latest).candidates(versions) == sorted(versions, reverse=True)
    assert VersionPolicy(latest=None, specific=(2, 7)).candidates(versions) == [v for v in (7, 2) if v in versions]
