"""The command line: what each verb prints and returns, and what it says of mistakes."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from service.artifact.card import load_card
from tests.signing_keys import RequireTool, make_keys
from training.__main__ import app
from training.recipe import RECIPES

ROOT = Path(__file__).resolve().parents[2]
VERBS = ["list", "train", "tune", "compress", "evaluate", "export", "publish", "import"]
Hone = Callable[..., Result]


@pytest.fixture
def runs(story: Path, tmp_path: Path) -> Path:
    shutil.copytree(story / "runs", tmp_path / "runs")
    return tmp_path / "runs"


@pytest.fixture
def hone(runs: Path) -> Hone:
    """Runs a verb of the tiny profile on a copy of the run that is finished."""

    def call(verb: str, *arguments: str | Path, recipe: str = "digits") -> Result:
        words = [verb, recipe, *map(str, arguments), "--profile", "tiny", "--runs", str(runs)]
        return CliRunner().invoke(app, words)

    return call


def step(runs: Path, name: str) -> Path:
    return runs / "digits" / "tiny" / name


@pytest.fixture
def ambitious(tmp_path: Path) -> str:
    """The same recipe with a goal that nothing reaches."""
    settings = yaml.safe_load((RECIPES / "digits.yaml").read_text())
    settings["profiles"]["tiny"]["budget"]["min_shrink"] = 1000.0
    (tmp_path / "digits.yaml").write_text(yaml.safe_dump(settings))
    return str(tmp_path / "digits.yaml")


def test_recipes_are_listed_with_their_last_results(runs: Path, tmp_path: Path) -> None:
    """`list` shows what can be trained and what it came to, and with --json the same as data."""
    words = ["list", "--runs", str(runs)]
    plain, data = (CliRunner().invoke(app, [*words, *more]) for more in ([], ["--json"]))
    assert (0, 0) == (plain.exit_code, data.exit_code)
    digits = json.loads(data.stdout)["digits"]
    figure, report = digits["last"]["figure"], json.loads((step(runs, "report") / "report.json").read_text())
    assert report["variants"][report["verdict"]["chosen"]]["accuracy"]["value"] == figure["value"]
    assert ["tiny", "quick", "full"] == digits["profiles"]
    assert re.search(r"^ digits +Handwritten digits.* classification +digits +resnet", plain.stdout, re.MULTILINE)
    assert re.search(rf"^ digits +accuracy {figure['value']:.4g} .* met +tiny ", plain.stdout, re.MULTILINE)
    nothing = CliRunner().invoke(app, ["list", "--runs", str(tmp_path / "none"), "--json"])
    assert json.loads(nothing.stdout)["digits"]["last"] is None


def test_train_tells_the_teacher(hone: Hone, runs: Path) -> None:
    """The checkpoint's place and, with --json, what the network is."""
    checkpoint = step(runs, "teacher") / "network.safetensors"
    plain, data = hone("train"), hone("train", "--json")
    assert (0, 0) == (plain.exit_code, data.exit_code)
    assert str(checkpoint) in plain.stdout.replace("\n", "")
    told = json.loads(data.stdout)
    assert str(checkpoint) == told["checkpoint"]
    assert (None, ["teacher"]) == (told["parent"], told["steps"])
    assert 0 < told["validation_accuracy"] <= 1


def test_compress_begins_with_the_teacher_that_is_there(hone: Hone, runs: Path) -> None:
    """A search whose time is up has measured that one, which was taught before; nothing is better yet."""
    taught = (step(runs, "teacher") / "step.json").read_bytes()
    data = hone("compress", "--minutes", "0.0001", "--json")
    assert 0 == data.exit_code, data.stderr
    told = json.loads(data.stdout)
    assert ("time", "teacher", ["teacher"]) == (told["ended"], told["chosen"], [row["variant"] for row in told["rows"]])
    assert taught == (step(runs, "teacher") / "step.json").read_bytes()
    assert (step(runs, "compress") / "compress.html").exists()


def test_evaluate_tells_figures_and_reasons(hone: Hone) -> None:
    """The variants side by side, why each is chosen or not, and the goal; nothing is published."""
    plain, data = hone("evaluate"), hone("evaluate", "--json")
    assert (0, 0) == (plain.exit_code, data.exit_code)
    told = json.loads(data.stdout)
    assert [] == told["published"]
    lines = plain.stdout.replace("\n", "")
    for text in ("accuracy %", "smaller", "faster", told["verdict"]["goal"], *told["verdict"]["reasons"].values()):
        assert text.replace("\n", "") in lines


def test_all_variants_are_signed(hone: Hone, tmp_path: Path, require_tool: RequireTool) -> None:
    """With `--sign`, each card, also that of the family's name."""
    keys = make_keys(require_tool("openssl"), tmp_path)
    told = hone("publish", "--repository", tmp_path / "models", "--sign", keys.private)
    assert 0 == told.exit_code, told.stderr
    assert [keys.name] * 5 == [load_card(path).signer for path in (tmp_path / "models").glob("*/1/card.json")]


