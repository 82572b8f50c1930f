"""What the operator decides: one frozen object, read once from flags and HONE_* variables."""

import ipaddress
import os
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import (
    BaseSettings,
    CliPositionalArg,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from service.artifact.names import is_model_name
from service.artifact.trusted_keys import read_trusted_keys
from service.engine.remote.address import parse_remotes
from service.errors import SettingsError
from service.repository.checks import Checks

Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=3600)]
Bytes = Annotated[int, Field(ge=1024, le=2**40)]
_COLLECTOR = re.compile(r"https?://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~/-]*)?")


def _user_cache() -> Path | None:
    """This user's folder for what can be made again; None for a user without a home, as containers have them."""
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "hone"
    except RuntimeError:  # the user id is in no list of users, and HOME isn't set
        return None


class RepositorySettings(BaseSettings):
    """Where models are and what is demanded of them; all that `check` needs."""

    model_config = SettingsConfigDict(
        env_prefix="HONE_",
        frozen=True,
        extra="forbid",
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_hide_none_type=True,
        cli_avoid_json=True,
        cli_exit_on_error=False,
    )

    model_repository: Path = Field(
        Path("models"), description="folder of models in Triton's layout, or a single .onnx file"
    )
    require_card: bool = Field(False, description="refuse versions without a card.json")
    require_signature: Path | None = Field(
        None,
        description="refuse versions whose card isn't signed with one of these public keys: a PEM file, or a folder",
    )
    max_model_bytes: Bytes = Field(2 * 1024**3, description="refuse model files beyond this size")

    @property
    def checks(self) -> Checks:
        """What a version must pass. Raises SettingsError where the keys have become unreadable."""
        keys = read_trusted_keys(self.require_signature) if self.require_signature else None
        return Checks(max_model_bytes=self.max_model_bytes, require_card=self.require_card, keys=keys)

    @field_validator("require_signature")
    @classmethod
    def _keys(cls, path: Path | None) -> Path | None:
        try:
            if path:
                read_trusted_keys(path)
        except SettingsError as error:
            raise ValueError(str(error)) from error
        return path


