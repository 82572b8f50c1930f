"""The whole story of a recipe, and the command line that tells it."""

import json
import re
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from service.artifact.card import CARD_NAME, Card, load_card, verify_files
from tests.training.doubles import in_process
from training import serving
from training.__main__ import app
from training.data.split import Dataset
from training.recipe import RECIPES, Recipe
from training.report import REPORT, Report
from training.run import run
from training.serving import ServingError


@pytest.fixture(scope="module", autouse=True)
def _without_the_service() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(serving, "serving", in_process)
        yield


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def report(recipe: Recipe, home: Path) -> Report:
    """The tiny profile, run once for all tests."""
    console = Console(file=StringIO())
    return run(recipe, runs=home / "runs", repository=home / "models", console=console)


def card_of(home: Path, name: str) -> Card:
    return load_card(home / "models" / name / "1" / CARD_NAME)


def train(home: Path, *arguments: str, recipe: str = "digits", repository: str = "models") -> Result:
    folders = ("--runs", str(home / "runs"), "--repository", str(home / repository))
    return CliRunner().invoke(app, ["train", recipe, "--profile", "tiny", *folders, *arguments])


def ambitious(home: Path) -> str:
    """The same recipe with a goal that nothing reaches."""
    text = (RECIPES / "digits.yaml").read_text()
    (home / "digits.yaml").write_text(re.sub(r"min_accuracy: 0\.2\b", "min_accuracy: 1.0", text))
    return str(home / "digits.yaml")


def test_the_story_ends_in_published_models(report: Report, home: Path) -> None:
    """Teacher, INT8 and the family's own name are published, each exactly as its card says."""
    assert [one.name for one in report.published] == ["digits-teacher", "digits-int8", "digits"]
    for one in report.published:
        folder = home / "models" / one.name / str(one.version)
        verify_files(load_card(folder / CARD_NAME), folder)


def test_the_family_is_the_chosen_variant(report: Report, home: Path) -> None:
    """The model under the family's name is the chosen variant byte for byte, and its card says which."""
    family, chosen = card_of(home, "digits"), card_of(home, report.verdict.chosen)
    assert family.files == chosen.files
    assert family.chosen == report.verdict.chosen
    assert chosen.chosen is None


def test_cards_tell_where_a_variant_comes_from_and_how_it_was_proved(
    report: Report, home: Path, dataset: Dataset
) -> None:
    """A card has the parent, the figures, the number of images behind them, and the steps that make its input."""
    card = card_of(home, "digits-int8")
    assert card.parent == "digits-teacher"
    assert card.metrics["accuracy"] == report.variants["digits-int8"].accuracy.value
    assert card.evidence["images"]["test"] == len(dataset.test)
    assert [type(step).__name__ for step in card.transforms["image"]][-1] == "ToTensor"
    assert card_of(home, "digits-teacher").parent is None


def test_the_report_is_written_beside_the_run(report: Report, home: Path) -> None:
    """report.json holds recipe, figures, verdict, machine and versions."""
    told = json.loads((home / "runs" / "digits" / "tiny" / REPORT).read_bytes())
    assert told["variants"] == json.loads(report.to_json())["variants"]
    assert {"recipe", "steps", "training", "variants", "verdict", "published", "machine", "commit"} == set(told)


def test_a_second_run_does_nothing_again(report: Report, recipe: Recipe, home: Path) -> None:
    """With nothing changed every step is found done, in a moment, and no version is added."""
    again = run(recipe, runs=home / "runs", repository=home / "models", console=Console(file=StringIO()))
    assert [name for name, step in again.steps.items() if not step.cached] == ["data"]
    assert sum(step.seconds for step in again.steps.values()) < 10
    assert again.variants == report.variants
    assert [one.version for one in again.published] == [1, 1, 1]
    assert not any(one.new for one in again.published)


def test_a_missed_goal_publishes_nothing_and_ends_with_4(report: Report, home: Path) -> None:
    """A family that misses its recipe's goal isn't published; the exit code and the text say so."""
    result = train(home, recipe=ambitious(home), repository="other")
    assert result.exit_code == 4
    assert "misses the goal of 1.0000" in result.output
    assert not (home / "other").exists()


def test_the_command_prints_steps_table_and_reasons(report: Report, home: Path) -> None:
    """Whoever runs it sees each step, the variants side by side, and why one was chosen."""
    result = train(home)
    assert result.exit_code == 0
    for text in ("fit", "unchanged", "accuracy %", "digits-int8", report.verdict.goal):
        assert text in result.output


def test_json_goes_to_stdout_alone(report: Report, home: Path) -> None:
    """With --json the standard output is the report and nothing else; progress goes to stderr."""
    result = train(home, "--json")
    assert json.loads(result.stdout)["verdict"]["chosen"] == report.verdict.chosen
    assert "unchanged" in result.stderr


@pytest.mark.parametrize(
    "arguments,code,text",
    [
        (["train", "digitz"], 2, "no recipe `digitz`, did you mean `digits`?"),
        (["train", "digits", "--profile", "quik"], 2, "no profile `quik`, did you mean `quick`?"),
        (["train"], 2, "Missing argument"),
        (["train", "digits", "--kep", "1"], 2, "No such option"),
        (["train", "digits", "--keep", "0"], 2, "--keep"),
        (["fly"], 2, "No such command"),
    ],
)
def test_a_wrong_word_ends_with_2_and_names_it(arguments: list[str], code: int, text: str) -> None:
    """A wrong recipe, profile, flag or verb is a line that names it and exit code 2."""
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == code
    assert text in result.output


def test_a_service_that_does_not_start_ends_with_1(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, report: Report
) -> None:
    """When figures can't be taken the run fails with what the service said, and publishes nothing."""

    def refuse(*_: object) -> None:
        raise ServingError("the service didn't become ready; it said:\nno")

    monkeypatch.setattr(serving, "serving", refuse)
    (home / "runs" / "digits" / "tiny" / "evaluate").rename(tmp_path / "aside")
    result = train(home, repository="none")
    assert result.exit_code == 1
    assert "it said:\nno" in result.stderr
    assert not (home / "none").exists()
    (home / "runs" / "digits" / "tiny" / "evaluate" / "step.json").unlink()
    (home / "runs" / "digits" / "tiny" / "evaluate").rmdir()
    (tmp_path / "aside").rename(home / "runs" / "digits" / "tiny" / "evaluate")


def test_the_recipes_are_listed_with_their_profiles() -> None:
    """`list` shows what can be trained."""
    result = CliRunner().invoke(app, ["list"])
    assert result.exit_code == 0
    assert re.search(r"^digits +Handwritten digits.*tiny, quick, full", result.stdout, re.MULTILINE)


def test_help_teaches_the_exit_codes() -> None:
    """The help of the command says what its exit codes mean."""
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    assert "Exit codes: 0 done" in " ".join(result.output.split())
