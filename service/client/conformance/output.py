"""An output tensor as an answer has it, and whether two answers have the same."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from service.client.conformance.expectation import CheckFailed, expect
from service.datatypes import BYTES, NUMPY_DTYPES, decode_bytes, item_bytes, numbers

_RELATIVE, _ABSOLUTE = 1e-3, 1e-5
"""Floats may differ so far: batches of other sizes are computed in another order, and JSON may round."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Output:
    """`values` are flat: bool, int, float or bytes. `is_binary` when they came as bytes."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    values: list[Any]
    is_binary: bool = False

    @property
    def elements(self) -> int:
        """How many the shape says."""
        return math.prod(self.shape)


def from_json(entry: dict[str, Any]) -> Output:
    """An output whose values stand in JSON, nested or flat. Raises CheckFailed."""
    name, datatype, shape = described(entry)
    data = entry.get("data")
    expect(isinstance(data, list), f'output "{name}": expected "data" to be a list, got {entry}'[:300])
    values = [value.encode() if isinstance(value, str) else value for value in leaves(data)]
    return Output(name=name, datatype=datatype, shape=shape, values=values)


def from_raw(name: str, datatype: str, shape: tuple[int, ...], raw: bytes) -> Output:
    """An output whose values came as bytes. Raises CheckFailed when they don't fit its datatype and shape."""
    expect(datatype in NUMPY_DTYPES, f'output "{name}": "{datatype}" isn\'t a datatype of the protocol')
    count = math.prod(shape)
    if datatype == BYTES:
        try:
            found: list[Any] = list(decode_bytes(raw, count))
        except ValueError as error:
            raise CheckFailed(f'output "{name}": {error}') from None
    else:
        wanted = count * item_bytes(datatype)
        expect(
            len(raw) == wanted, f'output "{name}": {datatype} of shape {list(shape)} is {wanted} bytes, not {len(raw)}'
        )
        found = numbers(datatype, np.frombuffer(raw, NUMPY_DTYPES[datatype])).tolist()
    return Output(name=name, datatype=datatype, shape=shape, values=found, is_binary=True)


def described(entry: dict[str, Any]) -> tuple[str, str, tuple[int, ...]]:
    """Name, datatype and shape of an output's JSON. Raises CheckFailed."""
    name, datatype, shape = entry.get("name"), entry.get("datatype"), entry.get("shape")
    if not isinstance(name, str) or not isinstance(datatype, str):
        raise CheckFailed(f"expected an output with name and datatype, got {entry}"[:300])
    if not isinstance(shape, list) or not all(type(axis) is int and axis >= 0 for axis in shape):
        raise CheckFailed(f'output "{name}": expected a shape of integers from 0 on, got {shape}')
    return name, datatype, tuple(shape)


def leaves(data: object) -> Iterator[Any]:
    """The elements of a list of lists, in row-major order."""
    if isinstance(data, list):
        for part in data:
            yield from leaves(part)
    else:
        yield data


def expect_same(expected: Sequence[Output], found: Sequence[Output], what: str) -> None:
    """Raise CheckFailed unless both have the same tensors, in any order."""
    names, others = sorted(one.name for one in expected), sorted(one.name for one in found)
    expect(names == others, f"{what}: expected the outputs {names}, got {others}")
    by_name = {one.name: one for one in found}
    for one in expected:
        expect_equal(one, by_name[one.name], what)


def expect_equal(expected: Output, found: Output, what: str) -> None:
    """Raise CheckFailed unless datatype, shape and values are the same, floats nearly."""
    told = f'{what}: output "{expected.name}"'
    expect(expected.datatype == found.datatype, f"{told}: expected {expected.datatype}, got {found.datatype}")
    expect(expected.shape == found.shape, f"{told}: expected shape {list(expected.shape)}, got {list(found.shape)}")
    expect(
        len(expected.values) == len(found.values),
        f"{told}: expected {len(expected.values)} elements, got {len(found.values)}",
    )
    scale = max((abs(one) for one in expected.values if type(one) is float and math.isfinite(one)), default=0.0)
    for index, (one, other) in enumerate(zip(expected.values, found.values, strict=True)):
        expect(_is_near(one, other, scale), f"{told}: element {index} was {one!r}, now it is {other!r}")


def _is_near(one: Any, other: Any, scale: float) -> bool:
    if isinstance(one, float) or isinstance(other, float):
        try:
            return bool(np.isclose(float(one), float(other), _RELATIVE, _ABSOLUTE + 1e-4 * scale, equal_nan=True))
        except (TypeError, ValueError):
            return False
    return bool(one == other)
