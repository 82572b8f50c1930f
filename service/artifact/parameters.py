"""Hone's own settings of a model: the `hone.*` parameters of its config.pbtxt, and Triton's parameters for threads."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast

from service.artifact.generate import GENERATE, Generate, read_generate
from service.artifact.lengths import LENGTH, UNPAD, Length, Unpad, read_lengths
from service.artifact.names import is_model_name
from service.artifact.pbtxt import nearest
from service.errors import ArtifactError

Precision: TypeAlias = Literal["f32", "bf16", "f16"]

PREFIX = "hone."
KEYS = (
    "hone.batch_buckets",
    "hone.batch_tolerance",
    "hone.cuda_graphs",
    "hone.deadline_ms",
    "hone.family",
    GENERATE,
    "hone.precision",
    "hone.reject_non_finite",
    "hone.remote",
    "hone.variant",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class HoneParameters:
    """What a model asks of Hone beyond Triton's fields.

    `batch_buckets` are the only numbers of rows that a batch is computed as, rising up to `max_batch_size`: smaller
    ones are padded with rows of their own. With `cuda_graphs` a GPU computes each of them by a recorded graph (powers
    of two where no buckets are named). `batch_tolerance` is how much a batch-mate may change an answer, as a share of
    the largest one. `deadline_ms` bounds the time to completion. With `reject_non_finite` a request with NaN or an
    infinity in an input is refused. `remote` is what the operator calls the server that computes the model, empty when
    it is this one. `generate` makes a model that writes texts of one that computes the next token. Thread counts are
    Triton's onnxruntime parameters. None: not said.
    """

    batch_buckets: tuple[int, ...] = ()
    batch_tolerance: float | None = None
    cuda_graphs: bool = False
    deadline_ms: float | None = None
    precision: Precision = "f32"
    reject_non_finite: bool = False
    remote: str = ""
    family: str = ""
    variant: str = ""
    intra_op_threads: int | None = None
    inter_op_threads: int | None = None
    lengths: tuple[Length, ...] = ()
    unpads: tuple[Unpad, ...] = ()
    generate: Generate | None = None


def read_parameters(values: Mapping[str, str], *, source: str, max_batch_size: int = 0) -> HoneParameters:
    """Typed settings from a config's parameters; keys of others pass.

    Raises ArtifactError for an unknown `hone.` key, naming the nearest, and for a value that doesn't fit its key.
    """
    for key in values:
        if key.startswith(PREFIX) and key not in KEYS and not key.startswith((LENGTH, UNPAD)):
            raise ArtifactError(f'{source}: parameters: unknown key "{key}"{nearest(key, list(KEYS))}')
    reader = _Reader(values=values, source=source)
    lengths, unpads = read_lengths(values, source=source)
    return HoneParameters(
        batch_buckets=reader.sizes("hone.batch_buckets", max_batch_size),
        batch_tolerance=reader.share("hone.batch_tolerance"),
        cuda_graphs=reader.flag("hone.cuda_graphs"),
        deadline_ms=reader.number("hone.deadline_ms"),
        precision=reader.precision("hone.precision"),
        reject_non_finite=reader.flag("hone.reject_non_finite"),
        remote=reader.name("hone.remote"),
        family=values.get("hone.family", ""),
        variant=values.get("hone.variant", ""),
        intra_op_threads=reader.count("intra_op_thread_count"),
        inter_op_threads=reader.count("inter_op_thread_count"),
        lengths=lengths,
        unpads=unpads,
        generate=read_generate(values, source=source),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Reader:
    """Reads one value at a time from texts, with an error that names key and value."""

    values: Mapping[str, str]
    source: str

    def number(self, key: str) -> float | None:
        """A finite number above 0; absent or 0 means not said."""
        text = self.values.get(key)
        if text is None:
            return None
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or value < 0:
            raise self._error(key, "a number, 0 or above")
        return value or None

    def share(self, key: str) -> float | None:
        """A number from 0 to 1; absent means not said, 0 means none."""
        if key not in self.values:
            return None
        value = self.number(key) or 0.0
        if value > 1:
            raise self._error(key, "a share from 0 to 1")
        return value

    def count(self, key: str) -> int | None:
        """A whole number above 0; absent or 0 means not said."""
        text = self.values.get(key)
        if text is None:
            return None
        if not (text.isascii() and text.isdigit() and len(text) < 5):
            raise self._error(key, "a whole number, 0 or above")
        return int(text) or None

    def sizes(self, key: str, largest: int) -> tuple[int, ...]:
        """Rising whole numbers up to `largest`, with commas between them; absent means none."""
        if key not in self.values:
            return ()
        if not largest:
            raise ArtifactError(f'{self.source}: parameters: "{key}" needs a max_batch_size above 0')
        parts = [part.strip() for part in self.values[key].split(",")]
        sizes = tuple(int(part) for part in parts if part.isascii() and part.isdigit() and len(part) < 7)
        if len(sizes) < len(parts) or sizes[0] < 1 or sizes[-1] != largest or sorted(set(sizes)) != list(sizes):
            raise self._error(key, f"rising numbers of rows, the last of them max_batch_size ({largest})")
        return sizes

    def flag(self, key: str) -> bool:
        """`true` or `false`; absent means false."""
        text = self.values.get(key, "false").lower()
        if text not in ("true", "false"):
            raise self._error(key, "true or false")
        return text == "true"

    def precision(self, key: str) -> Precision:
        """`f32`, `bf16` or `f16`; absent means f32."""
        text = self.values.get(key, "f32")
        if text not in ("f32", "bf16", "f16"):
            raise self._error(key, "f32, bf16 or f16")
        return cast("Precision", text)

    def name(self, key: str) -> str:
        """A word that the operator chose; absent means none. It is never an address."""
        text = self.values.get(key)
        if text is not None and not is_model_name(text):
            raise self._error(key, "the NAME of a --remote NAME=URL")
        return text or ""

    def _error(self, key: str, expected: str) -> ArtifactError:
        return ArtifactError(f'{self.source}: parameters: "{key}" is {self.values[key]!r}, expected {expected}')
