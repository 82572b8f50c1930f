"""What `hone-serve conformance` shows: a row for each check, and what the whole comes to."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from service.client.conformance.check import Check, Level, Outcome
from service.client.conformance.report import Report, Result

_STYLES = {Outcome.PASSED: "green", Outcome.FAILED: "bold red", Outcome.SKIPPED: "dim"}


def show(report: Report, about: Mapping[str, Any], console: Console) -> None:
    """The table of all checks, what was skipped for one reason in one row, then a line for the whole."""
    table = Table("check", "level", "outcome", "")
    for alike in _alike(report.results):
        first, others = alike[0], len(alike) - 1
        name = f"{first.check.id}\n[dim]and {others} more[/]" if others else first.check.id
        outcome = f"[{_STYLES[first.outcome]}]{first.outcome.value}[/]"
        table.add_row(name, first.check.level.value, outcome, _words(first))
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


def _alike(results: Sequence[Result]) -> list[list[Result]]:
    """Each result alone, but for those in a row that were skipped for the same reason."""
    rows: list[list[Result]] = []
    for one in results:
        if (
            rows
            and one.outcome is Outcome.SKIPPED
            and (one.outcome, one.reason) == (rows[-1][0].outcome, rows[-1][0].reason)
        ):
            rows[-1].append(one)
        else:
            rows.append([one])
    return rows


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
