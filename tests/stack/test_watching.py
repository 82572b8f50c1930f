"""What watches Hone: Prometheus with its rules, the dashboards' queries, Alertmanager; and Hone without them."""

import json
from typing import Any

import numpy as np

from tests.stack.digits import check, golden, predict
from tests.stack.stack import Stack, eventually, get, query

LATENCY = (
    'histogram_quantile(0.99, sum by (le, model) (rate(hone_request_duration_seconds_bucket{model="digits"}[1m])))'
)
DOWN = "HoneDown"


def alerts(stack: Stack) -> list[str]:
    """Names of the alerts that Alertmanager has been told of and that haven't ended."""
    status, body = get(f"http://{stack.address('alertmanager', 9093)}/api/v2/alerts")
    return sorted({alert["labels"]["alertname"] for alert in json.loads(body)}) if status == 200 else []


def rules(stack: Stack) -> list[dict[str, Any]]:
    """Every rule that Prometheus has read."""
    _, body = get(f"http://{stack.address('prometheus', 9090)}/api/v1/rules")
    return [rule for group in json.loads(body)["data"]["groups"] for rule in group["rules"]]


def test_prometheus_reads_every_rule(stack: Stack) -> None:
    """The mounted rules are evaluated without an error, those that tell of a Hone that is down among them."""
    assert eventually(lambda: {rule["health"] for rule in rules(stack)}, [{"ok"}], 60) == {"ok"}
    assert DOWN in {rule["name"] for rule in rules(stack)}


def test_a_dashboards_query_is_answered(stack: Stack) -> None:
    """Latency by model, as the dashboard asks for it, is a time once predictions were made."""
    images, _ = golden()

    def ask() -> bool:
        predict(stack, "digits", images[:1])
        return any(0 < seconds < 10 for seconds in query(stack.address("prometheus", 9090), LATENCY))

    assert eventually(ask, [True])


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
    """Without Prometheus and Alertmanager, and with no collector where its spans are to go, Hone answers as ever."""
    images, expected = golden()
    stack.compose("stop", "prometheus", "alertmanager")
    try:
        for image, wanted in zip(images, expected, strict=True):
            assert wanted.argmax() == np.argmax(predict(stack, "digits", image[np.newaxis]))
    finally:
        stack.up()
    assert "HONE_OTLP_ENDPOINT" in str(stack.container("hone")["Config"]["Env"])
    assert not stack.running("otel-collector")
