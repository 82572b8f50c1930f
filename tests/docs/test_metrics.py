"""What docs/metrics.md lists, held against what is exposed."""

import re

from service.exposition import registry_of
from service.gpu import GpuCollector
from service.metrics import Metrics
from tests.architecture.sources import ROOT
from tests.test_gpu import FakeNvml

Row = tuple[str, str, tuple[str, ...]]

PAGE = (ROOT / "docs" / "metrics.md").read_text()
ROW = re.compile(r"^\| `(\w+)` \| (\w+) \| ([^|]*)\| (.+) \|$", re.MULTILINE)


def exposed() -> list[Row]:
    """Name, type and labels of every family, those of GPUs too."""
    registry = registry_of(Metrics())
    registry.register(GpuCollector(lambda: FakeNvml((50, (1, 2)))))
    return [
        (
            f"{family.name}_total" if family.type == "counter" else family.name,
            family.type,
            getattr(family, "_labelnames", ()),
        )
        for family in registry.collect()
    ]


def test_the_page_lists_what_is_exposed() -> None:
    """Every metric once, with its type and its labels, and no other."""
    listed = [(name, kind, tuple(re.findall(r"`(\w+)`", labels))) for name, kind, labels, _ in ROW.findall(PAGE)]

    assert len(listed) == len([line for line in PAGE.splitlines() if line.startswith("| `")])
    assert sorted(exposed()) == sorted(listed)
