"""The dashboards: what is committed is what the code writes, and every question in them has an answer."""

import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.grafana.__main__ import FOLDER, written
from loadtests.served import ROOT
from tests.deploy.loaded import loaded
from tests.prometheus import Prometheus, watching

RULES = ROOT / "deploy" / "prometheus" / "rules"
PROVISIONING = ROOT / "deploy" / "grafana" / "provisioning"
NO_GPU = {"GPU", "GPU memory"}
"""Panels that are empty on a machine without one."""
BOARDS = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}
SELECTOR = re.compile(r"\b(?:hone|process)_\w+(?:\{[^}]*\})?|\bhone:[\w:]+")
WORDS = {"$__rate_interval": "20s", "$__range": "1m", "$model": ".+", "$family": ".*"}
"""What Grafana puts in the place of variables."""


@dataclass(frozen=True)
class Question:
    """An expression, and where it stands."""

    board: str
    place: str
    expression: str

    def __str__(self) -> str:
        return f"{self.board}: {self.place}"

    @property
    def asked(self) -> str:
        """As Grafana would ask it."""
        values = re.fullmatch(r"label_values\((.*), (\w+)\)", self.expression)
        text = f"count by ({values[2]}) ({values[1]})" if values else self.expression
        for word, value in WORDS.items():
            text = text.replace(word, value)
        return text


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    """All that aren't the titles of rows."""
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def questions() -> Iterator[Question]:
    """All that a dashboard asks: for its panels, its annotations and its variables."""
    for name, board in BOARDS.items():
        for panel in panels(board):
            for target in panel["targets"]:
                yield Question(name, f"{panel['title']} {target['refId']}", target["expr"])
        for annotation in board["annotations"]["list"]:
            yield Question(name, annotation["name"], annotation["expr"])
        for variable in board["templating"]["list"]:
            if variable["type"] == "query":
                yield Question(name, f"${variable['name']}", variable["query"])


@pytest.fixture(scope="module")
def prometheus(require_tool: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """One that looks twice a second at a Hone under load, and records what the promises are about."""
    tool, folder = require_tool("prometheus"), tmp_path_factory.mktemp("prometheus")
    with loaded(tmp_path_factory.mktemp("models")) as served:
        config = {
            "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "500ms"},
            "rule_files": sorted(map(str, RULES.glob("*.yml"))),
            "scrape_configs": [
                {"job_name": "hone", "static_configs": [{"targets": [served.metrics.removeprefix("http://")]}]}
            ],
        }
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        (folder / "data").mkdir()
        with watching(tool, folder / "prometheus.yml", folder / "data") as watcher:
            yield watcher


def test_what_is_committed_is_what_the_code_writes() -> None:
    """`make dashboards` was run after the last change, with this very SDK."""
    assert written() == {path.name: path.read_text() for path in FOLDER.glob("*.json")}


@pytest.mark.slow
@pytest.mark.parametrize("question", [*questions()], ids=str)
def test_every_question_has_an_answer(question: Question, prometheus: Prometheus) -> None:
    """Of a real Prometheus that scrapes a real Hone under load, in numbers. All that it selects is there too: a zero
    that stands for nothing yet doesn't hide a name that is wrong.
    """

    def answers() -> bool:
        selected = [prometheus.query(selector) for selector in SELECTOR.findall(question.asked)]
        numbers = [sample.value for sample in prometheus.query(question.asked)]
        return [] != selected and all(selected) and not all(map(math.isnan, numbers))

    if question.place.removesuffix(" A") in NO_GPU:
        prometheus.query(question.asked)  # it is an expression at least
    else:
        assert prometheus.until(answers, 20), question.asked


@pytest.mark.parametrize("board", BOARDS)
def test_every_panel_says_what_it_shows(board: str) -> None:
    """A title of its own, a text, a unit, the data source that is chosen above, and a letter for each expression."""
    shown = panels(BOARDS[board])
    assert len(shown) == len({panel["title"] for panel in shown})
    for panel in shown:
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert "${datasource}" == panel["datasource"]["uid"]
        letters = [target["refId"] for target in panel["targets"]]
        assert letters == sorted(set(letters)) != []
        assert all(letters), panel["title"]
    numbers = [panel["id"] for panel in BOARDS[board]["panels"]]
    assert all(one < other for one, other in pairwise([0, *numbers]))


def test_a_load_test_needs_no_figures_but_hone_s() -> None:
    """Whoever makes the load need not be scraped."""
    asked = [question.expression for question in questions() if question.board == "load-test"]
    names = {name for text in asked for name in re.findall(r"\b([a-z]\w*?)(?:\{|\[)", text)}

    assert names
    assert [] == [name for name in names if not name.startswith("hone_")]


def test_grafana_finds_them() -> None:
    """The provisioned data source is the one of the stack, and the folder that is mounted holds the dashboards."""
    (source,) = yaml.safe_load((PROVISIONING / "datasources" / "prometheus.yml").read_text())["datasources"]
    (provider,) = yaml.safe_load((PROVISIONING / "dashboards" / "hone.yml").read_text())["providers"]

    assert ("prometheus", "http://prometheus:9090", True) == (source["type"], source["url"], source["isDefault"])
    assert ("Hone", Path("/etc/grafana/dashboards")) == (provider["folder"], Path(provider["options"]["path"]))
    assert {"hone-service", "hone-models", "hone-load-test"} == {board["uid"] for board in BOARDS.values()}
