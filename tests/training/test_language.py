"""The whole story of a language model, told once in its tiny profile: what it leaves, and what the verbs say."""

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from rich.console import Console
from typer.testing import CliRunner, Result

from service.artifact.card import CARD_NAME, load_card, verify_files
from service.artifact.digest import sha256_file
from tests.signing_keys import RequireTool, make_keys
from tests.training.page_reader import Reader, check_references, check_self_contained, seen
from training import checkpoint, fit, language
from training.__main__ import app
from training.compression.search.design import Design, Network
from training.data import windows
from training.data.tokens import load_tokenizer
from training.deadline import Deadline
from training.language_recipe import LanguageRecipe
from training.networks.decoder import Decoder, DecoderConfig, build
from training.optimization.settings import FitSettings
from training.recipe import RECIPES, load_any
from training.session import Tensors
from training.specimens.language import LanguageSpecimen
from training.steps import exploring
from training.steps.exploring import Exploration
from training.steps.journal import Journal
from training.tasks.next_token import NextToken

Hone = Callable[..., Result]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `runs`, `models` and the report. Who wants to change something there takes a copy."""
    folder = tmp_path_factory.mktemp("language")
    words = ["publish", "topics", "--profile", "tiny", "--runs", str(folder / "runs"), "--json"]
    result = CliRunner().invoke(app, [*words, "--repository", str(folder / "models")])
    assert result.exit_code == 0, result.stderr
    (folder / "told.json").write_text(result.stdout)
    return folder


@pytest.fixture
def report(told: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((told / "told.json").read_text())
    return found


@pytest.fixture
def copied(told: Path, tmp_path: Path) -> Path:
    for name in ("runs", "models"):
        shutil.copytree(told / name, tmp_path / name)
    return tmp_path


@pytest.fixture
def hone(copied: Path) -> Hone:
    """Runs a verb of the tiny profile on a copy of the run that is finished."""

    def call(verb: str, *arguments: str | Path, recipe: str = "topics") -> Result:
        words = [verb, recipe, *map(str, arguments), "--profile", "tiny", "--runs", str(copied / "runs")]
        return CliRunner().invoke(app, words)

    return call


def step(folder: Path, name: str) -> Path:
    return folder / "runs" / "topics" / "tiny" / name


def test_one_model_is_published_with_its_tokenizer(told: Path, report: dict[str, Any]) -> None:
    """Under the family's name, exactly as its card says, which holds the figures and how they were taken."""
    assert ["topics"] == [one["name"] for one in report["published"]]
    folder = told / "models" / "topics"
    card = load_card(folder / "1" / CARD_NAME)
    verify_files(card, folder / "1")
    assert {"model.onnx", "golden.npz"} == set(card.files)
    assert report["reading"]["decoder"]["bits_per_byte"] == card.metrics["bits_per_byte"]
    assert report["goal"] == card.evidence["verdict"]
    assert "Kneser-Ney" in card.evidence["baseline"]
    assert (folder / "tokenizer.json").read_bytes() == (step(told, "tokenizer") / "tokenizer.json").read_bytes()
    assert {"tokenizer.json": sha256_file(folder / "tokenizer.json")} == {
        name: one.sha256 for name, one in card.beside.items()
    }


def test_its_card_is_signed_on_demand(hone: Hone, copied: Path, require_tool: RequireTool) -> None:
    """With `--sign`, what is published already only gets another card."""
    keys = make_keys(require_tool("openssl"), copied)
    assert 0 == hone("publish", "--repository", copied / "models", "--sign", keys.private).exit_code
    assert keys.name == load_card(copied / "models" / "topics" / "1" / CARD_NAME).signer


def test_it_has_learnt_something(report: dict[str, Any]) -> None:
    """After seconds of training it does far better than guessing among all tokens, on texts that it never saw."""
    reading, vocabulary = report["reading"], report["recipe"]["tokenizer"]["vocabulary"]
    assert reading["decoder"]["perplexity"] < vocabulary / 3
    assert 1 < reading["baseline"]["perplexity"] < vocabulary / 3
    assert report["goal_met"]


