"""The soak: its judgement of answers, counters and memory; and a short one of the real thing."""

import os
import subprocess
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from loadtests import soak_report, swap_report
from loadtests.soak import soak
from loadtests.soaking.ledger import LOST, OK, STALE, WRONG, Ledger
from loadtests.soaking.networks import FRAGILE, QUICK, SECOND, expected
from loadtests.soaking.scene import judge
from loadtests.soaking.scrapes import Scrapes
from loadtests.soaking.shelf import KEPT, Shelf
from loadtests.soaking.vitals import MIB, look, trend


@pytest.mark.slow
def test_a_short_soak_finds_nothing_wrong() -> None:
    """Every kind of client and trouble, for half a minute: every request ended once and as it may, the counters agree,
    and nothing is left of the services.
    """
    stages = soak(25, seed=5, pace=2.0, console=Console(quiet=True))
    found = soak_report.figures(stages, seconds=25, seed=5)

    assert [] == found["wrong"]
    ended = Counter[str]()
    for stage in stages:
        ended += stage.scene.ledger.kinds("steady") + stage.scene.ledger.kinds("poisonous")
        assert stage.troubles.done
    assert ended[OK] > 200
    assert ended["crashed_worker"]
    assert soak_report.section(found)


def test_an_answer_is_held_against_the_edition_that_it_names() -> None:
    """Another edition's numbers are wrong, and so is an edition that is older than what has answered before."""
    answer = expected("quick", 3)[5]

    assert OK == judge("quick", 5, answer, newest=3)[0]
    assert STALE == judge("quick", 5, answer, newest=4)[0]
    assert WRONG == judge("quick", 6, answer, newest=3)[0]
    assert WRONG == judge("quick", 5, np.append(answer[:-1], 4.0), newest=3)[0]
    assert WRONG == judge("quick", 5, answer[:-1], newest=3)[0]


def test_every_request_must_end_once_and_as_its_role_may() -> None:
    """What was sent and didn't end, ended twice, or ended in another way, is told with an example."""
    ledger = Ledger()
    ledger.begin("steady", "quick", 3)
    ledger.end("steady", "quick", OK, requests=2)
    assert ["steady sent 3 requests to quick, and 2 ended"] == ledger.violations({"steady": (OK,)})
    ledger.end("steady", "quick", LOST, text="reset by peer")
    assert ["1 requests of steady to quick ended with lost: reset by peer"] == ledger.violations({"steady": (OK,)})
    assert [] == ledger.violations({"steady": (OK, LOST)})


def scraped(ok: int, rejected: int, reason: int, ended: int, version: str = "1") -> str:
    labels = f'model="m",version="{version}"'
    return (
        f'hone_requests_total{{{labels},protocol="http",outcome="ok"}} {ok}.0\n'
        f'hone_requests_total{{{labels},protocol="http",outcome="rejected"}} {rejected}.0\n'
        f'hone_rejected_total{{{labels},reason="queue_full"}} {reason}.0\n'
        f"hone_request_duration_seconds_count{{{labels}}} {ended}.0\n"
        f"hone_pending_requests{{{labels}}} 0.0\n"
    )


def test_counters_are_added_up_over_versions_that_go() -> None:
    """A version's counters go with it and begin again when it comes back; what was seen of them stays counted."""
    scrapes = Scrapes()
    for text in (scraped(5, 1, 1, 5), scraped(7, 1, 1, 7), scraped(2, 0, 0, 2, "2"), scraped(1, 0, 0, 1)):
        scrapes.read(text)

    assert {"ok": 10, "rejected": 1} == scrapes.outcomes("m")
    assert [] == scrapes.sums()


def test_counters_that_do_not_add_up_are_told() -> None:
    """A rejection without a reason, and more that was answered than was admitted."""
    for text in (scraped(5, 1, 0, 5), scraped(5, 0, 0, 4), scraped(5, 0, 0, 6)):
        scrapes = Scrapes()
        scrapes.read(text)
        assert scrapes.sums()


def test_a_trend_is_a_line() -> None:
    """Growth is what the line rises by, whatever the samples do around it; unknown samples are left out."""
    sizes = [100 * MIB + number * MIB + (-1) ** number * MIB / 2 for number in range(60)]
    found = trend(range(60), [*sizes[:30], float("nan"), *sizes[31:]])

    assert 59 * MIB == pytest.approx(found.growth, rel=0.02)
    assert not found.flat(0.03, 3 * MIB)
    assert trend(range(60), [100 * MIB + (-1) ** number * MIB for number in range(60)]).flat(0.03, 3 * MIB)


def test_vitals_are_of_the_process_and_its_children() -> None:
    """Memory, descriptors and shared memory of this process, and an ended child that nobody has asked for."""
    before = look(os.getpid())
    with open(os.memfd_create("shared"), "rb"), subprocess.Popen(["true"]) as child:  # noqa: PTH123 - a descriptor
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        found = look(os.getpid())

    assert found.front > MIB
    assert found.threads >= 1
    assert (before.descriptors + 1, before.shared + 1) == (found.descriptors, found.shared)
    assert child.pid in found.zombies


def test_a_shelf_publishes_whole_versions_and_forgets_old_ones(tmp_path: Path) -> None:
    """Editions count up and are never used again; the version's number is its edition's."""
    shelf = Shelf(tmp_path / "models")
    for network in (QUICK, SECOND):
        shelf.begin(network)
    shelf.begin_fragile()
    for _ in range(KEPT + 2):
        shelf.add_version(QUICK)
    shelf.add_nonsense(QUICK)
    shelf.replace(SECOND)

    assert {FRAGILE, "quick", "second"} == {path.name for path in shelf.root.iterdir()}
    assert KEPT + 1 == sum(path.name.isdigit() for path in (shelf.root / "quick").iterdir())
    assert (KEPT + 4, 2) == (shelf.edition("quick"), shelf.edition("second"))


def test_latencies_are_told_apart_by_moment() -> None:
    """Between swaps, while a load goes on, and around its end, when the new generation takes over."""
    loads = [(10.0, 12.0), (20.0, 22.0)]
    answers = [(5.0, 0.1), (9.95, 0.1), (11.0, 0.2), (11.9, 0.01), (12.1, 0.02), (12.5, 0.03), (21.0, 1.5)]
    found = swap_report.told_apart(answers, loads)

    assert [0.1, 0.03] == found[swap_report.BETWEEN]
    assert [0.1, 0.2] == found[swap_report.LOADING]
    assert [0.01, 0.02, 1.5] == found[swap_report.CHANGING]
