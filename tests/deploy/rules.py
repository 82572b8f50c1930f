"""The rules that Prometheus is to follow: deploy/prometheus/rules."""

from typing import Any

import yaml

from tests.architecture.sources import ROOT

FOLDER = ROOT / "deploy" / "prometheus"
FILES = sorted((FOLDER / "rules").glob("*.yml"))


def rules() -> list[dict[str, Any]]:
    """Every rule of every file."""
    groups = [group for path in FILES for group in yaml.safe_load(path.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"]]
