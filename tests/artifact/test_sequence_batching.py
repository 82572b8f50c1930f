"""What a configuration says of sequences."""

from pathlib import Path

import pytest

from service.artifact.config import ModelConfig, complete, parse_config
from service.artifact.initial_state import read_initial_state
from service.artifact.sequence_batching import IDLE_MICROSECONDS
from service.artifact.signature import Signature, TensorSpec
from service.errors import ArtifactError

STATE = 'state [ { input_name: "h" output_name: "h_out" data_type: TYPE_FP32 dims: [ 8 ] %s } ]'
FULL = """
max_batch_size: 4
sequence_batching {
  max_sequence_idle_microseconds: 2000000
  oldest { max_candidate_sequences: 10 preferred_batch_size: [ 2, 4 ] max_queue_delay_microseconds: 100 }
  control_input [
    { name: "START" control [ { kind: CONTROL_SEQUENCE_START fp32_false_true: [ 0, 1 ] } ] },
    { name: "END" control [ { kind: CONTROL_SEQUENCE_END int32_false_true: [ -1, 7 ] } ] },
    { name: "READY" control [ { kind: CONTROL_SEQUENCE_READY bool_false_true: [ false, true ] } ] },
    { name: "CORRID" control [ { kind: CONTROL_SEQUENCE_CORRID data_type: TYPE_UINT64 } ] }
  ]
  state [ { input_name: "h" output_name: "h_out" data_type: TYPE_FP32 dims: [ -1, 8 ] } ]
}
"""


def batching(text: str, most: int = 4) -> ModelConfig:
    return parse_config(f"max_batch_size: {most}\nsequence_batching {{ {text} }}", name="m")


def test_all_that_can_be_said() -> None:
    """Controls and states with their datatypes, the slots, and how steps are joined."""
    config = parse_config(FULL, name="m")
    found = config.sequence_batching
    assert found

    assert (2_000_000, 10) == (found.idle_microseconds, found.slots)
    assert [
        ("start", "FP32", (0, 1)),
        ("end", "INT32", (-1, 7)),
        ("ready", "BOOL", (0, 1)),
        ("corrid", "UINT64", None),
    ] == [(control.kind, control.input.datatype, control.values) for control in found.controls]
    assert [(-1, 8)] == [state.input.dims for state in found.states]
    assert (1, 8) == found.states[0].initial_dims
    assert config.joining
    assert ((2, 4), 100) == (config.joining.preferred_batch_size, config.joining.max_queue_delay_microseconds)
    assert () == config.warnings


def test_what_is_left_out_is_as_triton_has_it() -> None:
    """A second of idleness, the direct strategy, a slot for each row of a batch; and the config route says so."""
    config = batching("")
    found = config.sequence_batching
    assert found

    assert (IDLE_MICROSECONDS, 4) == (found.idle_microseconds, found.slots)
    written = config.to_json()["sequence_batching"]
    assert IDLE_MICROSECONDS == written["max_sequence_idle_microseconds"]
    assert "direct" in written


def test_without_a_batch_axis_there_is_a_single_slot() -> None:
    """And steps aren't joined."""
    config = batching("", most=0)
    assert config.sequence_batching

    assert 1 == config.sequence_batching.slots
    assert config.joining is None