def test_figures_fit_together(report: dict[str, Any]) -> None:
    """Network and counts are asked for the same tokens; topics add up; bits and perplexity say the same."""
    decoder, baseline = report["reading"]["decoder"], report["reading"]["baseline"]
    assert list(decoder["topics"]) == list(baseline["topics"])
    for reader in (decoder, baseline):
        for key in ("nats", "tokens", "bytes"):
            assert math.isclose(reader["whole"][key], sum(one[key] for one in reader["topics"].values()))
        bits = math.log2(reader["perplexity"]) * reader["whole"]["tokens"] / reader["whole"]["bytes"]
        assert math.isclose(bits, reader["bits_per_byte"])
    assert decoder["whole"]["tokens"] == baseline["whole"]["tokens"]
    assert all(rate > 0 for rate in report["reading"]["tokens_per_second"].values())
    latency = report["reading"]["latency_ms"]
    assert 0 < latency["p50"] <= latency["p99"]
    assert report["recipe"]["evaluate"]["steps"] == latency["count"]


def test_the_sample_is_a_text_and_how_it_goes_on(told: Path, report: dict[str, Any]) -> None:
    """The prompt is text of the test part, and the tokenizer that is published can tell it."""
    prompt = report["reading"]["sample"]["prompt"]
    tokenizer = load_tokenizer(told / "models" / "topics" / "tokenizer.json")
    assert prompt == tokenizer.decode(tokenizer.encode(prompt).ids)
    assert report["reading"]["sample"]["continuation"]


def test_the_run_is_told_on_a_page(told: Path, report: dict[str, Any]) -> None:
    """The page names bits a byte beside the n-gram, every topic, and the sample; it stands alone."""
    source = (told / "runs" / "topics" / "tiny" / "report" / "report.html").read_text()
    root, reading = Reader(source).root, report["reading"]
    decoder, baseline = reading["decoder"], reading["baseline"]
    answer = root.find("p", **{"class": "answer"}).text
    assert f"takes {decoder['bits_per_byte']:.3f} bits" in answer
    assert f"a {reading['order']}-gram takes {baseline['bits_per_byte']:.3f}" in answer
    rows = [[cell.text for cell in row.all("td")] for row in root.find("section", id="topics").all("tr")][1:]
    assert len(decoder["topics"]) == len(rows)
    assert sorted(f"{one['tokens']:,}" for one in decoder["topics"].values()) == sorted(row[3] for row in rows)
    assert " ".join(reading["sample"]["continuation"].split()) in root.find("section", id="sample").text
    check_self_contained(source)
    check_references(source)


def test_a_browser_shows_the_page(told: Path, tmp_path: Path, require_tool: Callable[[str], str]) -> None:
    """In a real browser, 360 pixels wide, nothing sticks out, and the console stays silent."""
    source = (told / "runs" / "topics" / "tiny" / "report" / "report.html").read_text()
    found = seen(source, tmp_path, require_tool("chromium"), labels="^bits")
    assert 360 >= found["visible"] == found["width"]
    assert found["height"] > 2000


def test_a_second_run_does_nothing_again(hone: Hone, copied: Path, report: dict[str, Any]) -> None:
    """With nothing changed the figures are the same and no version is added."""
    result = hone("publish", "--repository", copied / "models", "--json")
    assert 0 == result.exit_code
    again = json.loads(result.stdout)
    assert report["reading"]["decoder"] == again["reading"]["decoder"]
    assert [(1, False)] == [(one["version"], one["new"]) for one in again["published"]]
    fresh = [line.split()[0] for line in result.stderr.splitlines() if " s   " in line]
    assert {"texts"} >= set(fresh) - {"report"}  # the report names the commit


