"""The command line: `hone-serve [run | check | profile | bench | conformance] ...`, or `hone-serve MODEL.onnx`."""

import asyncio
import difflib
import os
import re
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import FrameType
from typing import TypeVar

from pydantic import ValidationError
from pydantic_settings import BaseSettings, CliApp, SettingsError
from rich.console import Console

from service import __version__, logs
from service.errors import ArtifactError
from service.exit_code import ExitCode
from service.logs import LogControl
from service.settings import Settings, TargetSettings

_HELP = f"""Hone {__version__}: serve ONNX models over the Open Inference Protocol.

  hone-serve [run] --model-repository DIR     serve every model of a repository
  hone-serve MODEL.onnx                       serve one file, no configuration needed
  hone-serve check --model-repository DIR     say what would be served and what is wrong, and exit
  hone-serve profile MODEL                    measure a model with every runtime; --write keeps the best
  hone-serve bench URL                        measure how fast any server of the protocol answers
  hone-serve conformance URL                  ask any server whether it speaks the protocol

From a checkout, `hone-serve` is `.venv/bin/hone-serve`, or `python -m service`.
Every option can also be set as HONE_<OPTION>, for example HONE_HTTP_PORT=9000; a flag wins.
`hone-serve run --help`, and the same with the other verbs, list the options.

Exit codes: 0 done, 1 failed, 2 wrong flag, setting or file, 3 can't bind a port, 4 a server that doesn't conform, or is
slower than it should be. Of `check`: 1 when every model would be served, but not in each version that its
version_policy asks for; 2 when a model would not be served at all.
"""
_VERBS = ("run", "check", "profile", "bench", "conformance")
_SERVICE_LINK = re.compile(r"HONE_(SERVICE_|PORT(_|$))")

AnySettings = TypeVar("AnySettings", bound=BaseSettings)
AnyTarget = TypeVar("AnyTarget", bound=TargetSettings)


def dispatch(arguments: list[str]) -> int:
    """Run the verb that `arguments` name; the exit code."""
    if arguments[:1] in (["-h"], ["--help"], ["help"]):
        sys.stdout.write(_HELP)
        return ExitCode.OK
    if arguments[:1] == ["--version"]:
        sys.stdout.write(f"{__version__}\n")
        return ExitCode.OK
    verb = ""
    if arguments and arguments[0] in _VERBS:
        verb, *arguments = arguments
    if verb == "profile":
        return profile(arguments)
    if verb == "bench":
        return bench(arguments)
    if verb == "conformance":
        return conformance(arguments)
    if arguments and not arguments[0].startswith("-"):
        model, *arguments = arguments
        if not Path(model).exists():
            return _complain(_neither(model, verb), ExitCode.WRONG_SETTING)
        arguments = [f"--model-repository={model}", *arguments]
    return check(arguments) if verb == "check" else run(arguments)


def run(arguments: Sequence[str]) -> int:
    """The verb `run`."""
    settings = _read(Settings, "run", arguments)
    if settings is None:
        return ExitCode.WRONG_SETTING
    control = LogControl(settings.log_level, locked=settings.locked)
    logs.configure(control, style=settings.log_format)
    import uvloop

    from service.server import CannotBindError, Server

    async def serve() -> int:
        return await Server(settings, control).run()

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(serve())
    except CannotBindError as error:
        return _complain(str(error), ExitCode.CANNOT_BIND)
    except ArtifactError as error:
        return _complain(f"--model-repository: {error}", ExitCode.WRONG_SETTING)


def check(arguments: Sequence[str]) -> int:
    """The verb `check`."""
    from service.checking import CheckSettings
    from service.checking import check as look

    settings = _read(CheckSettings, "check", arguments)
    if settings is None:
        return ExitCode.WRONG_SETTING
    _prepare_to_leave()
    try:
        return look(settings)
    except ArtifactError as error:
        return _complain(f"--model-repository: {error}", ExitCode.WRONG_SETTING)


def profile(arguments: Sequence[str]) -> int:
    """The verb `profile`; a first word is the model's name, or its file."""
    if arguments and not arguments[0].startswith("-"):
        word, *rest = arguments
        flag = "model-repository" if word.endswith(".onnx") else "model"
        arguments = [f"--{flag}={word}", *rest]
    from service.profiling import ProfileSettings
    from service.profiling import profile as measure

    settings = _read(ProfileSettings, "profile", arguments)
    if settings is None:
        return ExitCode.WRONG_SETTING
    _prepare_to_leave()
    try:
        return measure(settings, Console(stderr=settings.as_json))
    except ArtifactError as error:
        return _complain(str(error), ExitCode.WRONG_SETTING)


