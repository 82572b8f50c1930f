"""Faults that somebody has to hear of, and hears of: a real Hone, Prometheus, Alertmanager and receiver.

All times of the rules and routes that are deployed are divided by FACTOR; an hour is a minute.
"""

import json
import os
import re
import signal
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Self

import pytest
import yaml

from tests.alertmanager import Alertmanager, Receiver, alerting
from tests.architecture.sources import ROOT
from tests.deploy.shortening import shortened
from tests.docs.runbook import PAGE, QUERIES
from tests.integration.models import divided
from tests.integration.served import CONFIG, Served, metric, serving, write_model
from tests.prometheus import Prometheus, watching

FACTOR = 60
INSTANCES = 2
PATIENCE = 30.0  # seconds, for what takes a few on an idle machine
DEPLOYED = ROOT / "deploy"


class Client:
    """Owns a thread that asks `divided` for 1000 / `x` again and again; 0 is refused by the runtime."""

    def __init__(self, served: Served) -> None:
        self.x = 1
        self._url = f"{served.http}/v2/models/divided/infer"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(0.02):
            x = {"name": "x", "datatype": "INT32", "shape": [1, 1], "data": [self.x]}
            try:
                with urllib.request.urlopen(self._url, json.dumps({"inputs": [x]}).encode(), timeout=30) as answer:
                    answer.read()
            except urllib.error.HTTPError as error:
                error.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A model whose workers are to be killed, and one that refuses zeros."""
    root = tmp_path_factory.mktemp("models")
    write_model(root, "mlp", config=CONFIG + f"instance_group [ {{ count: {INSTANCES} kind: KIND_CPU }} ]")
    write_model(root, "divided", config=None, model=divided())
    with serving(root) as server:
        yield server


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    """Who is told."""
    receiver = Receiver()
    yield receiver
    receiver.stop()


@pytest.fixture(scope="module")
def alertmanager(
    tmp_path_factory: pytest.TempPathFactory, require_tool: Callable[[str], str], receiver: Receiver
) -> Iterator[Alertmanager]:
    """Alertmanager with the routes that are deployed, and with the receivers that the runbook says to fill in."""
    folder = tmp_path_factory.mktemp("alertmanager")
    config = yaml.safe_load(shortened((DEPLOYED / "alertmanager" / "alertmanager.yml").read_text(), FACTOR))
    config["receivers"] = receivers(receiver.url)
    (folder / "alertmanager.yml").write_text(yaml.safe_dump(config))
    with alerting(require_tool("prometheus-alertmanager"), folder / "alertmanager.yml", folder) as running:
        yield running


def receivers(url: str) -> list[dict[str, Any]]:
    """Those of the runbook. Alertmanager 0.25, which Debian has, takes no URL from a file yet: it is told them."""
    (block,) = re.findall(r"```yaml\n(receivers:\n.*?)```", PAGE, re.DOTALL)
    found: list[dict[str, Any]] = yaml.safe_load(block)["receivers"]
    for one in found:
        for webhook in one.get("webhook_configs", []):
            assert webhook.pop("url_file") == f"/etc/alertmanager/{one['name']}_url"
            webhook["url"] = f"{url}/{one['name']}"
    return found


@pytest.fixture(scope="module")
def prometheus(
    tmp_path_factory: pytest.TempPathFactory,
    require_tool: Callable[[str], str],
    served: Served,
    alertmanager: Alertmanager,
) -> Iterator[Prometheus]:
    """Prometheus with the configuration and the rules that are deployed."""
    folder = tmp_path_factory.mktemp("prometheus")
    (folder / "rules").mkdir()
    for path in (DEPLOYED / "prometheus" / "rules").glob("*.yml"):
        (folder / "rules" / path.name).write_text(shortened(path.read_text(), FACTOR))
    config = yaml.safe_load((DEPLOYED / "prometheus" / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "500ms"}
    config["alerting"]["alertmanagers"][0]["static_configs"] = [{"targets": [alertmanager.address]}]
    config["scrape_configs"][0]["static_configs"] = [{"targets": [served.metrics.removeprefix("http://")]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    with watching(require_tool("prometheus"), folder / "prometheus.yml", folder) as running:
        assert running.until(lambda: running.query("up == 1") and running.tells(), PATIENCE)
        yield running


@pytest.mark.slow
def test_requests_that_fail_are_told_of_until_they_do_not(
    served: Served, prometheus: Prometheus, receiver: Receiver
) -> None:
    """A model that refuses what it is asked burns its budget: a page, with the share, and word when that is over."""
    burn = {"alertname": "HoneErrorBudgetBurn", "model": "divided", "window": "1h"}
    assert receiver.settle(PATIENCE, **burn)
    with Client(served) as client:
        client.x = 0
        told = receiver.wait_for("firing", PATIENCE, **burn)
        assert told
        assert "page" == told.receiver
        assert "of the requests to divided in the last hour failed" in told.annotations["description"]
        assert {"ok"} == {rule["health"] for rule in prometheus.rules()}
        for query in QUERIES:
            prometheus.query(query)  # raises ValueError where one parses, but can't be computed

        client.x = 1
        assert receiver.wait_for("resolved", PATIENCE, **burn)


@pytest.mark.slow
def test_workers_that_end_again_and_again_are_told_of_until_they_stay(
    served: Served, prometheus: Prometheus, receiver: Receiver
) -> None:
    """A ticket: the model goes on, and nobody is woken for it."""
    restarts = {"alertname": "HoneWorkerRestarts", "model": "mlp", "device": "cpu"}
    assert receiver.settle(PATIENCE, **restarts)
    until = time.monotonic() + PATIENCE
    while not (told := receiver.wait_for("firing", 0.1, **restarts)) and time.monotonic() < until:
        kill_workers(served)

    assert told
    assert "ticket" == told.receiver
    assert "workers of version 1 of mlp on cpu" in told.annotations["description"]
    assert receiver.wait_for("resolved", PATIENCE, **restarts)


def kill_workers(served: Served) -> None:
    """kill -9 all of them, then wait until as many take batches again."""
    victims, working = served.workers(), metric(served, "hone_worker_up")
    for pid in victims:
        with suppress(ProcessLookupError):  # it has just ended
            os.kill(pid, signal.SIGKILL)
    until = time.monotonic() + 20
    while time.monotonic() < until:
        if not set(victims) & set(served.workers()) and metric(served, "hone_worker_up") == working:
            return
        time.sleep(0.05)


@pytest.mark.slow
def test_a_service_that_is_not_there_is_told_of_until_it_is(
    served: Served, prometheus: Prometheus, receiver: Receiver
) -> None:
    """A page when it doesn't answer a scrape any more. Before the first one it fired, too."""
    assert receiver.settle(PATIENCE, alertname="HoneDown")
    with stopped(served):
        told = receiver.wait_for("firing", PATIENCE, alertname="HoneDown")
        assert told
        assert "page" == told.receiver

    assert receiver.wait_for("resolved", PATIENCE, alertname="HoneDown")


@contextmanager
def stopped(served: Served) -> Iterator[None]:
    """The front process does nothing for the time of a block."""
    os.kill(served.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(served.process.pid, signal.SIGCONT)
