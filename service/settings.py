"""What the operator decides: one frozen object, read once from flags and HONE_* variables."""

import os
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from service.engine.remote.address import parse_remotes

Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=3600)]
Bytes = Annotated[int, Field(ge=1024, le=2**40)]


def _user_cache() -> Path:
    """This user's folder for what can be made again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "hone"


def _parts(value: object) -> object:
    """The parts of a repeated flag, which come joined by commas, or of a variable."""
    return re.findall(r"[^,\s]+", value) if isinstance(value, str) else value


def _checked_remotes(remotes: tuple[str, ...]) -> tuple[str, ...]:
    parse_remotes(remotes)
    return remotes


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
    max_model_bytes: Bytes = Field(2 * 1024**3, description="refuse model files beyond this size")


class Settings(RepositorySettings):
    """Everything that `run` can be told."""

    remote: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_parts), AfterValidator(_checked_remotes)] = Field(
        (),
        description="NAME=URL of a Triton server that a config may name as the one that computes (hone.remote); "
        "URL is host:port, grpc://host:port or grpcs://host:port; may be repeated",
    )
    host: str = Field("127.0.0.1", description="address to listen on; 0.0.0.0 for all")
    http_port: Port = Field(8000, description="port of the HTTP door; 0 takes a free one")
    metrics_port: Port = Field(8002, description="port of the Prometheus metrics; 0 takes a free one")
    server_name: str = Field("hone", description="name in the server metadata")
    default_deadline_ms: Annotated[float, Field(gt=0, le=3_600_000)] = Field(
        30_000, description="time to completion for requests that name none"
    )
    cache_dir: Path = Field(
        default_factory=_user_cache, description="keeps what was measured of models, so that they load faster next time"
    )
    max_queue_requests: Annotated[int, Field(ge=1)] = Field(
        1024, description="requests that may wait for one model before further ones are refused"
    )
    max_queue_bytes: Bytes = Field(256 * 1024**2, description="the same in bytes of input tensors")
    max_json_bytes: Bytes = Field(4 * 1024**2, description="largest JSON body")
    max_binary_bytes: Bytes = Field(64 * 1024**2, description="largest body with binary tensors")
    max_output_bytes: Bytes = Field(256 * 1024**2, description="largest outputs of one batch")
    receive_timeout_secs: Seconds = Field(30, description="longest time that a client may take to send a request")
    load_timeout_secs: Seconds = Field(300, description="longest time that a model may take to load")
    batch_timeout_secs: Seconds = Field(60, description="a worker that takes longer over one batch is replaced")
    exit_timeout_secs: Seconds = Field(30, description="on SIGTERM, time for what was accepted to be answered")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least severe line to log")
    log_format: Literal["auto", "json", "text"] = Field("auto", description="auto: JSON unless a terminal watches")