def test_every_verb_tells_what_it_did(hone: Hone, copied: Path, tmp_path: Path) -> None:
    """The checkpoint and what it is; the figures beside the counts'; the file, where it was wanted."""
    trained, figures = hone("train", "--json"), hone("evaluate")
    assert (0, 0) == (trained.exit_code, figures.exit_code)
    facts = json.loads(trained.stdout)
    network = checkpoint.load_network(Path(facts["checkpoint"]), Decoder)
    assert sum(weights.numel() for weights in network.parameters()) == facts["parameters"]
    for text in ("2-gram", "perplexity", "bits a byte", "tokens/s @rows", "goal met", "better told by the network"):
        assert text in figures.stdout
    (tmp_path / "folder").mkdir()
    exported = hone("export", "decoder", "--to", tmp_path / "folder")
    assert 0 == exported.exit_code
    content = (tmp_path / "folder" / "topics.onnx").read_bytes()
    assert content == (step(copied, "export") / "model.onnx").read_bytes()


def test_what_a_language_model_has_not_is_said_with_2(hone: Hone, tmp_path: Path) -> None:
    """There is no other variant."""
    exported = hone("export", "int8", "--to", tmp_path)
    assert 2 == exported.exit_code
    assert "error: no variant `int8`; there are decoder\n" == exported.stderr


def test_a_missed_goal_ends_with_4_and_publishes_nothing(hone: Hone, copied: Path, tmp_path: Path) -> None:
    """The sentence says what was found and what was asked."""
    settings = yaml.safe_load((RECIPES / "topics.yaml").read_text())
    settings["profiles"]["tiny"]["goal"] = {"max_bits_per_byte": 0.5}
    (tmp_path / "topics.yaml").write_text(yaml.safe_dump(settings))
    result = hone("publish", "--repository", tmp_path / "other", recipe=str(tmp_path / "topics.yaml"))
    assert 4 == result.exit_code
    assert "goal missed: " in result.stdout
    assert "asked is at most 0.500" in result.stdout
    assert not (tmp_path / "other").exists()


def test_damage_is_named(hone: Hone, copied: Path) -> None:
    """A checkpoint that was changed ends the run with 2, and is made anew only if asked."""
    path = step(copied, "decoder") / "network.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    refused = hone("evaluate")
    assert 2 == refused.exit_code
    assert "decoder/network.safetensors: isn't what this step wrote; --retrain makes it anew" in refused.stderr


def test_an_interrupted_fit_ends_with_the_same_weights(tmp_path: Path, quiet: Console) -> None:
    """Stopped after an epoch and started again from its checkpoint, as if it hadn't been."""
    ids = np.random.default_rng(1).integers(0, 9, 400).cumsum() % 30
    config = DecoderConfig(layers=1, width=16, heads=2, cache_heads=1, context=16, vocabulary=30)
    settings = FitSettings(epochs=3, batch_size=8, patience=9)

    def run(folder: Path, stop_after: int | None = None) -> list[np.ndarray[Any, Any]]:
        folder.mkdir(exist_ok=True)
        network = build(config, seed=2)
        shown = windows.Windows(ids, length=16, size=8, noise=0.1, seed=4)
        held = windows.held_out(ids, 16)
        made = fit.Fit(network, NextToken(label_smoothing=0.1), shown, held, settings)
        made.run(folder, quiet, stop_after=stop_after)
        return [weights.detach().numpy() for weights in network.parameters()]

    whole = run(tmp_path / "whole")
    run(tmp_path / "parts", stop_after=1)
    resumed = run(tmp_path / "parts")
    assert all(np.array_equal(one, other) for one, other in zip(whole, resumed, strict=True))


def test_a_search_that_has_no_time_ends_with_the_model_itself(hone: Hone, report: dict[str, Any]) -> None:
    """What it takes to tell the validation texts, and test texts as `evaluate` tells them; nothing else is tried."""
    result = hone("compress", "--minutes", "0.0001", "--json")
    assert 0 == result.exit_code, result.stderr
    found = json.loads(result.stdout)
    assert (["teacher"], "time", "bits per byte") == (
        [one["variant"] for one in found["rows"]],
        found["ended"],
        found["headline"],
    )
    tested = found["tested"]["teacher"]["figure"]["value"]
    assert report["reading"]["decoder"]["bits_per_byte"] == pytest.approx(tested, rel=1e-6)


