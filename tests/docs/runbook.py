"""docs/operations.md, and what can be asked of Prometheus there."""

import re

from tests.architecture.sources import ROOT

PAGE = (ROOT / "docs" / "operations.md").read_text()
QUERIES = [line for block in re.findall(r"```promql\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
