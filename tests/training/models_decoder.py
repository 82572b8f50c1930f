"""A text generator with random weights, published in seconds: for tests that need a decoder, and not a good one."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from training.data.tokenized import TOKENIZER
from training.data.tokens import TokenizerSettings, end_of, load_tokenizer, train_tokenizer
from training.networks.decoder import DecoderConfig, build
from training.publish import publish
from training.session import open_stepper
from training.stepwise import continued, export
from training.text_generator import TextGenerator, release

TEXTS = (
    "The while statement is used for repeated execution as long as an expression is true.",
    "The if statement is used for conditional execution.",
    "The for statement is used to iterate over the elements of a sequence.",
)


@dataclass(frozen=True, kw_only=True)
class Speaker:
    """A published text generator: the model's `folder`, its network, and the `end` of a text."""

    folder: Path
    network: DecoderConfig
    end: int

    def continuation(self, prompt: str, *, count: int) -> list[int]:
        """What a server should go on with, greedily: the tokens after those of `prompt`, at most `count`.

        Computed by the published file in this process.
        """
        ids = load_tokenizer(self.folder / TOKENIZER).encode(prompt).ids
        step = open_stepper(self.folder / "1" / "model.onnx")
        return continued(step, np.array(ids, np.int64), self.network, count=count, end=self.end)


def publish_speaker(repository: Path, *, name: str = "speaker", seed: int = 1, context: int = 64) -> Speaker:
    """Build, export and publish a decoder of random weights into `repository`, the same for the same seed.

    Its weights are large, so that it says different things after different texts; few of them make sense.
    """
    tokenizer = train_tokenizer(TEXTS, TokenizerSettings(vocabulary=300))
    config = DecoderConfig(
        layers=2, width=32, heads=4, cache_heads=2, context=context, vocabulary=tokenizer.get_vocab_size()
    )
    network = build(config, seed).eval()
    with torch.no_grad():
        for weights in network.parameters():
            weights.mul_(4)
    texts = np.random.default_rng(seed).integers(0, config.vocabulary, (5, context))
    end = end_of(tokenizer)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        tokenizer.save(str(folder / TOKENIZER))
        export(network, texts, folder / "model.onnx")
        made = release(
            TextGenerator(network=config, end=end),
            folder / "model.onnx",
            folder / TOKENIZER,
            name=name,
            family=name,
            variant="random",
            golden=texts[0],
            metrics={},
            evidence={},
        )
        publish(repository, made)
    return Speaker(folder=repository / name, network=config, end=end)
