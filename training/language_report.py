"""What a run of a language model came to: figures, decisions and circumstances, as data (report.json)."""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from service.artifact.card import Machine
from training.fitted import Fitted
from training.language_recipe import LanguageRecipe
from training.metrics.language import Surprise
from training.publish import Published
from training.steps.reading import DecoderFacts
from training.timing import Latency


@dataclass(frozen=True, kw_only=True)
class Reader:
    """What one model makes of the test texts: its surprise by topic and in all, and the latter as people read it."""

    topics: Mapping[str, Surprise]
    whole: Surprise
    perplexity: float
    bits_per_byte: float


@dataclass(frozen=True, kw_only=True)
class Sample:
    """The beginning of a test text, and how the model goes on with the most probable tokens."""

    prompt: str
    continuation: str


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The exported file, run in this process: what it makes of the test texts, beside counts of `order` tokens.

    `latency_ms` is that of requests to the service for one token more after a prompt, asked one after the other.
    `tokens_per_second` is by rows of a batch, one token of each a step, on one thread, the caches fed back in.
    """

    commit: str | None
    decoder: Reader
    baseline: Reader
    order: int
    latency_ms: Latency
    tokens_per_second: Mapping[str, float]
    sample: Sample


@dataclass(frozen=True, kw_only=True)
class LanguageReport:
    """Everything a run measured and decided, and what it was measured on."""

    recipe: LanguageRecipe
    fit: Fitted
    network: DecoderFacts
    size: int
    reading: Reading
    goal_met: bool
    goal: str
    machine: Machine
    published: tuple[Published, ...] = ()

    def to_json(self) -> bytes:
        """The report as indented JSON."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"
