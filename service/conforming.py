"""The verb `conformance`: does a server, whichever it is, speak the Open Inference Protocol?"""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, CliPositionalArg, NoDecode, PydanticBaseSettingsSource
from rich.console import Console

from service.client.conformance.check import Check
from service.client.conformance.discovery import Wanted, WrongOptionError, discover
from service.client.conformance.http_client import HttpClient
from service.client.conformance.report import Report, as_json, described
from service.client.conformance.suite import run, selected
from service.client.conformance.target import Target
from service.conformance_view import show, show_checks
from service.exit_code import ExitCode
from service.settings import RepositorySettings


class ConformanceSettings(BaseSettings):
    """Ask any server whether it speaks the Open Inference Protocol, and those of Triton's extensions that it lists.

    Nothing is loaded, unloaded or changed there. Exit code 0: it conforms; 4: a check failed of the protocol, or of an
    extension that the server lists; 1: nobody answers, or no server of the protocol, or the model refuses what was made
    up for it (--data); 2: an option is wrong.
    """

    model_config = RepositorySettings.model_config

    url: CliPositionalArg[str] = Field("", description="the server, such as http://localhost:8000")
    model: str = Field("", description="the model to ask; the first of the repository index that is READY unless set")
    grpc_url: str = Field("", description="HOST:PORT of its gRPC side; without it that isn't checked")
    shape: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="NAME:DIMS, such as ids:1,16, of an input whose dims vary (else 1 each); may be repeated"
    )
    data: Path | None = Field(None, description="file with an inference request in JSON that the model takes")
    timeout: Annotated[float, Field(gt=0, le=3600)] = Field(10, description="seconds that a check may take")
    only: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="checks or groups of them, with commas between, such as http.infer or grpc"
    )
    list_checks: bool = Field(False, alias="list", description="say what is checked, and ask nobody")
    as_json: bool = Field(False, alias="json", description="print JSON for machines")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the names are pydantic's
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags alone: what is asked of another server is nothing that this machine's environment should decide."""
        return (init_settings,)

    @field_validator("only", mode="before")
    @classmethod
    def _words(cls, value: object) -> object:
        return re.findall(r"[^,\s]+", value) if isinstance(value, str) else value

    @field_validator("shape", mode="before")
    @classmethod
    def _shapes(cls, value: object) -> object:
        """A repeated flag comes joined by commas, which shapes have in them too: a name begins the next."""
        return re.split(r"[,\s]+(?=[^,:\s]+:)", value.strip()) if isinstance(value, str) else value

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
    if not settings.url:
        raise WrongOptionError("name the server: hone-serve conformance http://HOST:PORT")
    try:
        http = HttpClient(settings.url)
    except ValueError as error:
        raise WrongOptionError(str(error)) from None
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