def bench(arguments: Sequence[str]) -> int:
    """The verb `bench`; the word that is no option is the server's URL."""
    from service.benching import BenchSettings
    from service.benching import bench as measure

    return _ask(measure, BenchSettings, "bench", arguments)


def conformance(arguments: Sequence[str]) -> int:
    """The verb `conformance`; the word that is no option is the server's URL."""
    from service.conforming import ConformanceSettings
    from service.conforming import conformance as check_conformance

    return _ask(check_conformance, ConformanceSettings, "conformance", arguments)


def _ask(ask: Callable[[AnyTarget, Console], int], kind: type[AnyTarget], verb: str, arguments: Sequence[str]) -> int:
    """A verb that asks any server; the exit code."""
    from service.client.conformance.discovery import WrongOptionError
    from service.client.conformance.http_client import UnreachableError

    settings = _read(kind, verb, arguments)
    if settings is None:
        return ExitCode.WRONG_SETTING
    try:
        return ask(settings, Console(stderr=settings.as_json))
    except WrongOptionError as error:
        return _complain(f"{verb}: {error}", ExitCode.WRONG_SETTING)
    except UnreachableError as error:
        return _complain(f"{verb}: {error}", ExitCode.FAILED)


def _prepare_to_leave() -> None:
    """Before workers are started for a verb that prints what it finds: only errors are logged, signals unwind."""
    logs.configure(LogControl("error"))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _unwind)


def _unwind(number: int, _frame: FrameType | None) -> None:
    """Leave through every `finally`: there are workers to end, and the cursor is hidden."""
    sys.exit(128 + number)


def _read(kind: type[AnySettings], verb: str, arguments: Sequence[str]) -> AnySettings | None:
    """The settings, or None after a line for each that is wrong. `--help` and unknown flags end the process."""
    if unknown := _unknown_variable():
        _complain(unknown, ExitCode.WRONG_SETTING)
        return None
    sys.argv[0] = f"hone-serve {verb}"
    try:
        return CliApp.run(kind, cli_args=list(arguments))
    except ValidationError as error:
        for problem in error.errors():
            name = str(problem["loc"][0]) if problem["loc"] else "settings"
            variable = "" if issubclass(kind, TargetSettings) else f" (HONE_{name.upper()})"  # those read flags alone
            flag = f"--{name.replace('_', '-')}{variable}"
            _complain(
                f"{flag}: {problem['msg'].removeprefix('Value error, ')}, got {problem['input']!r}",
                ExitCode.WRONG_SETTING,
            )
    except SettingsError as error:
        _complain(_parser_complaint(str(error), kind), ExitCode.WRONG_SETTING)
    return None


def _unknown_variable() -> str | None:
    """What is wrong with the first variable that looks like one of ours and isn't.

    HONE_PORT and HONE_SERVICE_* are what Kubernetes sets in every pod beside a service called hone.
    """
    known = {f"HONE_{name.upper()}" for name in Settings.model_fields}
    for variable in os.environ:
        if variable.startswith("HONE_") and variable not in known and not _SERVICE_LINK.match(variable):
            return f"{variable}: no such setting{_nearest(variable, known)}"
    return None


def _neither(word: str, verb: str) -> str:
    """What is wrong with a first word that is no file, no folder and no verb; after a verb it can't be another."""
    if word.endswith(".onnx"):
        return f"{word}: no such file"
    if verb:
        return f"{word}: no such file or folder"
    return f"{word}: no such verb, file or folder; the verbs are {', '.join(_VERBS)}{_nearest(word, _VERBS)}"


def _parser_complaint(text: str, kind: type[BaseSettings]) -> str:
    """What the parser of flags said, with the nearest flag."""
    text = text.removeprefix("error parsing CLI: ")
    flags = {f"--{(field.alias or name).replace('_', '-')}" for name, field in kind.model_fields.items()}
    unknown = text.partition("unrecognized arguments: ")[2].split(" ")[0].split("=")[0]
    return text + (_nearest(unknown, flags) if unknown else "")


def _nearest(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), 1)
    return f", did you mean {close[0]}?" if close else ""


def _complain(text: str, code: int) -> int:
    sys.stderr.write(f"hone-serve: {text}\n")
    return code
