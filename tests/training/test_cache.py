"""The cache: a step is done again exactly when something that decides its output has changed."""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from training.cache import Cache, Step
from training.data.split import Split
from training.fit import FitSettings


def module_at(path: Path, source: str) -> ModuleType:
    path.write_text(source)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    return importlib.util.module_from_spec(spec)


@pytest.fixture
def step(tmp_path: Path) -> Step:
    (tmp_path / "input").write_bytes(b"input")
    split = Split(images=np.zeros((2, 1, 2, 2), dtype=np.uint8), labels=np.arange(2))
    inputs = {"file": tmp_path / "input", "split": split, "settings": FitSettings(epochs=3), "seed": 7}
    code = (module_at(tmp_path / "code.py", "x = 1\n"),)
    return Step(name="fit", inputs=inputs, code=code, versions={"torch": "2"})


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "runs")


def act(folder: Path) -> None:
    assert not (folder / "result").exists()
    (folder / "result").write_text("done")


def refuse(folder: Path) -> None:
    raise AssertionError(f"{folder.name} was done again")


def test_an_unchanged_step_is_done_once(cache: Cache, step: Step) -> None:
    """The second time, nothing runs and the output is where it was."""
    assert cache.do(step, act) is False
    assert cache.do(step, refuse) is True
    assert cache.path("fit", "result").read_text() == "done"


@pytest.mark.parametrize(
    "inputs",
    [
        {"seed": 8},
        {"settings": FitSettings(epochs=4)},
        {"split": Split(images=np.ones((2, 1, 2, 2), dtype=np.uint8), labels=np.arange(2))},
        {"split": Split(images=np.zeros((2, 1, 2, 2), dtype=np.uint8), labels=np.arange(2)[::-1].copy())},
        {"more": None},
    ],
)
def test_a_changed_input_does_it_again(cache: Cache, step: Step, inputs: dict[str, object]) -> None:
    """Any other setting, seed or image makes the old output worthless, and it is removed first."""
    cache.do(step, act)
    assert cache.do(replace(step, inputs={**step.inputs, **inputs}), act) is False


def test_a_changed_file_does_it_again(cache: Cache, step: Step, tmp_path: Path) -> None:
    """Files count by content: a touched one is the same, a changed one isn't."""
    cache.do(step, act)
    (tmp_path / "input").touch()
    assert cache.do(step, refuse) is True
    (tmp_path / "input").write_bytes(b"other")
    assert cache.do(step, act) is False


def test_changed_code_does_it_again(cache: Cache, step: Step, tmp_path: Path) -> None:
    """The source of the modules that do the work is an input like any other."""
    cache.do(step, act)
    module_at(tmp_path / "code.py", "x = 2\n")
    assert cache.do(step, act) is False


def test_a_package_stands_for_all_its_modules(cache: Cache, step: Step, tmp_path: Path) -> None:
    """A change deep in a package is seen too."""
    (tmp_path / "package" / "deep").mkdir(parents=True)
    package = module_at(tmp_path / "package" / "__init__.py", "")
    package.__path__ = [str(tmp_path / "package")]
    step = replace(step, code=(package,))
    cache.do(step, act)
    (tmp_path / "package" / "deep" / "new.py").write_text("")
    assert cache.do(step, act) is False


def test_other_versions_do_it_again(cache: Cache, step: Step) -> None:
    """Another version of a library may give another result."""
    cache.do(step, act)
    assert cache.do(replace(step, versions={"torch": "3"}), act) is False


@pytest.mark.parametrize("damage", ["changed", "removed", "added"])
def test_an_output_that_was_tampered_with_is_made_again(cache: Cache, step: Step, damage: str) -> None:
    """Outputs are kept with their digests: what isn't as it was left doesn't count as done."""
    cache.do(step, act)
    result = cache.path("fit", "result")
    if damage == "removed":
        result.unlink()
    else:
        (result if damage == "changed" else result.with_name("extra")).write_text("!")
    assert cache.do(step, act) is False


def test_a_broken_stamp_does_it_again(cache: Cache, step: Step) -> None:
    """A stamp that can't be read proves nothing."""
    cache.do(step, act)
    cache.path("fit", "step.json").write_text("[")
    assert cache.do(step, act) is False


def test_an_interrupted_step_finds_what_it_left(cache: Cache, step: Step) -> None:
    """The same step gets its folder back as it was, so that it can resume; it doesn't count as done."""

    def stop(folder: Path) -> None:
        (folder / "half").write_text("half")
        raise KeyboardInterrupt

    def resume(folder: Path) -> None:
        assert (folder / "half").read_text() == "half"

    with pytest.raises(KeyboardInterrupt):
        cache.do(step, stop)
    assert "files" not in json.loads(cache.path("fit", "step.json").read_text())
    assert cache.do(step, resume) is False
    assert cache.do(step, refuse) is True


def test_another_step_never_finds_what_an_interrupted_one_left(cache: Cache, step: Step) -> None:
    """What was begun under other settings is removed before work starts."""

    def stop(folder: Path) -> None:
        (folder / "result").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.do(step, stop)
    assert cache.do(replace(step, inputs={}), act) is False
