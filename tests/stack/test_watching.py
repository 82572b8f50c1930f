"""What watches Hone: Prometheus with its rules, the dashboards' questions, Alertmanager; and Hone without them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.stack.digits import check, golden, predict
from tests.stack.stack import ROOT, Stack, eventually, get, query

DOWN = "HoneDown"
BOARDS = sorted((ROOT / "deploy" / "grafana" / "dashboards").glob("*.json"))
WORDS = {"$__rate_interval": "1m", "$__range": "5m", "$model": ".+", "$family": ".*"}
"""What Grafana puts in the place of variables."""
ABSENT = {"Padding", "Response cache hits", "GPU", "GPU memory", "Instructions that this CPU lacks"}
"""Panels about what the stack doesn't have. `tests/deploy/test_dashboards.py` asks them where there is."""


def alerts(stack: Stack) -> list[str]:
    """Names of the alerts that Alertmanager has been told of and that haven't ended."""
    status, body = get(f"http://{stack.address('alertmanager', 9093)}/api/v2/alerts")
    return sorted({alert["labels"]["alertname"] for alert in json.loads(body)}) if status == 200 else []


def rules(stack: Stack) -> list[dict[str, Any]]:
    """Every rule that Prometheus has read."""
    _, body = get(f"http://{stack.address('prometheus', 9090)}/api/v1/rules")
    return [rule for group in json.loads(body)["data"]["groups"] for rule in group["rules"]]


def test_prometheus_evaluates_the_rules(stack: Stack) -> None:
    """The mounted rules are evaluated, none with an error; those over days may not have had their turn yet."""

    def alert() -> list[str]:
        return [rule["health"] for rule in rules(stack) if rule["name"] == DOWN]

    assert ["ok"] == eventually(alert, [["ok"]], 60)
    assert {"ok"} == {rule["health"] for rule in rules(stack)} - {"unknown"}


@pytest.mark.parametrize("board", BOARDS, ids=lambda path: path.stem)
def test_dashboards_have_answers(stack: Stack, board: Path) -> None:
    """Every panel is filled by the stack's Prometheus once predictions were made."""
    images, _ = golden()
    prometheus = stack.address("prometheus", 9090)
    asked = [one for one in questions(board) if one[0] not in ABSENT]

    def unanswered() -> list[str]:
        predict(stack, "digits", images[:1])
        return [title for title, expression in asked if not query(prometheus, expression)]

    nothing: list[str] = []
    assert asked
    assert nothing == eventually(unanswered, [nothing], 120)


def questions(board: Path) -> list[tuple[str, str]]:
    """The titles of a dashboard's panels and their expressions, as Grafana would ask them."""
    found = []
    for panel in json.loads(board.read_text())["panels"]:
        for target in panel.get("targets", []):
            text: str = target["expr"]
            for word, value in WORDS.items():
                text = text.replace(word, value)
            found.append((panel["title"], text))
    return found


def test_an_alert_reaches_alertmanager_and_ends(stack: Stack) -> None:
    """A Hone that is stopped is an alert in Alertmanager within minutes; one that is back is none, and predicts."""
    assert DOWN not in alerts(stack)
    stack.compose("stop", "hone", seconds=60)
    try:
        assert eventually(lambda: DOWN in alerts(stack), [True], 240)
    finally:
        stack.up()
    assert eventually(lambda: DOWN in alerts(stack), [False], 240) is False
    check(stack)


def test_hone_needs_nobody_who_watches(stack: Stack) -> None:
    """Without Prometheus and Alertmanager, and with no collector where its spans are to go, Hone answers as ever; of
    the spans its log tells.
    """
    images, expected = golden()
    stack.compose("stop", "prometheus", "alertmanager")
    try:
        for image, wanted in zip(images, expected, strict=True):
            assert wanted.argmax() == np.argmax(predict(stack, "digits", image[np.newaxis]))
    finally:
        stack.up()
    assert eventually(lambda: "spans are lost" in stack.log("hone"), [True])