def test_publish_tells_what_was_published(hone: Hone, tmp_path: Path) -> None:
    """Each model with its version; the second time the same, unchanged."""
    first, second = (hone("publish", "--repository", tmp_path / "models") for _ in range(2))
    assert (0, 0) == (first.exit_code, second.exit_code)
    for name in ("digits-teacher", "digits-student", "digits-pruned", "digits-int8", "digits"):
        assert f"published {name} version 1\n" in first.stdout
        assert f"unchanged {name} version 1\n" in second.stdout


def test_only_as_many_versions_stay_as_asked(hone: Hone, tmp_path: Path) -> None:
    """With --keep 1 an older version goes when the next one comes."""
    hone("publish", "--repository", tmp_path / "models")
    (tmp_path / "models" / "digits" / "1" / "card.json").write_text("{}")
    assert 0 == hone("publish", "--repository", tmp_path / "models", "--keep", "1").exit_code
    assert ["2"] == [path.name for path in (tmp_path / "models" / "digits").iterdir() if path.is_dir()]


def test_progress_and_json_go_different_ways(story: Path) -> None:
    """With --json the standard output is the report and nothing else; the steps are told on stderr."""
    assert json.loads((story / "told.json").read_text())["verdict"]["goal_met"]
    log = (story / "told.log").read_text()
    for name in ("data", "teacher", "student", "prune-1", "fine-tune", "export-pruned", "quantize", "evaluate"):
        assert f"  {name}" in log


def test_a_variant_is_exported_where_it_is_wanted(hone: Hone, runs: Path, tmp_path: Path) -> None:
    """To a file under that name, into a folder under the model's."""
    (tmp_path / "folder").mkdir()
    plain = hone("export", "pruned", "--to", tmp_path / "mine.onnx")
    data = hone("export", "pruned", "--to", tmp_path / "folder", "--json")
    assert (0, 0) == (plain.exit_code, data.exit_code)
    content = (step(runs, "export-pruned") / "model.onnx").read_bytes()
    assert content == (tmp_path / "mine.onnx").read_bytes()
    assert f"digits-pruned is in {tmp_path / 'mine.onnx'}" in plain.stdout
    told = json.loads(data.stdout)
    assert {"model": "digits-pruned", "path": str(tmp_path / "folder" / "digits-pruned.onnx")} == {
        key: told[key] for key in ("model", "path")
    }
    assert content == Path(told["path"]).read_bytes()


