"""The steps that say what a language model is worth, and make it available: evaluate and publish."""

import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from statistics import median

import msgspec
import numpy as np

from training import language_page, language_report, serving, session, stepwise, text_generator, timing
from training import publish as publishing
from training.baselines import ngram
from training.baselines.ngram import best_ngram
from training.data.tokens import Ids, Passage, load_tokenizer
from training.durable import put
from training.language_recipe import ContinueSettings, Goal, LanguageRecipe
from training.language_report import LanguageReport, Reader, Reading, Sample
from training.machine import current_commit, machine
from training.metrics import language
from training.metrics.language import Surprise, nats, total
from training.networks.decoder import DecoderConfig
from training.publish import Published, Release
from training.session import Step, open_stepper
from training.signing_key import SigningKey
from training.steps import fitting, releasing, telling
from training.steps.journal import Journal
from training.steps.reading import DECODER, Corpus
from training.stepwise import continued, empty
from training.summary import Summary
from training.text_generator import TextGenerator
from training.timing import Latency

READING = "reading.json"
TIMED_ROWS = (1, 4, 16)


def evaluate(journal: Journal[LanguageRecipe], model: Path, network: DecoderConfig, corpus: Corpus) -> Reading:
    """What the file `model` makes of the test texts, beside an n-gram; how fast it goes on, and how it sounds."""
    recipe = journal.recipe

    def action(folder: Path) -> None:
        step = open_stepper(model)
        counts = best_ngram(
            [one.ids for one in corpus.train],
            [one.ids for one in corpus.validation],
            orders=recipe.baseline.orders,
            vocabulary=corpus.vocabulary,
        )
        reading = Reading(
            commit=current_commit(),
            decoder=_reader(corpus, lambda ids: nats(step, ids, network)),
            baseline=_reader(corpus, counts.nats),
            order=counts.order,
            latency_ms=_served(recipe, model, corpus),
            tokens_per_second={str(rows): _rate(step, network, rows, recipe.evaluate) for rows in TIMED_ROWS},
            sample=_sample(step, network, corpus, recipe.evaluate),
        )
        put(folder / READING, msgspec.json.format(msgspec.json.encode(reading), indent=1))

    inputs = {
        "model": model,
        "tokenizer": corpus.tokenizer,
        "train": [one.ids.tolist() for one in corpus.train],
        "test": [one.ids.tolist() for one in corpus.test],
        "baseline": recipe.baseline,
        "settings": recipe.evaluate,
        "machine": msgspec.to_builtins(machine()),
    }
    code = (sys.modules[__name__], language, ngram, session, stepwise, language_report, serving, timing)
    journal.do("evaluate", inputs, code, action, lambda: f"{len(corpus.test)} topics, by ONNX Runtime in this process")
    return msgspec.json.decode(journal.path("evaluate", READING).read_bytes(), type=Reading)


def judge(reading: Reading, goal: Goal) -> tuple[bool, str]:
    """Whether the model is what the recipe demands, and a sentence that says it with figures."""
    bits, counted = reading.decoder.bits_per_byte, reading.baseline.bits_per_byte
    found = f"{bits:.3f} bits a byte, {bits / counted:.3f} of what a {reading.order}-gram takes"
    demands = (
        (bits, goal.max_bits_per_byte, f"asked is at most {goal.max_bits_per_byte:.3f}"),
        (bits / counted, goal.max_share_of_baseline, f"asked is at most {goal.max_share_of_baseline:.3f} of that"),
    )
    missed = [text for value, most, text in demands if not value <= most]
    return not missed, f"goal missed: {found}; {'; '.join(missed)}" if missed else f"goal met: {found}"


def tell(journal: Journal[LanguageRecipe], report: LanguageReport) -> None:
    """Leave the report in the run's folder: for programs, as a page, and in a line."""
    recipe, reading = report.recipe, report.reading
    summary = Summary(
        recipe=recipe.name,
        profile=recipe.profile,
        about=recipe.about,
        problem="language",
        network="decoder",
        headline="bits per byte",
        smaller=True,
        figure=language.measure(list(reading.decoder.topics.values())).bits_per_byte,
        baseline=f"{reading.order}-gram",
        baseline_value=reading.baseline.bits_per_byte,
        goal_met=report.goal_met,
        goal=report.goal,
        parameters=report.network.parameters,
        size=report.size,
        fit_seconds=fitting.seconds(journal, DECODER),
        latency_ms=reading.latency_ms,
        commit=reading.commit,
        data="topics",
    )
    telling.tell(journal, report, summary, lambda: language_page.render(report), page=language_page, code=(language,))


def publish(
    journal: Journal[LanguageRecipe],
    repository: Path,
    model: Path,
    corpus: Corpus,
    report: LanguageReport,
    *,
    keep: int | None,
    key: SigningKey | None,
) -> tuple[Published, ...]:
    """The model under the family's name, its tokenizer beside its config; nothing if the goal is missed."""

    def releases() -> Iterable[Release]:
        yield _release(
            journal.recipe, model, corpus, metrics=_metrics(report.reading), evidence=_evidence(report, corpus)
        )

    return releasing.release(journal, repository, releases, goal_met=report.goal_met, keep=keep, key=key)


