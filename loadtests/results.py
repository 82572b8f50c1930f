"""RESULTS.md: one section per bench between its markers, so that each command renews its own; and its JSON twin."""

import datetime as dt
import importlib.metadata
import os
import platform
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from loadtests.served import ROOT

FOLDER = ROOT / "loadtests"
TITLE = (
    "# Results\n\nEvery section is written by the command that it names. Shared machine: compare only within a table.\n"
)


def machine() -> dict[str, Any]:
    """Where figures were taken."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return {"cpu": model, "cores": len(os.sched_getaffinity(0)), "kernel": platform.release()}


def versions(names: Sequence[str]) -> dict[str, str]:
    """Version of Python and of each installed distribution in `names`."""
    found = {name: importlib.metadata.version(name) for name in names}
    return {"python": platform.python_version(), **found}


def commit() -> str:
    """The commit that was measured, with `+` behind it where tracked sources differ; `unknown` outside a checkout."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        return "unknown"
    written = [":!training/RESULTS.md", ":!training/results"]  # by what is being measured
    sources = ["--", "service", "training", "loadtests/*.py", "models", *written]
    head = _output([git, "rev-parse", "--short=12", "HEAD"])
    return head + ("+" if _output([git, "status", "--porcelain", "--untracked-files=no", *sources]) else "")


def circumstances(packages: Sequence[str]) -> dict[str, Any]:
    """When, where and with what something is measured now."""
    return {"date": now(), "commit": commit(), "machine": machine(), "versions": versions(packages)}


def told(about: Mapping[str, Any]) -> str:
    """The circumstances of a measurement, in a line."""
    place = about["machine"]
    named = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    return f"{about['date']} · commit {about['commit']} · {place['cores']} cores of {place['cpu']} · {named}"


def now() -> str:
    """The time in UTC, to the minute."""
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC")


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    rule = ["---"] * len(header)
    return "".join(f"| {' | '.join(row)} |\n" for row in (header, rule, *rows))


def write(name: str, section: str, figures: Mapping[str, Any], *, folder: Path = FOLDER, title: str = TITLE) -> None:
    """Renew the section `name` of RESULTS.md in `folder`, or add it, and write `results/<name>.json`."""
    path = folder / "RESULTS.md"
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    block = f"{begin}\n{section.strip()}\n{end}\n"
    text = path.read_text(encoding="utf-8") if path.exists() else title
    before, found, rest = text.partition(begin)
    after = rest.partition(end + "\n")[2] if found else ""
    separator = "" if found else "\n"
    path.write_text(before + separator + block + after, encoding="utf-8")
    twin = folder / "results" / f"{name}.json"
    twin.parent.mkdir(exist_ok=True)
    twin.write_bytes(orjson.dumps(figures, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def twin(name: str, *, folder: Path = FOLDER) -> dict[str, Any]:
    """What was written beside the section `name` last time; empty when there was no last time."""
    path = folder / "results" / f"{name}.json"
    if not path.exists():
        return {}
    found: dict[str, Any] = orjson.loads(path.read_bytes())
    return found


def here(entries: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Those of `entries` that were measured on a machine like this one: no table holds others beside new ones."""
    cpu = machine()["cpu"]
    return {name: one for name, one in entries.items() if one["machine"]["cpu"] == cpu}


def _output(command: list[str]) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""
