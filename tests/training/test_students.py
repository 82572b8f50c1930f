"""Which student a share means, and which are known to be good before any is tried."""

from dataclasses import replace
from typing import Any

import pytest

from service.errors import SettingsError
from training.compression.search.design import Network
from training.networks.resnet import ResNetConfig, multiply_adds
from training.steps.students import Students

TEACHER = ResNetConfig(widths=(64, 64, 96))
GOOD = ResNetConfig(widths=(16, 32, 48), inner=(16, 32, 32))
SIDE = 16


def cost(config: Any) -> float:
    """Multiplications for one image."""
    return multiply_adds(config, SIDE)


def student(share: float, remedy: str = "") -> Network:
    """A narrow one."""
    return Network(route="student", share=share, remedy=remedy)


def students(*named: ResNetConfig) -> Students:
    """Of the teacher here."""
    return Students(teacher=TEACHER, cost=cost, named=named, shallow=True)


def test_a_shape_that_is_named_is_taken_at_the_share_near_it() -> None:
    """As it stands, with a remedy too; other shares are what they were."""
    told = students(GOOD)
    assert {student(0.12): GOOD} == told.first
    assert GOOD == told.config(student(0.12, remedy="hinted")) == told.config(student(0.12))
    assert told.config(student(0.5)) == students().config(student(0.5))


def test_a_shape_between_those_shares_has_its_own() -> None:
    """What is tried first is the largest."""
    wide = replace(TEACHER, widths=(32, 48, 80))
    told = students(GOOD, wide)
    assert [pytest.approx(cost(wide) / cost(TEACHER), rel=0.01), 0.12] == [one.share for one in told.first]
    assert next(iter(told.first)).between
    assert wide == told.config(next(iter(told.first)))


def test_what_comes_to_a_named_one_is_not_tried_again() -> None:
    """It is told which one that is."""
    told = students(students().config(student(0.5)))
    with pytest.raises(SettingsError, match=r"student57: would be the same network as student50"):
        told.config(student(0.57))


def test_a_named_one_must_be_smaller() -> None:
    """As large is refused, before anything learns."""
    with pytest.raises(SettingsError, match="students: must take fewer multiplications"):
        students(TEACHER).config(student(0.5))
