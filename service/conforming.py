"""The verb `conformance`: does a server, whichever it is, speak the Open Inference Protocol?"""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field, field_validator
from pydantic_settings import NoDecode
from rich.console import Console

from service.client.conformance.check import Check
from service.client.conformance.discovery import Wanted, WrongOptionError, client_of, discover
from service.client.conformance.report import Report, as_json, described
from service.client.conformance.suite import run, selected
from service.client.conformance.target import Target
from service.conformance_view import show, show_checks
from service.exit_code import ExitCode
from service.settings import TargetSettings


class ConformanceSettings(TargetSettings):
    """Ask any server whether it speaks the Open Inference Protocol, and those of Triton's extensions that it lists.

    Nothing is loaded, unloaded or changed there. Exit code 0: it conforms; 4: a check failed of the protocol, or of an
    extension that the server lists; 1: nobody answers, or no server of the protocol, or the model refuses what was made
    up for it (--data); 2: an option is wrong.
    """

    grpc_url: str = Field("", description="HOST:PORT of its gRPC side; without it that isn't checked")
    only: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="checks or groups of them, with commas between, such as http.infer or grpc"
    )
    list_checks: bool = Field(False, alias="list", description="say what is checked, and ask nobody")

    @field_validator("only", mode="before")
    @classmethod
    def _words(cls, value: object) -> object:
        return re.findall(r"[^,\s]+", value) if isinstance(value, str) else value

    @field_validator("only")
    @classmethod
    def _known(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        selected(words)
        return words


def conformance(settings: ConformanceSettings, console: Console) -> int:
    """Ask, and print; the exit code. Raises WrongOptionError and UnreachableError."""
    checks = selected(settings.only)
    if settings.list_checks:
        if settings.as_json:
            _print([described(check) for check in checks])
        else:
            show_checks(checks, console)
        return ExitCode.OK
    target = _find(settings)
    try:
        report = _run(checks, target, settings, console)
    finally:
        if target.rpc_or_none:
            target.rpc_or_none.close()
    if settings.as_json:
        _print(as_json(report, _about(target)))
    else:
        show(report, _about(target), console)
    return _code(report)


def _find(settings: ConformanceSettings) -> Target:
    http = client_of(settings.url, "conformance")
    rpc = None
    if settings.grpc_url:
        address = settings.grpc_url.removeprefix("grpc://")
        if not re.fullmatch(r"\S+:\d{1,5}", address):
            raise WrongOptionError(f"--grpc-url: expected HOST:PORT, got {settings.grpc_url!r}")
        from service.client.conformance.rpc import Rpc

        rpc = Rpc(address, http)
    try:
        if rpc:
            rpc.reach(settings.timeout)
        wanted = Wanted(model=settings.model, shapes=settings.shape, data=settings.data)
        return discover(http, rpc, wanted, settings.timeout)
    except BaseException:
        if rpc:
            rpc.close()
        raise


def _run(checks: Sequence[Check], target: Target, settings: ConformanceSettings, console: Console) -> Report:
    with console.status("") as status:
        return run(checks, target, settings.timeout, lambda check: status.update(f"asking: {check.id}"))


def _about(target: Target) -> dict[str, Any]:
    server = {key: target.server.get(key) for key in ("name", "version", "extensions")}
    rpc = target.rpc_or_none
    return {"url": target.http.url, "grpc_url": rpc.address if rpc else None, "server": server, "model": target.model}


def _print(content: list[dict[str, Any]] | Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(content, indent=2) + "\n")


def _code(report: Report) -> int:
    if report.breaches:
        return ExitCode.GOAL_NOT_MET
    return ExitCode.OK if report.conforms else ExitCode.FAILED
