"""Which variant is to have where the test part refutes what validation inputs said of the best."""

from tests.training.compression.search.doubles import trial
from training.compression.search.budget import Budget
from training.compression.search.front import choose, settle
from training.gain import ITSELF, Gain

TEACHER = trial("f32", 0.0, ITSELF)


def faster(times: float) -> Gain:
    return Gain(size=4.0, compute=times, latency=times, throughput=times)


BEST, GOOD, FAIR, WILD = (
    trial(name, drop, faster(times))
    for name, drop, times in (
        ("static", 0.004, 3.0),
        ("dynamic", 0.002, 2.0),
        ("weights8", 0.001, 1.5),
        ("weights4", 0.2, 6.0),
    )
)
TRIALS = (TEACHER, FAIR, GOOD, BEST, WILD)


def stands(*refuted: str, untested: str = "") -> dict[str, bool]:
    return {one.name: one.design.numbers not in refuted for one in TRIALS if one.design.numbers != untested}


def settled(stands: dict[str, bool], at_least: float = 1.0) -> tuple[str, bool, list[str]]:
    choice = settle(TRIALS, Budget(max_drop=0.01, at_least=at_least), stands)
    return choice.chosen.design.numbers, choice.met, [one.design.numbers for one in choice.refuted]


def test_what_isnt_refuted_is_what_was_chosen() -> None:
    """Whatever became of the others, and whether it meets the goal or not."""
    for at_least in (1.0, 10.0):
        budget = Budget(max_drop=0.01, at_least=at_least)
        assert choose(TRIALS, budget) == settle(TRIALS, budget, stands("dynamic", "weights4"))


def test_the_next_best_of_what_stands_is_chosen() -> None:
    """In the order of preference, however far it goes, and by what was tested alone."""
    assert ("dynamic", True, ["static"]) == settled(stands("static"))
    assert ("weights8", True, ["static", "dynamic"]) == settled(stands("static", "dynamic"))
    assert ("weights8", True, ["static"]) == settled(stands("static", untested="dynamic"))
    assert ("dynamic", True, ["static"]) == settled(stands(untested="static"))


def test_float_is_kept_where_it_meets_the_goal() -> None:
    """What loses too much isn't chosen, whether it stands or not."""
    everything = stands("static", "dynamic", "weights8")
    assert ("f32", True, ["static", "dynamic", "weights8"]) == settled(everything)


def test_where_nothing_that_stands_gains_enough_the_first_misses_the_goal() -> None:
    """The nearest is the same as without."""
    assert ("static", False, ["static"]) == settled(stands("static"), 2.5)
    assert ("static", False, ["static", "dynamic"]) == settled(stands("static", "dynamic"), 1.8)
    budget = Budget(max_drop=0.01, at_least=2.5)
    assert choose(TRIALS, budget).nearest == settle(TRIALS, budget, stands("static")).nearest == BEST
