"""How a configuration lets requests be the steps of a sequence: Triton's `sequence_batching`.

A step has inputs that no client sends: *controls* (is it the first, the last, of which sequence) and *states*, which
are outputs of the step before.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from service.artifact.batching import DynamicBatching
from service.artifact.signature import TensorSpec
from service.errors import ArtifactError

IDLE_MICROSECONDS = 1_000_000
"""How long a sequence may be idle where the configuration doesn't say."""
CORRELATION_DATATYPES = ("UINT64", "INT64", "UINT32", "INT32", "BYTES")

ControlKind: TypeAlias = Literal["start", "end", "ready", "corrid"]

_KINDS: dict[str, ControlKind] = {
    "CONTROL_SEQUENCE_START": "start",
    "CONTROL_SEQUENCE_END": "end",
    "CONTROL_SEQUENCE_READY": "ready",
    "CONTROL_SEQUENCE_CORRID": "corrid",
}
_VALUES = {"int32_false_true": "INT32", "fp32_false_true": "FP32", "bool_false_true": "BOOL"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Control:
    """An input of one element, [1] for each row: `values` are what stands for no and for yes; none for `corrid`."""

    kind: ControlKind
    input: TensorSpec
    values: tuple[float, float] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class State:
    """An output of one step that is an input of the next. Dims are without the batch axis, as those of other tensors.

    A sequence begins with `initial_dims`, filled with zeros, or with what the file `data_file` holds.
    """

    input: TensorSpec
    output: TensorSpec
    initial_dims: tuple[int, ...]
    data_file: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class SequenceBatching:
    """Requests are steps of sequences. An instance has `slots` for sequences in progress; others wait for one.

    `joining` says how steps of different sequences become batches.
    """

    idle_microseconds: int
    slots: int
    controls: tuple[Control, ...]
    states: tuple[State, ...]
    joining: DynamicBatching = field(default_factory=DynamicBatching)

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What no client sends: the controls, then the states."""
        return (*(control.input for control in self.controls), *(state.input for state in self.states))

    @property
    def names(self) -> frozenset[str]:
        """Those of all tensors that no client sees, unless the configuration lists them."""
        return frozenset([spec.name for spec in (*self.inputs, *(state.output for state in self.states))])


def read_sequence_batching(
    written: Any, *, max_batch_size: int, datatypes: Mapping[int, str], source: str
) -> SequenceBatching:
    """What the message `ModelSequenceBatching` says, checked; Triton's defaults are written into it.

    `datatypes` are the protocol's names by their numbers in the message. Raises ArtifactError naming the field.
    """
    source = f"{source}: sequence_batching"
    written.max_sequence_idle_microseconds = written.max_sequence_idle_microseconds or IDLE_MICROSECONDS
    if written.WhichOneof("strategy_choice") is None:
        written.direct.SetInParent()
    oldest, direct = written.oldest, written.direct
    preferred = tuple(sorted(set(oldest.preferred_batch_size)))
    if preferred and not 1 <= preferred[0] <= preferred[-1] <= max_batch_size:
        raise ArtifactError(f"{source}: preferred_batch_size must lie between 1 and max_batch_size")
    if oldest.max_candidate_sequences < 0:
        raise ArtifactError(f"{source}: max_candidate_sequences is {oldest.max_candidate_sequences}, below 0")
    found = SequenceBatching(
        idle_microseconds=written.max_sequence_idle_microseconds,
        slots=oldest.max_candidate_sequences or max(max_batch_size, 1),
        controls=tuple(_controls(written.control_input, datatypes, source)),
        states=tuple(_state(state, datatypes, source) for state in written.state),
        joining=DynamicBatching(
            max_queue_delay_microseconds=oldest.max_queue_delay_microseconds or direct.max_queue_delay_microseconds,
            preferred_batch_size=preferred,
        ),
    )
    _check_names(found, source)
    return found


def _controls(written: Iterable[Any], datatypes: Mapping[int, str], source: str) -> Iterable[Control]:
    for item in written:
        place = f'{source}: control_input "{item.name}"'
        if len(item.control) != 1:
            raise ArtifactError(f"{place}: has {len(item.control)} controls, expected one")
        kind = _KINDS[item.control[0].Kind.Name(item.control[0].kind)]
        values, datatype = (None, "") if kind == "corrid" else _values(item.control[0], place)
        if kind == "corrid":
            datatype = datatypes.get(item.control[0].data_type, "")
            if datatype not in CORRELATION_DATATYPES:
                raise ArtifactError(f"{place}: data_type must be one of {', '.join(CORRELATION_DATATYPES)}")
        yield Control(kind=kind, input=TensorSpec(name=item.name, datatype=datatype, dims=(1,)), values=values)


def _values(control: Any, place: str) -> tuple[tuple[float, float], str]:
    """What stands for no and yes, and the datatype that this makes the input."""
    given = {name: list(getattr(control, name)) for name in _VALUES if getattr(control, name)}
    if len(given) != 1:
        raise ArtifactError(f"{place}: expected exactly one of {', '.join(_VALUES)}")
    ((name, values),) = given.items()
    if len(values) != 2:
        raise ArtifactError(f"{place}: {name} has {len(values)} values, expected two")
    return (float(values[0]), float(values[1])), _VALUES[name]


def _state(written: Any, datatypes: Mapping[int, str], source: str) -> State:
    place = f'{source}: state "{written.input_name}"'
    datatype = datatypes.get(written.data_type, "INVALID")
    if not written.input_name or not written.output_name:
        raise ArtifactError(f"{place}: input_name and output_name must both be given")
    if datatype == "INVALID":
        raise ArtifactError(f"{place}: data_type is missing")
    if any(dim < -1 or dim == 0 for dim in written.dims):
        raise ArtifactError(f"{place}: dims are {list(written.dims)}, expected numbers above 0, or -1")
    initial, data_file = _initial(written, datatype, datatypes, place)
    return State(
        input=TensorSpec(name=written.input_name, datatype=datatype, dims=tuple(written.dims)),
        output=TensorSpec(name=written.output_name, datatype=datatype, dims=tuple(written.dims)),
        initial_dims=initial,
        data_file=data_file,
    )


def _initial(written: Any, datatype: str, datatypes: Mapping[int, str], place: str) -> tuple[tuple[int, ...], str]:
    """The shape of the initial state, in which what varies is 1 where nothing is said, and the file that holds it."""
    if not written.initial_state:
        return tuple(1 if dim == -1 else dim for dim in written.dims), ""
    if len(written.initial_state) > 1:
        raise ArtifactError(f"{place}: has {len(written.initial_state)} initial states, expected one")
    (initial,) = written.initial_state
    dims, data_file = tuple(initial.dims), initial.data_file
    if initial.data_type and datatypes.get(initial.data_type) != datatype:
        raise ArtifactError(f"{place}: the initial state's data_type differs from the state's, {datatype}")
    if any(dim < 1 for dim in dims):
        raise ArtifactError(f"{place}: the initial state's dims are {list(dims)}, expected numbers above 0")
    fits = len(dims) == len(written.dims) and all(d in (-1, i) for d, i in zip(written.dims, dims, strict=True))
    if not fits:
        raise ArtifactError(f"{place}: the initial state's dims are {list(dims)}, the state has {list(written.dims)}")
    if not data_file and not initial.zero_data:
        raise ArtifactError(f"{place}: the initial state needs zero_data: true or a data_file")
    if data_file and ("/" in data_file or "\\" in data_file or data_file in (".", "..")):
        raise ArtifactError(f"{place}: data_file {data_file!r} must be a file name in the model's initial_state folder")
    return dims, data_file


def _check_names(found: SequenceBatching, source: str) -> None:
    kinds = [control.kind for control in found.controls]
    for kind in kinds:
        if kinds.count(kind) > 1:
            raise ArtifactError(f"{source}: two control inputs are for the {kind} of a sequence")
    for role, names in (
        ("input", [spec.name for spec in found.inputs]),
        ("output", [state.output.name for state in found.states]),
    ):
        for name in names:
            if not name or names.count(name) > 1:
                raise ArtifactError(f'{source}: {role} "{name}" {"is used twice" if name else "has no name"}')
