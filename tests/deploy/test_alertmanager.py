"""Who is told: deploy/alertmanager/alertmanager.yml, in a real Alertmanager."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.alertmanager import alerting
from tests.architecture.sources import ROOT

CONFIG = ROOT / "deploy" / "alertmanager" / "alertmanager.yml"

DOWN = {"alertname": "HoneDown", "severity": "page"}
BURN = {"alertname": "HoneErrorBudgetBurn", "severity": "page", "window": "1h", "model": "a"}
SLOW_BURN = {"alertname": "HoneErrorBudgetBurn", "severity": "ticket", "window": "3d", "model": "a"}
CAUSE = {"alertname": "HoneWorkerRestarts", "severity": "ticket", "model": "a", "device": "cpu"}
CAUSE_ELSEWHERE = CAUSE | {"model": "b"}
LAG = {"alertname": "HoneEventLoopLag", "severity": "ticket", "instance": "hone:8002"}
NOT_OURS = {"alertname": "DiskFull", "severity": "ticket", "model": "a"}


def amtool(require_tool: Callable[[str], str], *words: str | Path) -> str:
    """Run the tool; what it says is what a failure says."""
    done = subprocess.run([require_tool("amtool"), *words], capture_output=True, text=True, check=False, timeout=60)
    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stdout.strip()


def test_alertmanager_takes_the_configuration(require_tool: Callable[[str], str]) -> None:
    """As it is committed: nothing has to be filled in first."""
    assert "SUCCESS" in amtool(require_tool, "check-config", CONFIG)


@pytest.mark.parametrize(
    "labels,receiver",
    [(BURN, "page"), (DOWN, "page"), (SLOW_BURN, "ticket"), (CAUSE, "ticket"), ({"alertname": "Foreign"}, "nobody")],
)
def test_routes(require_tool: Callable[[str], str], labels: dict[str, str], receiver: str) -> None:
    """A page goes to one receiver, a ticket to another, what is neither to nobody."""
    words = [f"{name}={value}" for name, value in labels.items()]

    assert receiver == amtool(require_tool, "config", "routes", "test", f"--config.file={CONFIG}", *words)


@pytest.mark.parametrize(
    "fire,told",
    [
        ([BURN, SLOW_BURN, CAUSE, CAUSE_ELSEWHERE, LAG], [BURN, CAUSE_ELSEWHERE, LAG]),
        ([SLOW_BURN, CAUSE], [SLOW_BURN, CAUSE]),
        ([DOWN, BURN, SLOW_BURN, CAUSE_ELSEWHERE, LAG, NOT_OURS], [DOWN, NOT_OURS]),
    ],
    ids=["a page for a model", "tickets", "no scrape"],
)
def test_inhibition(
    tmp_path: Path, require_tool: Callable[[str], str], fire: list[dict[str, str]], told: list[dict[str, str]]
) -> None:
    """Who is woken for a model isn't told of its tickets too; without a scrape nobody is told of anything else."""
    with alerting(require_tool("prometheus-alertmanager"), CONFIG, tmp_path) as alertmanager:
        alertmanager.give(fire)

        def active() -> list[dict[str, str]]:
            return [alert["labels"] for alert in alertmanager.alerts() if alert["status"]["state"] == "active"]

        alertmanager.until(lambda: len(active()) == len(told), 5)
        assert sorted(told, key=str) == sorted([one for one in fire if one in active()], key=str)
