"""What is recorded and who is told: deploy/prometheus/rules, held to their own tests by Prometheus' tool."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.deploy.rules import FILES, FOLDER, rules
from tests.deploy.shortening import shortened

TESTS = sorted((FOLDER / "tests").glob("*.yml"))
WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d", "30d")


def promtool(require_tool: Callable[[str], str], *words: str | Path) -> None:
    """Run the tool; what it says is what a failure says."""
    done = subprocess.run([require_tool("promtool"), *words], capture_output=True, text=True, check=False, timeout=60)
    assert 0 == done.returncode, done.stdout + done.stderr


def test_prometheus_takes_the_configuration(require_tool: Callable[[str], str]) -> None:
    """It names the files of rules, which are all right."""
    promtool(require_tool, "check", "config", FOLDER / "prometheus.yml")

    assert [str(path.relative_to(FOLDER)) for path in FILES] == ["rules/alerts.yml", "rules/slo.yml"]


@pytest.mark.parametrize("path", TESTS, ids=[path.stem for path in TESTS])
def test_rules_do_what_their_tests_say(require_tool: Callable[[str], str], path: Path) -> None:
    """Series go in, and what is recorded, who is told and in which words comes out."""
    promtool(require_tool, "test", "rules", path)


def test_every_alert_is_tested_as_it_fires_and_as_it_does_not() -> None:
    """Each has moments at which it is told of, and others at which it isn't."""
    tested: dict[str, set[bool]] = {}
    for path in TESTS:
        for test in yaml.safe_load(path.read_text())["tests"]:
            for case in test.get("alert_rule_test", []):
                tested.setdefault(case["alertname"], set()).add(bool(case.get("exp_alerts")))
            for case in test.get("promql_expr_test", []):
                if named := re.search(r'ALERTS\{alertname="(\w+)"', case["expr"]):
                    tested.setdefault(named[1], set()).add(bool(case.get("exp_samples")))

    assert {rule["alert"]: {True, False} for rule in rules() if "alert" in rule} == tested


@pytest.mark.parametrize("promise", ["errors", "slow"])
def test_windows_differ_in_their_length_alone(promise: str) -> None:
    """What is recorded for one is what is recorded for all."""
    recorded = {rule["record"]: rule["expr"] for rule in rules() if "record" in rule}
    shares = {window: recorded[f"hone:slo_{promise}:ratio_rate{window}"] for window in WINDOWS}

    assert 1 == len({share.replace(f"[{window}]", "[]") for window, share in shares.items()})
    assert all(f"[{window}]" in share for window, share in shares.items())


def test_whoever_is_told_knows_how_bad_it_is_and_where_to_read_on() -> None:
    """Every alert is a page or a ticket, and has a summary, a description and a section of the runbook."""
    for rule in rules():
        if name := rule.get("alert"):
            assert rule["labels"]["severity"] in ("page", "ticket")
            assert {"summary", "description", "runbook_url"} == rule["annotations"].keys()
            assert f"docs/operations.md#{name.lower()}" == rule["annotations"]["runbook_url"]


def test_shortened_rules_differ_in_times_alone(tmp_path: Path, require_tool: Callable[[str], str]) -> None:
    """What the tests of alerts run by is what is deployed: names and thresholds are the same, no time is left out."""
    for path in FILES:
        text = path.read_text()
        short = shortened(text, 100)
        (tmp_path / path.name).write_text(short)

        assert re.sub(r"\[\w+\]|for: \w+", "", text) == re.sub(r"\[\w+\]|for: \w+", "", short)
        assert not set(re.findall(r"\[\w+\]|for: \w+", text)) & set(re.findall(r"\[\w+\]|for: \w+", short))
        promtool(require_tool, "check", "rules", tmp_path / path.name)

    assert "rate(x[36000ms]) # hone:x:rate1h" == shortened("rate(x[1h]) # hone:x:rate1h", 100)