def _release(
    recipe: LanguageRecipe,
    model: Path,
    corpus: Corpus,
    *,
    metrics: Mapping[str, float],
    evidence: Mapping[str, object],
) -> Release:
    return text_generator.release(
        TextGenerator(network=recipe.network, end=corpus.end),
        model,
        corpus.tokenizer,
        name=recipe.family,
        family=recipe.family,
        variant=DECODER,
        golden=corpus.test[0].ids,
        metrics=metrics,
        evidence=evidence,
    )


def _reader(corpus: Corpus, cost: Callable[[Ids], float]) -> Reader:
    topics = {one.topic: _surprise(one, cost) for one in corpus.test}
    whole = total(topics.values())
    return Reader(topics=topics, whole=whole, perplexity=whole.perplexity, bits_per_byte=whole.bits_per_byte)


def _surprise(one: Passage, cost: Callable[[Ids], float]) -> Surprise:
    return Surprise(nats=cost(one.ids), tokens=len(one.ids) - 1, bytes=one.bytes)


def _rate(step: Step, network: DecoderConfig, rows: int, settings: ContinueSettings) -> float:
    """Tokens a second of `rows` texts in one batch: the median step, after some that warm up, halfway into the context.

    Masks hide what isn't filled but nothing skips it, so that a step takes as long anywhere.
    """
    past, position = empty(network, rows)
    position += network.context // 2
    ids = np.zeros((rows, 1), np.int64)
    seconds = []
    for number in range(-5, settings.steps):
        start = time.perf_counter()
        _, past, _ = step(ids, past, position)
        if number >= 0:
            seconds.append(time.perf_counter() - start)
    return rows / median(seconds)


def _served(recipe: LanguageRecipe, model: Path, corpus: Corpus) -> Latency:
    """How long the service takes to go on by one token, asked by one client."""
    text = load_tokenizer(corpus.tokenizer).decode(_prompt(corpus, recipe.evaluate).tolist())
    inputs = {"text_input": np.array([[text.encode()]], dtype=np.object_)}
    with tempfile.TemporaryDirectory() as scratch:
        publishing.publish(Path(scratch), _release(recipe, model, corpus, metrics={}, evidence={}))
        with serving.serving(Path(scratch), [recipe.family]) as served:
            request = served.request(recipe.family, inputs, {"max_tokens": 1})
            timing.timed(request, timing.WARM_UP)
            return timing.latency(timing.timed(request, recipe.evaluate.steps))


def _prompt(corpus: Corpus, settings: ContinueSettings) -> Ids:
    """The beginning of the longest test text, without the end of a text, as somebody would send it."""
    longest = max(corpus.test, key=lambda one: len(one.ids))
    return longest.ids[1 : settings.prompt + 1]


def _sample(step: Step, network: DecoderConfig, corpus: Corpus, settings: ContinueSettings) -> Sample:
    tokenizer = load_tokenizer(corpus.tokenizer)
    prompt = _prompt(corpus, settings)
    found = continued(step, prompt, network, count=settings.sample, end=corpus.end)
    return Sample(prompt=tokenizer.decode(prompt.tolist()), continuation=tokenizer.decode(found))


def _metrics(reading: Reading) -> dict[str, float]:
    return {
        "perplexity": reading.decoder.perplexity,
        "bits_per_byte": reading.decoder.bits_per_byte,
        "baseline_perplexity": reading.baseline.perplexity,
        "baseline_bits_per_byte": reading.baseline.bits_per_byte,
        "tokens_per_second": reading.tokens_per_second["1"],
    }


def _evidence(report: LanguageReport, corpus: Corpus) -> dict[str, object]:
    """How the metrics were obtained, as plain JSON."""
    recipe, reading = report.recipe, report.reading
    return {
        "measured": "by ONNX Runtime in one process, one thread: this file alone; latency_ms: through the service",
        "recipe": {"name": recipe.name, "profile": recipe.profile, "seed": recipe.seed},
        "topics": {name: len(getattr(corpus, name)) for name in ("train", "validation", "test")},
        "tokens": {"train": sum(len(one.ids) for one in corpus.train), "test": reading.decoder.whole.tokens},
        "baseline": f"interpolated Kneser-Ney, {reading.order} tokens, the same training texts",
        "decoder": {name: asdict(one) for name, one in reading.decoder.topics.items()},
        "counts": {name: asdict(one) for name, one in reading.baseline.topics.items()},
        "latency_ms": asdict(reading.latency_ms),
        "tokens_per_second": dict(reading.tokens_per_second),
        "sample": asdict(reading.sample),
        "verdict": report.goal,
    }
