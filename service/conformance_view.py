"""What `hone-serve conformance` shows: a row for each check, and what the whole comes to."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from service.client.conformance.check import Check, Level, Outcome
from service.client.conformance.report import Report, Result

_MOST_IDS = 4
_STYLES = {Outcome.PASSED: "green", Outcome.FAILED: "bold red", Outcome.SKIPPED: "dim"}


def show(report: Report, about: Mapping[str, Any], console: Console) -> None:
    """The table of all checks, what was skipped for one reason in one row, then what it comes to."""
    table = Table("check", "level", "outcome", "")
    for row in _rows(report.results):
        levels = "\n".join(dict.fromkeys(one.check.level.value for one in row))
        outcome = f"[{_STYLES[row[0].outcome]}]{row[0].outcome.value}[/]"
        table.add_row(_ids(row), levels, outcome, _words(row[0]))
    console.print(table)
    counts = ", ".join(f"{number} {outcome}" for outcome, number in report.counts().items())
    server = " ".join(str(word) for word in (about["server"]["name"], about["server"]["version"]) if word)
    console.print(f"{escape(server or about['url'])}, model {escape(about['model'])}: {counts}", highlight=False)
    console.print(_verdict(report), highlight=False)


def show_checks(checks: Sequence[Check], console: Console) -> None:
    """What is checked, without a server."""
    table = Table("check", "level", "what the specification says", "document")
    for one in checks:
        table.add_row(one.id, one.extension or one.level.value, escape(one.says), escape(one.document))
    console.print(table)


def _rows(results: Sequence[Result]) -> Iterator[list[Result]]:
    """Each result that passed or failed alone, then those that were skipped, by their reasons."""
    skipped: dict[str, list[Result]] = {}
    for one in results:
        if one.outcome is Outcome.SKIPPED:
            skipped.setdefault(one.reason, []).append(one)
        else:
            yield [one]
    yield from skipped.values()


def _ids(row: Sequence[Result]) -> str:
    ids = [one.check.id for one in row]
    if len(ids) > _MOST_IDS:
        ids[_MOST_IDS - 1 :] = [f"[dim]and {len(ids) - _MOST_IDS + 1} more[/]"]
    return "\n".join(ids)


def _words(one: Result) -> str:
    """Why; of a failure also what the specification says, and where."""
    if one.outcome is Outcome.FAILED:
        return f"{escape(one.reason)}\n[dim]{escape(one.check.document)}: {escape(one.check.says)}[/]"
    return f"[dim]{escape(one.reason)}[/]" if one.reason else ""


def _verdict(report: Report) -> str:
    if report.breaches:
        kinds = [one.check.level for one in report.breaches]
        count = kinds.count(Level.REQUIRED)
        told = f"{count} of the failures break the protocol, {len(kinds) - count} an extension that the server lists"
        return f"[bold red]doesn't conform[/]: {told}"
    if report.is_blocked:
        return "[bold]nothing can be said[/]: not everything could be asked, see above"
    return "[bold green]conforms[/]"
