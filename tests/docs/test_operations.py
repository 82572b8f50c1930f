"""The runbook, docs/operations.md: a section for every alert, and queries that can be asked."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from service.exposition import registry_of
from service.gpu import GpuCollector
from service.metrics import Metrics
from tests.deploy.rules import rules
from tests.docs.runbook import PAGE, QUERIES
from tests.test_gpu import FakeNvml

PROMETHEUS_OWN = {"up", "ALERTS"}
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}


def known() -> set[str]:
    """The series that a query can name: what is exposed, what is recorded, and Prometheus' own."""
    registry = registry_of(Metrics())
    registry.register(GpuCollector(lambda: FakeNvml((50, (1, 2)))))
    exposed = {family.name + suffix for family in registry.collect() for suffix in SUFFIXES[family.type]}
    return exposed | {rule["record"] for rule in rules() if "record" in rule} | PROMETHEUS_OWN


def named(query: str) -> set[str]:
    """The series that a query names: words that are neither functions, nor keywords, nor labels, nor durations."""
    bare = re.sub(r"\{[^}]*\}|\[[^]]*\]|\b(?:by|on|group_left|without) \([^)]*\)|\"[^\"]*\"", "", query)
    words = re.findall(r"(?<![\w.])[A-Za-z_][\w:]*(?!\w|\s*\()", bare)
    return set(words) - {"and", "or", "unless", "by", "on", "group_left"}


def test_every_alert_has_its_section_and_every_section_its_alert() -> None:
    """Under the heading that its runbook_url names, with what it means, what to look at and what to do."""
    sections = dict(
        re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", PAGE.partition("\n# Alerts\n")[2], re.MULTILINE | re.DOTALL)
    )

    assert {rule["alert"] for rule in rules() if "alert" in rule} == sections.keys()
    for text in sections.values():
        assert re.match(
            r"\s(Page|Ticket)\b.*\*\*It means\*\* .*\*\*Look at\*\*.*```promql.*\*\*What to do:\*\*", text, re.DOTALL
        )


def test_severities_are_those_of_the_rules() -> None:
    """A section begins with how its alert is told."""
    told = {name: {word.lower()} for name, word in re.findall(r"^## (Hone\w+)\n\n(Page|Ticket)\.", PAGE, re.MULTILINE)}
    both = re.findall(r"^## (Hone\w+)\n\nPage \(`window` 1h or 6h\) or ticket \(3d\)\.", PAGE, re.MULTILINE)
    severities: dict[str, set[str]] = {}
    for rule in rules():
        if "alert" in rule:
            severities.setdefault(rule["alert"], set()).add(rule["labels"]["severity"])

    assert severities == told | {name: {"page", "ticket"} for name in both}


def test_links_within_the_page_lead_somewhere() -> None:
    """Each to a heading."""
    headings = re.findall(r"^#+ (.*)$", PAGE, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}

    assert set(re.findall(r"\]\(#([\w-]+)\)", PAGE)) <= anchors


def test_every_query_parses(tmp_path: Path, require_tool: Callable[[str], str]) -> None:
    """By Prometheus' own parser."""
    path = tmp_path / "rules.yml"
    recorded = [{"record": f"query{number}", "expr": query} for number, query in enumerate(QUERIES)]
    path.write_text(yaml.safe_dump({"groups": [{"name": "page", "rules": recorded}]}))
    done = subprocess.run(
        [require_tool("promtool"), "check", "rules", path], capture_output=True, text=True, check=False, timeout=60
    )

    assert len(QUERIES) > 30
    assert 0 == done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("query", [*QUERIES, *[rule["expr"] for rule in rules()]])
def test_queries_name_what_there_is(query: str) -> None:
    """On the page and in the rules: nothing that isn't exposed or recorded."""
    assert named(query) <= known()
    assert named(query) or query.startswith("vector(")
