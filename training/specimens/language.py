"""A language model, which continues texts step by step; its cache stays in floating point."""

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from service.errors import SettingsError
from training import checkpoint, data, language_report, networks, stepwise, tasks, text_generator
from training.bootstrap import Indices
from training.comparison import Against, difference, verdict
from training.compression.search.design import Design, Network
from training.data import tokens, windows
from training.data.tokens import Ids, Passage, load_tokenizer
from training.language import Exported
from training.language_recipe import LanguageRecipe
from training.metrics import language
from training.metrics.language import Surprise, nats
from training.networks.decoder import Decoder, DecoderConfig
from training.problems.problem import Scores
from training.publish import Release
from training.runtime import ONNX_RUNTIME, Runtime
from training.serving import Served
from training.session import Tensors, open_stepper
from training.specimens.specimen import Part
from training.statistics import Values
from training.steps import fitting
from training.steps.integers import LearntIntegers
from training.steps.journal import Journal
from training.steps.reading import DECODER, Corpus, export, windows_of
from training.steps.shrinking import Schooling, Shrinking
from training.steps.teaching import LOOP
from training.stepwise import INPUTS, empty
from training.text_generator import TextGenerator
from training.timing import EvaluateSettings, Predictor, Request

ROWS = 32
"""Places in the training texts that ranges are learnt from."""
NEXT = 16
"""Tokens that are read there, after half a context."""
WRITTEN = 16
"""Tokens that a timed request asks for."""
CLIENTS = (1, 8, 16)
"""Texts that are written at once: the service computes a step of all of them together."""


@dataclass(frozen=True, kw_only=True)
class Writing:
    """A running service that is asked for a few tokens more of each text, of all at once. Implements `Predictor`."""

    served: Served

    def request(self, model: str, inputs: Tensors) -> Request:
        """See `Predictor`."""
        texts = next(iter(inputs.values()))
        each = [{name: array[row : row + 1] for name, array in inputs.items()} for row in range(len(texts))]
        return self.served.together(model, each, {"max_tokens": WRITTEN})

    def compute_seconds(self, model: str) -> float:
        """See `Predictor`."""
        return self.served.compute_seconds(model)

    def is_independent(self, model: str) -> bool:
        """See `Predictor`."""
        return self.served.is_independent(model)