class Settings(RepositorySettings):
    """Everything that `run` can be told."""

    remote: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="NAME=URL of a Triton server that a config may name as the one that computes (hone.remote); "
        "URL is host:port, grpc://host:port or grpcs://host:port; may be repeated",
    )
    host: str = Field("127.0.0.1", description="address to listen on; 0.0.0.0 for all")
    http_port: Port = Field(8000, description="port of the HTTP door; 0 takes a free one")
    allow_grpc: bool = Field(True, description="open the gRPC door too")
    grpc_port: Port = Field(8001, description="port of the gRPC door; 0 takes a free one")
    model_control_mode: Literal["none", "poll", "explicit"] = Field(
        "none",
        description="none: serve what is there at the start; poll: follow the repository; explicit: load by request",
    )
    load_model: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="explicit mode: a model to load at the start, or * for all; several times, or with commas",
    )
    repository_poll_secs: Seconds = Field(15, description="poll mode: time between two looks at the repository")
    allow_client_shm: bool = Field(
        False, description="let clients of this machine hand over tensors in shared memory that they name"
    )
    metrics_port: Port = Field(8002, description="port of the Prometheus metrics; 0 takes a free one")
    server_name: str = Field("hone", description="name in the server metadata")
    default_deadline_ms: Annotated[float, Field(gt=0, le=3_600_000)] = Field(
        30_000, description="time to completion for requests that name none"
    )
    cache_dir: Path | None = Field(
        default_factory=_user_cache,
        description="keeps what was measured of models, so that they load faster next time; ~/.cache/hone unless set",
    )
    max_queue_requests: Annotated[int, Field(ge=1)] = Field(
        1024, description="requests that may wait for one model before further ones are refused"
    )
    max_queue_bytes: Bytes = Field(256 * 1024**2, description="the same in bytes of input tensors")
    max_json_bytes: Bytes = Field(4 * 1024**2, description="largest JSON body")
    max_binary_bytes: Bytes = Field(64 * 1024**2, description="largest body with binary tensors")
    max_bytes_elements: Annotated[int, Field(ge=1)] = Field(131_072, description="most elements of BYTES in a request")
    max_output_bytes: Bytes = Field(256 * 1024**2, description="largest outputs of one batch")
    response_cache_byte_size: Annotated[int, Field(ge=0, le=2**40)] = Field(
        0,
        description="keep as many bytes of answers, of all models with response_cache together, and give them again; "
        "0 for none (what Triton calls --cache-config local,size=N now)",
    )
    receive_timeout_secs: Seconds = Field(30, description="longest time that a client may take to send a request")
    load_timeout_secs: Seconds = Field(300, description="longest time that a model may take to load")
    batch_timeout_secs: Seconds = Field(60, description="a worker that takes longer over one batch is replaced")
    worker_nice: Annotated[int, Field(ge=0, le=19)] = Field(
        0, description="how much more polite workers on the CPU are than the server, which has to stay quick"
    )
    exit_timeout_secs: Seconds = Field(
        30,
        description="on SIGTERM, or when a model is replaced or unloaded, time for what was accepted to be answered;"
        " sequences and texts of one that is replaced have ten minutes before",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least severe line to log")
    log_format: Literal["auto", "json", "text"] = Field("auto", description="auto: JSON unless a terminal watches")
    trace_file: Path | None = Field(
        None, description="where traces of requests are written; without it, there are none"
    )
    trace_level: Literal["OFF", "TIMESTAMPS"] = Field("OFF", description="TIMESTAMPS: trace requests from the start")
    trace_rate: Annotated[int, Field(ge=1, lt=2**32)] = Field(1000, description="one request in so many is traced")
    trace_count: Annotated[int, Field(ge=-1, lt=2**31)] = Field(
        -1, description="so many requests are traced; -1 for no end"
    )
    trace_log_frequency: Annotated[int, Field(ge=0, lt=2**32)] = Field(
        0, description="so many traces to a file, which is numbered then; 0 for all in one"
    )
    max_trace_bytes: Bytes = Field(256 * 1024**2, description="no more traces are written after so many bytes")
    otlp_endpoint: str | None = Field(
        None,
        description="URL of a collector of OpenTelemetry that spans of requests are sent to (http://host:4318); "
        "needs the extra otel",
    )
    trace_sample_ratio: Annotated[float, Field(ge=0, le=1)] = Field(
        1.0, description="share of requests that are traced so, of those whose caller doesn't say"
    )
    access_log: bool = Field(False, description="log a line for each request")

    @property
    def locked(self) -> str:
        """Why clients may not change how the server runs; empty where only this machine can reach it."""
        return "" if is_loopback(self.host) else f"anybody who reaches {self.host} could, use --host 127.0.0.1"

    @field_validator("load_model", "remote", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        """The parts of a repeated flag, which come joined by commas, or of a variable."""
        return re.findall(r"[^,\s]+", value) if isinstance(value, str) else value

    @field_validator("remote")
    @classmethod
    def _remotes(cls, remotes: tuple[str, ...]) -> tuple[str, ...]:
        parse_remotes(remotes)
        return remotes

    @field_validator("load_model")
    @classmethod
    def _names(cls, names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if names and info.data.get("model_control_mode") != "explicit":
            raise ValueError("only goes with --model-control-mode explicit")
        for name in names:
            if name != "*" and not is_model_name(name):
                raise ValueError(f"{name!r} isn't the name of a model")
        return names

    @field_validator("trace_file")
    @classmethod
    def _writable(cls, path: Path | None) -> Path | None:
        if path and (path.is_dir() or not path.parent.is_dir()):
            raise ValueError("is a folder" if path.is_dir() else "its folder doesn't exist")
        return path

    @field_validator("trace_level")
    @classmethod
    def _traceable(cls, level: str, info: ValidationInfo) -> str:
        if level != "OFF" and not info.data.get("trace_file"):
            raise ValueError("needs --trace-file")
        return level

    @field_validator("otlp_endpoint")
    @classmethod
    def _collector(cls, url: str | None) -> str | None:
        """With the path that the protocol has for traces, unless it has one."""
        if url is None:
            return None
        if not _COLLECTOR.fullmatch(url):
            raise ValueError("must be http://host:port or https://host:port")
        if not _has_otlp():
            raise ValueError("needs OpenTelemetry, which the extra otel installs")
        return url if urlsplit(url).path.strip("/") else f"{url.rstrip('/')}/v1/traces"

    @field_validator("allow_client_shm")
    @classmethod
    def _near(cls, allowed: bool, info: ValidationInfo) -> bool:
        """Shared memory of this machine is nobody else's to read and write."""
        host = info.data.get("host", "")
        if allowed and not is_loopback(host):
            raise ValueError(f"anybody who reaches {host} could read and write this machine's shared memory")
        return allowed

    @field_validator("model_control_mode")
    @classmethod
    def _closed(cls, mode: str, info: ValidationInfo) -> str:
        """Whoever can load and unload models can end the service: nobody from outside gets to."""
        host = info.data.get("host", "")
        if mode == "explicit" and not is_loopback(host):
            raise ValueError(
                f"anybody who reaches {host} could load and unload models; use --host 127.0.0.1, or mode poll"
            )
        repository = info.data.get("model_repository")
        if mode != "none" and repository and repository.is_file():
            raise ValueError("needs a repository, and --model-repository is a single file")
        return mode


class TargetSettings(BaseSettings):
    """Which server is asked, and for what; what the verbs have in common that ask any server of the protocol."""

    model_config = RepositorySettings.model_config

    url: CliPositionalArg[str] = Field("", description="the server, such as http://localhost:8000")
    model: str = Field("", description="the model to ask; the first of the repository index that is READY unless set")
    shape: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="NAME:DIMS, such as ids:1,16, of an input whose dims vary (else 1 each); may be repeated"
    )
    data: Path | None = Field(None, description="file with an inference request in JSON that the model takes")
    timeout: Seconds = Field(10, description="seconds to wait for what is asked")
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

    @field_validator("shape", mode="before")
    @classmethod
    def _shapes(cls, value: object) -> object:
        """A repeated flag comes joined by commas, which shapes have in them too: a name begins the next."""
        return re.split(r"[,\s]+(?=[^,:\s]+:)", value.strip()) if isinstance(value, str) else value


def _has_otlp() -> bool:
    try:
        return find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    except ModuleNotFoundError:
        return False


def is_loopback(host: str) -> bool:
    """True where only this machine can be reached under `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
