"""Tokens of a device, and where instances are placed."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.artifact.config import parse_config
from service.engine.device import OWNED, Device, Devices, Placement, usable_cores


class Claimer:
    """A Claimant that counts what it holds."""

    def __init__(self, cost: int, backlog: float = 0.0) -> None:
        self.cost = cost
        self.backlog = backlog
        self.held = 0

    def granted(self) -> None:
        self.held += 1


def test_a_device_is_a_claimant_s_own_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once nobody else has used it for some seconds, until somebody else wants it."""
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    device, one, other = Device(1), Claimer(1), Claimer(1)
    assert device.claim(other)
    device.release(other)
    assert device.claim(one)
    assert not device.is_owned(one)
    now = OWNED + 1
    assert device.is_owned(one)
    assert not device.is_owned(other)

    assert not device.claim(other)
    assert not device.is_owned(one)
    device.release(one)
    assert not device.is_owned(one)
    device.withdraw(other)
    assert not device.is_owned(other)


@given(st.integers(1, 4), st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=60))
def test_tokens_are_never_overdrawn_nor_lost(tokens: int, steps: list[tuple[int, bool]]) -> None:
    """Whatever is claimed and released in whatever order, holders never exceed the capacity, and nobody starves."""
    device = Device(tokens)
    claimers = [Claimer(cost) for cost in (1, 1, 2, 9)]
    for who, claims in steps:
        claimer = claimers[who]
        if claims and claimer not in device._waiting:
            claimer.held += device.claim(claimer)
        elif not claims and claimer.held:
            claimer.held -= 1
            device.release(claimer)
        assert sum(c.held * min(c.cost, tokens) for c in claimers) + device._free == tokens
        assert device._free >= 0
    for _ in range(100):
        for claimer in claimers:
            if claimer.held:
                claimer.held -= 1
                device.release(claimer)
    assert tokens == device._free
    assert not device._waiting


def test_who_has_had_least_is_granted_first() -> None:
    """Of two that wait, the one that used the device less goes first, though it came later and needs more of it."""
    device = Device(2)
    busy, quiet = Claimer(1), Claimer(2)
    assert device.claim(busy)
    device.release(busy, 5.0)
    holder = Claimer(2)
    assert device.claim(holder)
    assert not device.claim(busy)
    assert not device.claim(quiet)

    device.release(holder, 1.0)
    assert (1, 0) == (quiet.held, busy.held)

    device.release(quiet, 1.0)
    assert 1 == busy.held


@given(st.lists(st.floats(0.01, 1.0), min_size=2, max_size=5))
def test_everybody_who_always_waits_gets_as_much_of_the_device(times: list[float]) -> None:
    """Models with batches of any length, all of them flooded, get the same time of the device, give or take a batch."""
    device = Device(1)
    claimers = [Claimer(1) for _ in times]
    had = dict.fromkeys(claimers, 0.0)
    length = dict(zip(claimers, times, strict=True))
    for claimer in claimers:
        claimer.held += device.claim(claimer)
    for _ in range(300):
        (running,) = [claimer for claimer in claimers if claimer.held]
        running.held = 0
        device.claim(running)
        device.release(running, length[running])
        had[running] += length[running]

    assert max(had.values()) - min(had.values()) <= 2 * max(times)


def test_who_pauses_saves_nothing_up() -> None:
    """A model that comes back is next, and then takes turns: it doesn't get what it left to others meanwhile."""
    device = Device(1)
    busy, back = Claimer(1), Claimer(1)
    for _ in range(50):
        assert device.claim(busy)
        device.release(busy, 1.0)
    assert device.claim(busy)
    busy.held = 1
    order: list[Claimer] = []
    device.claim(back)
    for _ in range(8):
        running = busy if busy.held else back
        running.held = 0
        device.claim(running)
        device.release(running, 1.0)
        order.append(busy if busy.held else back)

    assert order[0] is back
    assert 4 == order.count(back)


