"""From a configuration to what a worker is told, by the device that it is on."""

import pytest

from service.artifact.config import parse_config
from service.artifact.signature import Signature, TensorSpec
from service.backends.plan import Plan
from service.engine.blueprint import Blueprint
from service.engine.device import Placement
from service.engine.source import EngineLimits, ModelSource
from service.errors import ArtifactError

CPU, GPU = Placement(device="cpu", threads=2), Placement(device="cuda:1", threads=1)
GRAPHS = 'parameters { key: "hone.cuda_graphs" value { string_value: "true" } }'
BUCKETS = 'parameters { key: "hone.batch_buckets" value { string_value: "2,6" } }'


def blueprint(text: str) -> Blueprint:
    config = parse_config(text, name="m")
    source = ModelSource(name="m", version="1", path="m", size_bytes=1, sha256="", config=config, card=None)
    return Blueprint(source, EngineLimits(worker_nice=7))


def signature(*dims: int | str) -> Signature:
    return Signature(
        inputs=(TensorSpec(name="x", datatype="FP16", dims=("N", *dims)),),
        outputs=(TensorSpec(name="y", datatype="FP16", dims=("N", 2)),),
    )


def planned(text: str, placement: Placement) -> Plan:
    made = blueprint(text)
    return made.resolve(made.inspection(placement), signature(3))


def test_graphs_are_for_gpus_and_have_buckets() -> None:
    """Powers of two up to the largest batch, or what the configuration says; a CPU is told of neither."""
    plan = planned(f"max_batch_size: 6 {GRAPHS}", GPU)
    assert (True, (1, 2, 4, 6), (6, 4, 2, 1)) == (plan.cuda_graphs, plan.batch_buckets, plan.warm_batches)
    assert (2, 6) == planned(f"max_batch_size: 6 {GRAPHS} {BUCKETS}", GPU).batch_buckets
    plan = planned(f"max_batch_size: 6 {GRAPHS}", CPU)
    assert (False, (), (1, 6)) == (plan.cuda_graphs, plan.batch_buckets, plan.warm_batches)


def test_buckets_are_for_every_device() -> None:
    """All of them are warmed, the largest first."""
    for placement in (CPU, GPU):
        plan = planned(f"max_batch_size: 6 {BUCKETS}", placement)
        assert (False, (2, 6), (6, 2)) == (plan.cuda_graphs, plan.batch_buckets, plan.warm_batches)


def test_a_graph_needs_fixed_shapes() -> None:
    """A model whose lengths vary is refused with the tensor's name, on whichever device it is tried first."""
    made = blueprint(f"max_batch_size: 6 {GRAPHS}")

    with pytest.raises(ArtifactError, match='needs fixed shapes, "x" has one that varies'):
        made.resolve(made.inspection(CPU), signature("T"))


def test_workers_on_the_cpu_are_polite_and_those_that_feed_a_gpu_are_not() -> None:
    """A GPU waits for the little that its worker computes; on the CPU the server's loop has to stay quick."""
    assert (7, 0) == (planned("max_batch_size: 6", CPU).nice, planned("max_batch_size: 6", GPU).nice)


def test_a_gpu_is_given_a_batch_while_it_computes_one() -> None:
    """So that it doesn't wait for the front between two."""
    assert (1, 2) == (planned("max_batch_size: 6", CPU).in_flight, planned("max_batch_size: 6", GPU).in_flight)