def test_an_unknown_variant_is_named_before_anything_is_trained(tmp_path: Path) -> None:
    """The known ones are told at once, not after minutes."""
    words = ["export", "digits", "int4", "--to", str(tmp_path), "--runs", str(tmp_path / "runs")]
    result = CliRunner().invoke(app, words)
    assert 2 == result.exit_code
    assert "error: no variant `int4`; there are teacher, student, pruned, int8\n" == result.stderr
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("verb", ["evaluate", "publish"])
def test_a_missed_goal_ends_with_4_and_names_the_nearest_miss(
    hone: Hone, ambitious: str, tmp_path: Path, verb: str
) -> None:
    """A family that misses its recipe's goal isn't published; who came nearest, and what is missing, is said."""
    place = ("--repository", tmp_path / "other") if verb == "publish" else ()
    plain, data = hone(verb, *place, recipe=ambitious), hone(verb, *place, "--json", recipe=ambitious)
    assert (4, 4) == (plain.exit_code, data.exit_code)
    told = json.loads(data.stdout)["verdict"]
    assert told["goal"].startswith(f"goal missed; nearest is {told['chosen']}: ")
    assert "asked is 1000" in told["goal"]
    assert told["goal"] in plain.stdout
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("name", ["teacher/last.safetensors", "student/network.safetensors", "quantize/model.onnx"])
def test_damage_ends_with_2_and_is_mended_when_asked(hone: Hone, runs: Path, tmp_path: Path, name: str) -> None:
    """A broken file is named with the flag that makes it anew; that gives the very same bytes again."""
    path = step(runs, name)
    before = path.read_bytes()
    path.write_bytes(before[: len(before) // 2])
    refused = hone("export", "int8", "--to", tmp_path)
    assert 2 == refused.exit_code
    assert f"error: {name}: isn't what this step wrote; --retrain makes it anew\n" == refused.stderr
    mended = hone("export", "int8", "--to", tmp_path, "--retrain")
    assert 0 == mended.exit_code
    assert before == path.read_bytes()
    again = [line.split()[0] for line in mended.stdout.splitlines() if re.search(r"\d s  ", line)]
    assert ["data", name.split("/", maxsplit=1)[0]] == again


def test_a_loss_that_is_no_number_ends_with_1_and_keeps_the_last_good_weights(tmp_path: Path) -> None:
    """The error names step, epoch and what helps, in one line, and isn't a trace."""
    settings = yaml.safe_load((RECIPES / "digits.yaml").read_text())
    tiny = settings["profiles"]["tiny"]
    tiny["fit"] = {"epochs": 3, "learning_rate": 0.99, "weight_decay": 1e30, "warmup": 0.0}
    tiny["network"] = {"widths": [32]}
    (tmp_path / "digits.yaml").write_text(yaml.safe_dump(settings))
    words = ["train", str(tmp_path / "digits.yaml"), "--profile", "tiny", "--runs", str(tmp_path / "runs")]
    result = CliRunner().invoke(app, words)
    assert 1 == result.exit_code
    assert re.match(r"error: teacher: the .*loss became (nan|inf) in epoch \d.*A lower learning_rate", result.stderr)
    assert 1 == len(result.stderr.splitlines())


@pytest.mark.parametrize(
    "arguments,text",
    [
        (["train", "digitz"], "no recipe `digitz`, did you mean `digits`?"),
        (["train", "digits", "--profile", "quik"], "no profile `quik`, did you mean `quick`?"),
        (["train"], "Missing argument"),
        (["compress", "digits", "--retrian"], "No such option"),
        (["publish", "digits", "--keep", "0"], "--keep"),
        (["export", "digits", "int8"], "--to"),
        (["fly"], "No such command"),
    ],
)
def test_a_wrong_word_ends_with_2_and_names_it(arguments: list[str], text: str) -> None:
    """A wrong recipe, profile, flag or verb is a line that names it and exit code 2."""
    result = CliRunner().invoke(app, arguments)
    assert 2 == result.exit_code
    assert text in result.output


@pytest.mark.parametrize("verb", VERBS)
def test_help_teaches_every_verb(verb: str) -> None:
    """Each verb says what it does, and what each of its options means."""
    result = CliRunner().invoke(app, [verb, "--help"], env={"COLUMNS": "200", "TERM": "dumb"})
    assert 0 == result.exit_code
    told = " ".join(result.output.split())
    promises = {
        "list": "Show the recipes that can be trained",
        "train": "ends with the same weights as one that never stopped",
        "tune": "Trials are judged on validation inputs, never on test inputs",
        "compress": "Search for smaller and faster variants of a recipe's network that lose no more than they may",
        "evaluate": "the recipe's goal is missed, the exit code is 4",
        "export": "it takes raw inputs and answers what clients ask for",
        "publish": "nothing is published and the exit code is 4",
        "import": "Publish a finished model, after its ONNX file was compared with the original",
    }
    assert promises[verb] in told
    assert "--json" in told
    assert verb in {"list", "tune", "import"} or "--retrain" in told


def test_help_says_what_is_done_without_a_flag() -> None:
    """Also where that is no value: square brackets in a help's text would be taken for mark-up, and left out."""
    result = CliRunner().invoke(app, ["compress", "--help"], env={"COLUMNS": "200", "TERM": "dumb"})
    told = " ".join(result.output.split())
    for default in ("random numbers", "never", "nowhere", "quick", "all"):
        assert f"[default: ({default})]" in told


def test_help_teaches_the_story_and_the_exit_codes() -> None:
    """The help of the command lists the verbs, says that each takes the steps before it along, and what codes mean."""
    result = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200", "TERM": "dumb"})
    told = " ".join(result.output.split())
    for text in (*VERBS, "Each verb takes the steps before it along", "Exit codes: 0 done, 1 failed, 2 wrong flag"):
        assert text in told


def test_help_does_not_wait_for_torch() -> None:
    """What only explains is there at once: the heavy libraries are loaded when a verb needs them."""
    program = (
        "import sys, training.__main__; print([name for name in ('torch', 'onnx', 'sklearn') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "[]" == done.stdout.strip()


def process(*words: str | Path, runs: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "training", *map(str, words), "--profile", "tiny", "--runs", str(runs)]
    environment: dict[str, Any] = {**os.environ, "OMP_NUM_THREADS": "1"}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=pipe, stderr=pipe, text=True)


@pytest.fixture
def at_a_terminal() -> Iterator[None]:
    """Processes started now heed Ctrl-C, also where the tests run in the background of a shell, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.slow
@pytest.mark.usefixtures("at_a_terminal")
def test_ctrl_c_ends_with_130_and_says_that_nothing_is_lost(tmp_path: Path) -> None:
    """An interrupted training says in one line that the same command goes on, and it does."""
    settings = yaml.safe_load((RECIPES / "digits.yaml").read_text())
    settings["profiles"]["tiny"] |= {"data": {"size": 8, "test_views": 1}, "fit": {"epochs": 6}}
    recipe = tmp_path / "digits.yaml"
    recipe.write_text(yaml.safe_dump(settings))
    with process("train", str(recipe), "--json", runs=tmp_path) as training:
        state = tmp_path / "digits" / "tiny" / "teacher" / "last.safetensors"
        while not state.exists():
            assert training.poll() is None
            time.sleep(0.005)
        training.send_signal(signal.SIGINT)
        stdout, stderr = training.communicate(timeout=60)
    assert (130, "") == (training.returncode, stdout), stderr
    assert "interrupted; the same command goes on where it stopped" == stderr.splitlines()[-1]
    assert "Traceback" not in stderr

    with process("train", str(recipe), "--json", runs=tmp_path) as training:
        stdout, stderr = training.communicate(timeout=120)
    assert 0 == training.returncode
    assert 6 == len(json.loads((state.parent / "history.json").read_text())["epochs"])
    assert str(state.with_name("network.safetensors")) == json.loads(stdout)["checkpoint"]
