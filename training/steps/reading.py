"""The steps that make a language model: texts, tokens, fit, export."""

import math
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

import numpy as np
import torch

from training import (
    checkpoint,
    data,
    fit,
    fitted,
    networks,
    optimization,
    seeding,
    session,
    static_shapes,
    stepwise,
    tasks,
    tracing,
)
from training.data import tokens, topics, windows
from training.data.tokenized import TOKENIZER
from training.data.tokens import Passage
from training.data.topics import Texts
from training.durable import put
from training.language_recipe import LanguageRecipe
from training.networks.decoder import Decoder, DecoderConfig, build
from training.steps import fitting
from training.steps.fitting import NETWORK
from training.steps.journal import Journal
from training.stepwise import PARITY_BATCHES

DECODER = "decoder"
EXPORT, ONNX = "export", "model.onnx"


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """The three parts of the texts as tokens, and the tokenizer that made them, by its file."""

    tokenizer: Path
    vocabulary: int
    end: int
    train: tuple[Passage, ...]
    validation: tuple[Passage, ...]
    test: tuple[Passage, ...]


@dataclass(frozen=True, kw_only=True)
class DecoderFacts:
    """What a decoder is: how large, how large its cache of one sequence, and its loss on validation texts, in nats."""

    parameters: int
    cache_bytes: int
    context: int
    validation_loss: float


@dataclass(frozen=True, kw_only=True)
class LearnedDecoder:
    """The network of the run: where it lies, and what it is."""

    checkpoint: Path
    facts: DecoderFacts


def load_texts(journal: Journal[LanguageRecipe]) -> Texts:
    """The texts of the recipe, in three parts."""
    start = time.perf_counter()
    texts = topics.load(journal.recipe.data, journal.recipe.seed)
    sizes = [f"{sum(map(len, part.values())) / 1e3:.0f} k" for part in (texts.train, texts.validation, texts.test)]
    told = f"characters: {sizes[0]} to train, {sizes[1]} to validate, {sizes[2]} to test, of {len(texts.test)} topics"
    journal.note("texts", start, cached=False, result=told)
    return texts


def tokenize(journal: Journal[LanguageRecipe], texts: Texts) -> Corpus:
    """A tokenizer of the training texts, and all texts as its tokens."""
    settings = journal.recipe.tokenizer

    def action(folder: Path) -> None:
        tokenizer = tokens.train_tokenizer(texts.train.values(), settings)
        put(folder / TOKENIZER, tokenizer.to_str(pretty=True).encode())

    # The library isn't among those that every step depends on, as images do without.
    inputs = {"texts": dict(texts.train), "settings": settings, "tokenizers": metadata.version("tokenizers")}
    path = journal.path("tokenizer", TOKENIZER)
    journal.do("tokenizer", inputs, (tokens,), action, lambda: f"{path.stat().st_size / 1e3:.0f} KB")
    tokenizer = tokens.load_tokenizer(path)
    parts = (tokens.passages(tokenizer, part) for part in (texts.train, texts.validation, texts.test))
    train, validation, test = parts
    return Corpus(
        tokenizer=path,
        vocabulary=tokenizer.get_vocab_size(),
        end=tokens.end_of(tokenizer),
        train=train,
        validation=validation,
        test=test,
    )


def learn(journal: Journal[LanguageRecipe], corpus: Corpus) -> LearnedDecoder:
    """The recipe's network, trained to foretell the next token."""
    recipe = journal.recipe
    config = replace(recipe.network, vocabulary=corpus.vocabulary)
    held = windows.held_out(tokens.stream(corpus.validation), config.context)
    inputs = {
        "train": tokens.stream(corpus.train),
        "validation": held,
        "noise": recipe.noise,
        "network": config,
        "task": recipe.task,
        "seed": recipe.seed,
        "threads": recipe.threads,
        "fit": recipe.fit,
    }

    def action(folder: Path) -> None:
        torch.set_num_threads(recipe.threads)
        network = build(config, recipe.seed)
        shown = windows_of(recipe, corpus, size=recipe.fit.batch_size)
        told = fit.Fit(network, recipe.task, shown, held, recipe.fit).run(folder, journal.console)
        fitting.keep(folder, network, told)

    def result() -> str:
        told = fitting.history(journal, DECODER)
        loss = told.epochs[told.best].validation["loss"]
        return fitting.summary(told, f"validation perplexity {math.exp(loss):.2f}")

    code = (sys.modules[__name__], fitting, fit, fitted, optimization, seeding, data, networks, tasks, checkpoint)
    journal.do(DECODER, inputs, code, action, result, shared=True)
    return _learned(journal, config)


def export(journal: Journal[LanguageRecipe], network: Path, corpus: Corpus, *, step: str = EXPORT) -> Path:
    """The network in a checkpoint as an ONNX file that was compared with it, on validation texts, kept by `step`."""
    shown = _shown(corpus.validation, journal.recipe.network.context)
    code = (sys.modules[__name__], stepwise, tracing, static_shapes, session, networks, checkpoint)

    def action(folder: Path) -> None:
        stepwise.export(checkpoint.load_network(network, Decoder), shown, folder / ONNX)

    path = journal.path(step, ONNX)
    inputs = {"network": network, "samples": shown}
    journal.do(step, inputs, code, action, lambda: f"{path.stat().st_size / 1e6:.2f} MB")
    return path


def _learned(journal: Journal[LanguageRecipe], config: DecoderConfig) -> LearnedDecoder:
    path = journal.path(DECODER, NETWORK)
    told = fitting.history(journal, DECODER)
    facts = DecoderFacts(
        parameters=sum(weights.numel() for weights in checkpoint.load_network(path, Decoder).parameters()),
        cache_bytes=config.cache_bytes,
        context=config.context,
        validation_loss=told.epochs[told.best].validation["loss"],
    )
    return LearnedDecoder(checkpoint=path, facts=facts)


def windows_of(recipe: LanguageRecipe, corpus: Corpus, *, size: int) -> windows.Windows:
    """The training texts as they are shown, `size` windows a batch."""
    return windows.Windows(
        tokens.stream(corpus.train),
        length=recipe.network.context,
        size=size,
        noise=recipe.noise,
        seed=recipe.seed,
    )


def _shown(parts: Iterable[Passage], context: int) -> tokens.Ids:
    """As many texts as parity needs, int64 [N, M] of one length, cut out of `parts`."""
    ids = tokens.stream(parts)
    length = min(context, len(ids) // max(PARITY_BATCHES))
    return np.stack([ids[row * length : (row + 1) * length] for row in range(max(PARITY_BATCHES))])