class LanguageSpecimen:
    """Reads, learns and writes as its recipe says. Implements `Specimen`."""

    headline = "bits per byte"
    smaller = True
    doubt = ""
    runtimes: Sequence[Runtime] = (ONNX_RUNTIME,)
    aware = False
    code: Sequence[ModuleType] = (sys.modules[__name__], language, stepwise, text_generator, language_report)

    def __init__(self, journal: Journal[LanguageRecipe], exported: Exported) -> None:
        self.journal = journal
        self._exported = exported
        self._corpus = exported.corpus
        self._configs: dict[Network, DecoderConfig] = {}
        schooling = _schooling(journal, exported.corpus)
        self._shrinking = Shrinking(journal, exported.learned.checkpoint, schooling)

    @property
    def routes(self) -> Mapping[str, Sequence[str]]:
        """See `Subject`."""
        return self._shrinking.routes

    @property
    def first(self) -> Sequence[Network]:
        """See `Subject`."""
        return self._shrinking.first

    @property
    def settings(self) -> EvaluateSettings:
        """Texts are written for one client and for several at once; as many requests as the recipe times steps."""
        asked = self.journal.recipe.evaluate
        requests = max(1, asked.steps // asked.rounds)
        return EvaluateSettings(rounds=asked.rounds, requests=requests, batch_sizes=CLIENTS)

    def decides(self, part: Part) -> Mapping[str, Any]:
        """See `Specimen`."""
        return {"part": [one.ids.tolist() for one in self._part(part)], "prompt": self.journal.recipe.evaluate.prompt}

    def floating(self, network: Network) -> Path:
        """See `Specimen`."""
        learned = self._shrinking.learned(network)
        if network == Network():
            model = self._exported.model
        else:
            model = export(self.journal, learned, self._corpus, step=f"export-{network.name}")
        self._configs[network] = checkpoint.load_network(learned, Decoder).config
        return model

    def integers(self, network: Network) -> LearntIntegers:
        """Raises SettingsError: there are none."""
        raise SettingsError(f"{network.name}: steps of a decoder are floats, so no integers are learnt")

    def samples(self, network: Network) -> Tensors:
        """Tokens [N, 16] of the training texts, with half a context before them in the network's cache."""
        return self._halfway(network, NEXT)

    def shown(self, network: Network) -> Tensors:
        """A step of the service there: the first of those tokens [N, 1]."""
        return self._halfway(network, 1)

    def counted(self, rows: int) -> str:
        """See `Specimen`."""
        return "one token of one text" if rows == 1 else f"one token of {rows} texts"

    def _halfway(self, network: Network, length: int) -> Tensors:
        step = open_stepper(self.floating(network))
        config = self._configs[network]
        before = config.context // 2
        stream = tokens.stream(self._corpus.train)
        starts = np.linspace(0, len(stream) - before - NEXT, ROWS).astype(np.int64)
        _, past, position = step(_cut(stream, starts, before), *empty(config, ROWS))
        return dict(zip(INPUTS, (_cut(stream, starts + before, length), past, position), strict=True))

    def release(self, design: Design, model: Path) -> Release:
        """See `Specimen`."""
        return text_generator.release(
            TextGenerator(network=self._configs[design.network], end=self._corpus.end),
            model,
            self._corpus.tokenizer,
            name=f"{self.journal.recipe.family}-{design.name}",
            family=self.journal.recipe.family,
            variant=design.name,
            golden=self._corpus.validation[0].ids,
            metrics={},
            evidence={},
        )

    def forms(self, network: Network) -> Mapping[str, Release]:  # noqa: ARG002 - it has only this one
        """See `Specimen`."""
        return {}

    def requests(self, part: Part) -> Tensors:
        """The beginning of the longest text."""
        longest = max(self._part(part), key=lambda one: len(one.ids))
        prompt = longest.ids[1 : self.journal.recipe.evaluate.prompt + 1]
        text = load_tokenizer(self._corpus.tokenizer).decode(prompt.tolist())
        return {"text_input": np.array([[text.encode()]], dtype=np.object_)}

    def predictor(self, served: Served) -> Predictor:
        """The service, asked for a few tokens."""
        return Writing(served=served)

    def answers(self, served: Served, design: Design, model: Path, part: Part) -> Tensors:  # noqa: ARG002 - see below
        """What each text costs, in nats, by the file in this process: a service says tokens, and not how probable."""
        step = open_stepper(model)
        config = self._configs[design.network]
        return {"nats": np.array([nats(step, one.ids, config) for one in self._part(part)])}

    def score(self, answers: Tensors, teacher: Tensors, part: Part) -> float:  # noqa: ARG002 - texts are known
        """See `Specimen`."""
        return language.total(_surprises(answers, self._part(part))).bits_per_byte

    def scores(self, answers: Tensors, teacher: Tensors) -> Scores:  # noqa: ARG002 - texts are known
        """See `Specimen`."""
        found = language.measure(_surprises(answers, self._part("test")))
        return Scores(figures={self.headline: found.bits_per_byte, "perplexity": found.perplexity})

    def against(self, answers: Tensors, rival: Tensors, teacher: Tensors) -> Against:  # noqa: ARG002 - targets are known
        """See `Specimen`; a text is a source."""
        lengths = np.array([one.bytes for one in self._part("test")], np.float64)

        def bits(found: Tensors) -> Callable[[Indices], Values]:
            return lambda chosen: np.asarray(found["nats"][chosen].sum() / math.log(2) / lengths[chosen].sum())

        apart = difference(bits(answers), bits(rival), np.arange(len(lengths)))
        return Against(difference=apart, verdict=verdict(apart, smaller=self.smaller))

    def _part(self, part: Part) -> Sequence[Passage]:
        return self._corpus.test if part == "test" else self._corpus.validation


def _cut(stream: Ids, starts: Ids, length: int) -> Ids:
    cut: Ids = stream[starts[:, None] + np.arange(length)]
    return cut


def _surprises(answers: Tensors, part: Sequence[Passage]) -> list[Surprise]:
    return [
        Surprise(nats=float(cost), tokens=len(one.ids) - 1, bytes=one.bytes)
        for cost, one in zip(answers["nats"], part, strict=True)
    ]


def _schooling(journal: Journal[LanguageRecipe], corpus: Corpus) -> Schooling:
    recipe = journal.recipe
    return Schooling(
        task=recipe.task,
        batches=lambda size: windows_of(recipe, corpus, size=size),
        validation=windows.held_out(tokens.stream(corpus.validation), recipe.network.context),
        distil=recipe.distil,
        decides={"train": tokens.stream(corpus.train), "noise": recipe.noise},
        code=(*LOOP, data, networks, tasks),
        epoch_seconds=fitting.seconds(journal, DECODER) / len(fitting.history(journal, DECODER).epochs),
        students=[replace(one, vocabulary=corpus.vocabulary) for one in recipe.students],
    )