@pytest.mark.parametrize(
    "text, problem",
    [
        ('control_input [ { name: "S" } ]', 'control_input "S": has 0 controls, expected one'),
        ('control_input [ { name: "S" control [ { } ] } ]', "expected exactly one of int32_false_true"),
        (
            'control_input [ { name: "S" control [ { fp32_false_true: [ 0 ] } ] } ]',
            "fp32_false_true has 1 values, expected two",
        ),
        (
            'control_input [ { name: "S" control [ { fp32_false_true: [ 0, 1 ] int32_false_true: [ 0, 1 ] } ] } ]',
            "expected exactly one of",
        ),
        (
            'control_input [ { name: "C" control [ { kind: CONTROL_SEQUENCE_CORRID data_type: TYPE_FP32 } ] } ]',
            "data_type must be one of UINT64, INT64, UINT32, INT32, BYTES",
        ),
        (
            "\n".join(f'control_input {{ name: "{n}" control {{ fp32_false_true: [ 0, 1 ] }} }}' for n in "ST"),
            "two control inputs are for the start of a sequence",
        ),
        ('state [ { input_name: "h" data_type: TYPE_FP32 dims: [ 1 ] } ]', "input_name and output_name must both"),
        ('state [ { input_name: "h" output_name: "i" dims: [ 1 ] } ]', 'state "h": data_type is missing'),
        (
            'state [ { input_name: "h" output_name: "i" data_type: TYPE_FP32 dims: [ 0 ] } ]',
            r'state "h": dims are \[0\]',
        ),
        (STATE % "initial_state [ { dims: [ 8 ] } ]", "needs zero_data: true or a data_file"),
        (STATE % "initial_state [ { dims: [ 9 ] zero_data: true } ]", r"dims are \[9\], the state has \[8\]"),
        (STATE % "initial_state [ { dims: [ -1 ] zero_data: true } ]", r"dims are \[-1\], expected numbers above 0"),
        (
            STATE % "initial_state [ { data_type: TYPE_INT8 dims: [ 8 ] zero_data: true } ]",
            "data_type differs from the state's, FP32",
        ),
        (STATE % 'initial_state [ { dims: [ 8 ] data_file: "../x" } ]', "must be a file name"),
        (f"{STATE % ''} {STATE % ''}", 'input "h" is used twice'),
        ("oldest { preferred_batch_size: [ 9 ] }", "preferred_batch_size must lie between 1 and max_batch_size"),
        ("oldest { max_candidate_sequences: -1 }", "max_candidate_sequences is -1, below 0"),
        ("iterative_sequence: true", "iterative sequences aren't supported yet"),
    ],
)
def test_refused(text: str, problem: str) -> None:
    """With the name of what is wrong."""
    with pytest.raises(ArtifactError, match=problem):
        batching(text)


def test_what_a_sequence_adds_is_no_input_of_clients() -> None:
    """Inputs and outputs that the configuration leaves out are completed without it; the model has to have it."""
    config = batching(STATE % "")
    whole = Signature(
        inputs=(_fp32("x", "N", 3), _fp32("h", "N", 8)), outputs=(_fp32("y", "N", 3), _fp32("h_out", "N", 8))
    )
    completed = complete(config, "m", whole)

    assert (["x"], ["y"]) == ([one.name for one in completed.inputs], [one.name for one in completed.outputs])
    assert ["x", "h"] == [one.name for one in completed.model_inputs]
    assert ["y", "h_out"] == [one.name for one in completed.model_outputs]
    with pytest.raises(ArtifactError, match='output "h_out": the model has no such output'):
        complete(config, "m", Signature(inputs=whole.inputs, outputs=whole.outputs[:1]))
    with pytest.raises(ArtifactError, match="config says shape"):
        complete(config, "m", Signature(inputs=(whole.inputs[0], _fp32("h", "N", 9)), outputs=whole.outputs))


def test_an_initial_state_fills_its_dims(tmp_path: Path) -> None:
    """A file that is too short, or isn't there, is named."""
    config = batching(STATE % 'initial_state [ { dims: [ 8 ] data_file: "zero" } ]')
    assert config.sequence_batching
    (state,) = config.sequence_batching.states
    path = tmp_path / "zero"
    path.write_bytes(bytes(32))
    assert bytes(32) == read_initial_state(path, state, source="zero")

    path.write_bytes(bytes(31))
    with pytest.raises(ArtifactError, match=r"zero: has 31 bytes, FP32 \[8\] takes 32"):
        read_initial_state(path, state, source="zero")
    with pytest.raises(ArtifactError, match="gone: can't be read"):
        read_initial_state(tmp_path / "gone", state, source="gone")


def _fp32(name: str, *dims: str | int) -> TensorSpec:
    return TensorSpec(name=name, datatype="FP32", dims=dims)
