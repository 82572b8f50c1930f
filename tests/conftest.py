"""What every test may ask for."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ROOT / "deploy" / "ci" / "packages.txt"

# Shared machines stall for longer than any deadline that would find a slow case.
settings.register_profile("hone", deadline=None)
settings.load_profile("hone")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first, so that the processes that share the files end at about the same time."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(autouse=True)
def _own_logs() -> Iterator[None]:
    """Who runs a command in the test's own process sets up its logs, to a stream that is closed after the test."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def require_tool() -> Callable[[str], str]:
    """`require_tool("wrk")` is the tool's path; where it is missing the test is skipped, and fails in CI."""
    return _require_tool


def _require_tool(name: str) -> str:
    path = shutil.which(name)
    if path is not None:
        return path
    text = f"{name} is missing, install it with: apt-get install {_package(name)}"
    if os.environ.get("CI") == "true":
        pytest.fail(text)
    pytest.skip(text)


def _package(tool: str) -> str:
    """The Debian package that `deploy/ci/packages.txt` names for a tool; the tool's own name when it names none."""
    lines = [line.split(maxsplit=1) for line in PACKAGES.read_text().splitlines() if line and line[0] != "#"]
    return next((line[0] for line in lines if line[1:] == [f"command -v {tool}"]), tool)
