"""What was found out about a model on this machine, kept so that the next start needn't find it out again."""

import hashlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import structlog

from service.artifact.config import ModelConfig
from service.backends.plan import Plan
from service.engine.profile import BucketTime

_log = structlog.get_logger()

_VERSION = 4
_MAX_BYTES = 1 << 16


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """How many instances of how many threads serve a model best, how long its batches then take, and how much a
    batch-mate changes an answer (see `difference`).

    `buckets` are those of the longest inputs, empty where lengths vary and none are declared; `shares` says for each
    bucket of declared lengths what its batches take as a share of the longest. `influence` is None where that couldn't
    be found out; `problem` says why.
    """

    instances: int
    threads: int
    buckets: tuple[BucketTime, ...]
    influence: float | None
    shares: tuple[float, ...] = ()
    problem: str = ""


def is_independent(findings: Findings, tolerance: float, log: Any) -> bool:
    """Whether requests may share batches; where it isn't known they don't, and the log says why."""
    if findings.influence is None:
        log.warning(
            "it isn't known whether a batch-mate changes answers: every request is computed alone",
            reason=findings.problem,
        )
        return False
    if findings.influence > tolerance:
        log.warning("a batch-mate changes answers: every request is computed alone", change=findings.influence)
        return False
    return True


class FindingsCache:
    """Owns a folder of findings, a file each; without a folder, or one that can't be written, nothing is kept, and a
    line of the log says so when there is something to keep.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._said = False

    def get(self, key: str) -> Findings | None:
        """What was found under this key; None when nothing was, or the file isn't one of ours."""
        if self._folder is None:
            return None
        try:
            with (self._folder / f"{key}.json").open("rb") as file:
                return msgspec.json.decode(file.read(_MAX_BYTES), type=Findings)
        except (OSError, msgspec.DecodeError):
            return None

    def put(self, key: str, findings: Findings) -> None:
        """Keep findings: the file appears whole or not at all."""
        if self._folder is None:
            self._say("there is no cache folder, as this user has no home")
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            _replace(self._folder / f"{key}.json", msgspec.json.encode(findings))
        except OSError as error:
            self._say(f"the cache folder can't be written: {error.strerror}")

    def _say(self, why: str) -> None:
        """Once: all models are measured anew at the next start."""
        if not self._said:
            self._said = True
            _log.warning("what was measured isn't kept: name a folder with --cache-dir", reason=why)


def _replace(path: Path, content: bytes) -> None:
    """Write a file that appears whole or not at all; nothing is left behind when that fails. Raises OSError."""
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        try:
            file.write(content)
            file.flush()
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def key_of(plan: Plan, runtime: str, config: ModelConfig, cores: int, cpu_info: Path = Path("/proc/cpuinfo")) -> str:
    """A name for all that findings depend on: the model file, how it is run, and the machine."""
    layout = [(group.kind, group.count, group.gpus) for group in config.instance_groups]
    told = (
        (_VERSION, plan.sha256, plan.backend, plan.precision, plan.device, runtime, plan.options),
        (
            config.max_batch_size,
            config.joining is not None,
            layout,
            config.hone.intra_op_threads,
            config.hone.lengths,
            [(spec.name, spec.shape) for spec in config.model_inputs],
        ),
        (plan.batch_buckets, plan.cuda_graphs),
        (cores, _cpu(cpu_info)),
    )
    return hashlib.sha256(repr(told).encode()).hexdigest()


def _cpu(cpu_info: Path) -> Sequence[str]:
    """Model and flags of the first core."""
    try:
        lines = cpu_info.read_text().split("\n\n")[0].splitlines()
    except OSError:
        return (os.uname().machine,)
    return [line for line in lines if line.startswith(("model name", "flags", "Features", "CPU part"))]
