"""The recipe of a language model: everything that decides what a run makes, as `Recipe` does for image classifiers."""

from dataclasses import dataclass

from training.common_settings import CommonSettings
from training.compression.distillation.settings import DistilSettings
from training.data.tokens import TokenizerSettings
from training.data.topics import TopicsSettings
from training.networks.decoder import DecoderConfig
from training.optimization.settings import FitSettings
from training.stepwise import PARITY_BATCHES
from training.tasks.next_token import NextToken

LARGEST_CACHE = 512 * 1024
"""Bytes a sequence: a server copies the cache in and out at every token."""


@dataclass(frozen=True, kw_only=True)
class BaselineSettings:
    """Counts that the network has to beat: of these `orders` the one that does best on validation texts."""

    orders: tuple[int, ...] = (3, 4, 5)

    def __post_init__(self) -> None:
        if not self.orders or not all(1 <= order <= 9 for order in self.orders):
            raise ValueError("orders: must be some of 1 to 9")


@dataclass(frozen=True, kw_only=True)
class ContinueSettings:
    """What is timed, `steps` of one token each, and shown: after `prompt` tokens of a test text a `sample` of them.

    Variants of the network are timed by as many requests, in `rounds`.
    """

    steps: int = 100
    rounds: int = 10
    prompt: int = 48
    sample: int = 64

    def __post_init__(self) -> None:
        if min(self.steps, self.rounds, self.prompt, self.sample) < 1:
            raise ValueError("steps, rounds, prompt, sample: must be at least 1")


@dataclass(frozen=True, kw_only=True)
class Goal:
    """What the model must reach: at most `max_bits_per_byte` on test texts, at most this share of the baseline's."""

    max_bits_per_byte: float = 8.0
    max_share_of_baseline: float = 1.0

    def __post_init__(self) -> None:
        if min(self.max_bits_per_byte, self.max_share_of_baseline) <= 0:
            raise ValueError("max_bits_per_byte, max_share_of_baseline: must be positive")


@dataclass(frozen=True, kw_only=True)
class LanguageRecipe(CommonSettings):
    """One run's settings.

    `noise` is the share of tokens that are exchanged in training. `network` learns `task` by `fit`, on tokens that
    `tokenizer` makes of `data`. `distil` is how smaller networks learn from that one, with the same `fit` where it says
    no other, and `students` are shapes of some that are good for what they take, like the network's in all that they
    don't say. The rest says what to compare with, what to time and show, and what to demand.
    """

    data: TopicsSettings
    tokenizer: TokenizerSettings
    noise: float
    network: DecoderConfig
    task: NextToken
    fit: FitSettings
    distil: DistilSettings
    students: tuple[DecoderConfig, ...] = ()
    baseline: BaselineSettings
    evaluate: ContinueSettings
    goal: Goal

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.noise < 1:
            raise ValueError("noise: must be at least 0 and below 1")
        if self.network.cache_bytes > LARGEST_CACHE:
            raise ValueError(
                f"network: its cache takes {self.network.cache_bytes} bytes, at most {LARGEST_CACHE} may be"
            )
        if self.evaluate.prompt + self.evaluate.sample > self.network.context:
            raise ValueError("evaluate: prompt and sample must fit into the network's context")
        if self.network.context < 8 * max(PARITY_BATCHES):
            raise ValueError(f"network.context: must be at least {8 * max(PARITY_BATCHES)}")
