"""Integers that gained nothing: which of them are explained."""

from training.compression.search.design import Design, Network
from training.compression.search.front import losing
from training.compression.search.trial import Trial
from training.gain import Gain, Interval
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


def test_what_may_gain_nothing_is_explained_too() -> None:
    """Where the interval holds 1; what surely gains isn't."""

    def between(low: float, high: float) -> Trial:
        gain = Gain(size=3, compute=1.1, latency=1.1, throughput=1, intervals={"compute": Interval(low=low, high=high)})
        return Trial(design=Design(numbers="static"), score=0.9, drop=0.0, gain=gain)

    assert ["teacher-static"] == names(between(0.95, 1.3))
    assert [] == names(between(1.05, 1.3))
