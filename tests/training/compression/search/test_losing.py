"""Integers that gained nothing: which of them are explained."""

from training.compression.search.design import Design, Network
from training.compression.search.front import losing
from training.compression.search.trial import Trial
from training.gain import Gain
from training.runtime import OPENVINO, Runtime

USUAL = Design().runtime


def trial(latency: float, numbers: str, runtime: Runtime = USUAL, network: Network | None = None) -> Trial:
    """One that lost nothing."""
    gain = Gain(size=3, compute=latency, latency=latency, throughput=1)
    design = Design(numbers=numbers, runtime=runtime, network=network or Network())
    return Trial(design=design, score=0.9, drop=0.0, gain=gain)


def names(*trials: Trial) -> list[str]:
    return [one.name for one in losing(trials, "latency")]


def test_the_best_integers_of_each_runtime_are_explained_if_they_gain_nothing() -> None:
    """Of the teacher; smaller networks, and numbers that are no integers, have their own reasons."""
    slow = [trial(0.7, "static"), trial(0.8, "dynamic"), trial(0.2, "static", OPENVINO), trial(0.5, "weights8")]
    failed = Trial(design=Design(numbers="static_tensor"), failed="it crashed")
    assert ["teacher-dynamic", "teacher-static-openvino"] == names(*slow, failed)
    assert ["teacher-static-openvino"] == names(*slow, trial(1.2, "static_tensor"))
    assert [] == names(trial(0.5, "static", network=Network(route="student", share=0.5)))