def test_a_decoder_in_integers_still_tells_texts(copied: Path) -> None:
    """Ranges are learnt halfway into a context; 8 bits a weight cost next to nothing, and both are served."""
    recipe = load_any("topics", "tiny")
    assert isinstance(recipe, LanguageRecipe)
    with Journal(recipe, copied / "runs", Console(file=StringIO())) as journal:
        specimen = LanguageSpecimen(journal, language.export(journal))
        exploration = Exploration(specimen, Deadline())
        designs = [Design(), Design(numbers="static"), Design(numbers="weights8")]
        teacher, static, weights = exploration.tried(designs)
    samples = specimen.samples(Network())
    assert (0, 32) == (np.ptp(samples["position"]), samples["position"][0, 0])
    assert np.abs(samples["past"][:, :, :, :, :32]).min(axis=-1).any()
    assert not samples["past"][:, :, :, :, 32:].any()
    assert ("", "", "") == (teacher.failed, static.failed, weights.failed)
    assert abs(weights.drop) < 0.005
    assert abs(static.drop) < 0.05
    assert min(static.gain.size, weights.gain.size) > 1


def test_a_student_in_integers_learns_ranges_from_its_own_cache(copied: Path) -> None:
    """It has fewer layers than its teacher, of which each has a part of the cache."""
    shallow, recipe = Network(route="shallow", share=0.5), load_any("topics", "tiny")
    assert isinstance(recipe, LanguageRecipe)
    with Journal(recipe, copied / "runs", Console(file=StringIO())) as journal:
        specimen = LanguageSpecimen(journal, language.export(journal))
        exploration = Exploration(specimen, Deadline())
        designs = [Design(), Design(network=shallow), Design(network=shallow, numbers="static")]
        found = exploration.tried(designs)
        assert [""] * 3 == [one.failed for one in found]
        assert abs(found[2].drop - found[1].drop) < 0.05
        assert (2, 1) == tuple(specimen.samples(one)["past"].shape[1] for one in (Network(), shallow))
        evidence = exploration.explained(designs[2:], designs, rows=8)["shallow50-static"]
    assert evidence.shares["integer"] > 0


def test_what_runs_is_told_of_a_step_as_the_service_has_it(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One token of each text; ranges are learnt from more of them. In words it is neither an input nor a text."""
    asked: list[Tensors] = []
    monkeypatch.setattr(exploring, "explain", lambda *given, **_: asked.append(given[4]))
    recipe = load_any("topics", "tiny")
    assert isinstance(recipe, LanguageRecipe)
    with Journal(recipe, copied / "runs", Console(file=StringIO())) as journal:
        specimen = LanguageSpecimen(journal, language.export(journal))
        exploration = Exploration(specimen, Deadline())
        exploration.tried([Design()])
        exploration.explained([Design()], [Design()], rows=8)
        samples = specimen.samples(Network())
    assert ((32, 1), (32, 16)) == (asked[0]["input_ids"].shape, samples["input_ids"].shape)
    assert np.array_equal(asked[0]["input_ids"], samples["input_ids"][:, :1])
    assert np.array_equal(asked[0]["past"], samples["past"])
    assert ("one token of one text", "one token of 8 texts") == (specimen.counted(1), specimen.counted(8))


@pytest.mark.parametrize("profile, rounds, requests", [("tiny", 2, 2), ("quick", 10, 10)])
def test_a_profile_says_how_much_is_measured(copied: Path, profile: str, rounds: int, requests: int) -> None:
    """A tiny model isn't timed for minutes."""
    tiny, asked = load_any("topics", "tiny"), load_any("topics", profile)
    assert isinstance(tiny, LanguageRecipe)
    assert isinstance(asked, LanguageRecipe)
    evaluate = replace(tiny.evaluate, steps=asked.evaluate.steps, rounds=asked.evaluate.rounds)
    with Journal(tiny, copied / "runs", Console(file=StringIO())) as journal:
        exported = language.export(journal)
        settings = LanguageSpecimen(journal.of(replace(tiny, evaluate=evaluate)), exported).settings
    assert (rounds, requests, (1, 8, 16)) == (settings.rounds, settings.requests, settings.batch_sizes)
