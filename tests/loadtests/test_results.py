"""RESULTS.md is renewed section by section."""

import json
from pathlib import Path

from loadtests import results


def test_sections_are_renewed_alone(tmp_path: Path) -> None:
    """A bench that is run again replaces its own section in place, and leaves the others as they are."""
    results.write("a", "first", {"n": 1}, folder=tmp_path)
    results.write("b", "second", {"n": 2}, folder=tmp_path)
    before = (tmp_path / "RESULTS.md").read_text()
    results.write("a", "first\n\nanew", {"n": 3}, folder=tmp_path)
    after = (tmp_path / "RESULTS.md").read_text()

    assert before.replace("first", "first\n\nanew") == after
    assert json.loads((tmp_path / "results" / "a.json").read_text()) == {"n": 3}
    assert after.startswith(results.TITLE)


def test_same_section_same_file(tmp_path: Path) -> None:
    """Writing what is there already changes no byte, so that sections don't drift apart."""
    for name in ("a", "b", "a", "b"):
        results.write(name, f"section {name}", {}, folder=tmp_path)
    before = (tmp_path / "RESULTS.md").read_text()
    results.write("a", "section a", {}, folder=tmp_path)

    assert before == (tmp_path / "RESULTS.md").read_text()


def test_table() -> None:
    """A table is Markdown: header, rule, rows."""
    assert results.table(("a", "b"), [("1", "2")]) == "| a | b |\n| --- | --- |\n| 1 | 2 |\n"