def test_a_prediction_counts_as_much_of_others_as_of_oneself() -> None:
    """Another model's backlog delays by no more than one's own computing takes, since turns are fair."""
    device = Device(2)
    flooded, short, mine = Claimer(2, backlog=60.0), Claimer(1, backlog=0.1), Claimer(2)
    assert device.claim(flooded)
    device.claim(short)

    assert 0.5 + 0.1 / 2 == pytest.approx(device.delay(mine, 0.5))
    assert 0.0 == Device(2).delay(mine, 0.5)


def test_who_withdraws_lets_the_next_go() -> None:
    """A claimant that is unloaded while it waits doesn't block the others."""
    device = Device(1)
    holder, gone, other = Claimer(1), Claimer(1), Claimer(1)
    device.claim(holder)
    device.claim(gone)
    device.claim(other)

    device.withdraw(gone)
    device.release(holder)

    assert (0, 1) == (gone.held, other.held)


@pytest.mark.parametrize(
    "config, gpus, placements",
    [
        ("", 0, [[Placement(device="cpu", threads=4)]]),
        ("instance_group [ { count: 2 kind: KIND_CPU } ]", 0, [[Placement(device="cpu", threads=2)] * 2]),
        ("instance_group [ { count: 9 kind: KIND_CPU } ]", 0, [[Placement(device="cpu", threads=1)] * 9]),
        ("", 1, [[Placement(device="cuda:0", threads=1)]]),
        ("", 2, [[Placement(device="cuda:0", threads=1)], [Placement(device="cuda:1", threads=1)]]),
        ("instance_group [ { kind: KIND_GPU } ]", 0, [[Placement(device="cuda:0", threads=1)]]),
        ("instance_group [ { kind: KIND_GPU gpus: [ 1 ] } ]", 0, [[Placement(device="cuda:1", threads=1)]]),
        (
            "instance_group [ { count: 2 kind: KIND_GPU gpus: [ 0, 1 ] }, { count: 2 kind: KIND_CPU } ]",
            2,
            [
                [Placement(device="cuda:0", threads=1)] * 2,
                [Placement(device="cuda:1", threads=1)] * 2,
                [Placement(device="cpu", threads=2)] * 2,
            ],
        ),
        (
            'parameters { key: "intra_op_thread_count" value: { string_value: "3" } }',
            0,
            [[Placement(device="cpu", threads=3)]],
        ),
    ],
)
def test_instances_are_placed_as_configured(config: str, gpus: int, placements: list[list[Placement]]) -> None:
    """Counts, kinds and thread numbers of the configuration win; otherwise instances share the cores, and every GPU has
    some.
    """
    parsed = parse_config(f'backend: "onnxruntime" {config}', name="m")

    assert placements == Devices(cores=4, gpus=gpus).place(parsed)


@pytest.mark.parametrize(
    "files,most",
    [
        ({"cpu.max": "100000 100000\n"}, 1),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu.max": "6400000 100000\n"}, 64),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu.max": "nonsense\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "150000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({}, None),
    ],
)
def test_a_containers_quota_bounds_the_cores(tmp_path: Path, files: dict[str, str], most: int | None) -> None:
    """A quota of one core gives one token on any host; without a quota, or a readable one, the affinity counts."""
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)

    cores = len(os.sched_getaffinity(0))
    assert (cores if most is None else min(cores, most)) == usable_cores(tmp_path)


@pytest.mark.parametrize(
    "text,gpus,warned",
    [
        ("", 0, True),
        ("", 1, False),
        ("instance_group { kind: KIND_CPU }", 1, True),
        ("instance_group [ { kind: KIND_CPU }, { kind: KIND_GPU } ]", 1, False),
        ("instance_group { kind: KIND_GPU }", 0, False),  # refused
    ],
)
def test_graphs_need_an_instance_on_a_gpu(text: str, gpus: int, *, warned: bool) -> None:
    """Asked for where none of the model's instances is, they are named in a warning; a model without them has none."""
    graphs = 'parameters { key: "hone.cuda_graphs" value { string_value: "true" } }'
    devices = Devices(cores=4, gpus=gpus)
    warnings = devices.review(parse_config(graphs + text, name="m"))

    assert ["m/config.pbtxt: hone.cuda_graphs is ignored: no instance is on a GPU"] * warned == list(warnings)
    assert () == devices.review(parse_config(text, name="m")) == devices.review(None)
