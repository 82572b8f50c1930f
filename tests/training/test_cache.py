"""The cache: a step is done again exactly when something that decides its output has changed."""

import contextlib
import importlib.util
import json
import os
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from training.cache import Cache, Step
from training.data.split import Split
from training.errors import Damaged
from training.optimization.settings import FitSettings


def module_at(path: Path, source: str) -> ModuleType:
    path.write_text(source)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    return importlib.util.module_from_spec(spec)


def pair(level: int, *, labels: tuple[int, int] = (0, 1), sources: tuple[int, int] = (0, 1)) -> Split:
    images = np.full((2, 1, 2, 2), level, dtype=np.uint8)
    return Split(inputs=images, targets=np.array(labels), sources=np.array(sources))


@pytest.fixture
def step(tmp_path: Path) -> Step:
    (tmp_path / "input").write_bytes(b"input")
    split = pair(0)
    inputs = {"file": tmp_path / "input", "split": split, "settings": FitSettings(epochs=3), "seed": 7}
    code = (module_at(tmp_path / "code.py", "x = 1\n"),)
    return Step(name="fit", inputs=inputs, code=code, versions={"torch": "2"})


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "runs")


def act(folder: Path) -> None:
    assert not (folder / "result").exists()
    (folder / "result").write_text("done")


def two_files(folder: Path) -> None:
    act(folder)
    (folder / "other").write_text("precious")


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
        {"split": pair(1)},
        {"split": pair(0, labels=(1, 0))},
        {"split": pair(0, sources=(0, 0))},
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


def test_a_package_that_runs_stands_for_all_its_modules(cache: Cache, step: Step, tmp_path: Path) -> None:
    """A change deep in a package is seen too."""
    (tmp_path / "package" / "deep").mkdir(parents=True)
    (tmp_path / "package" / "__main__.py").write_text("")
    package = module_at(tmp_path / "package" / "__init__.py", "")
    package.__path__ = [str(tmp_path / "package")]
    step = replace(step, code=(package,))
    cache.do(step, act)
    (tmp_path / "package" / "deep" / "new.py").write_text("")
    assert cache.do(step, act) is False


def test_a_library_stands_for_what_the_code_uses_of_it(cache: Cache, step: Step, tmp_path: Path) -> None:
    """Directly or through each other: what nobody imports may come and change, what somebody does may not."""
    folder = tmp_path / "rooms"
    folder.mkdir()
    package = module_at(folder / "__init__.py", "")
    package.__name__, package.__path__ = "rooms", [str(folder)]
    (folder / "used.py").write_text("from rooms import deep\n")
    (folder / "deep.py").write_text("")
    step = replace(step, code=(module_at(tmp_path / "code.py", "import rooms.used\n"), package))
    cache.do(step, act)
    (folder / "stranger.py").write_text("from rooms import used\n")
    assert cache.do(step, refuse) is True
    (folder / "deep.py").write_text("x = 1\n")
    assert cache.do(step, act) is False


def test_other_versions_do_it_again(cache: Cache, step: Step) -> None:
    """Another version of a library may give another result."""
    cache.do(step, act)
    assert cache.do(replace(step, versions={"torch": "3"}), act) is False


@pytest.mark.parametrize("damage,text", [("changed", "isn't what this step wrote"), ("removed", "is missing")])
def test_damage_to_a_finished_step_is_named_and_nothing_is_thrown_away(
    cache: Cache, step: Step, damage: str, text: str
) -> None:
    """A finished output that isn't as it was left stops the run by name: it may have cost hours, so it isn't redone."""
    cache.do(step, two_files)
    result = cache.path("fit", "result")
    result.unlink() if damage == "removed" else result.write_text("!")
    for _ in range(2):
        with pytest.raises(Damaged, match=f"^fit/result: {text}$"):
            cache.do(step, refuse)
    assert cache.path("fit", "other").read_text() == "precious"


def test_one_changed_bit_is_found(cache: Cache, step: Step) -> None:
    """Files are compared by digest, so damage that leaves size and time as they were is found too."""
    cache.do(step, act)
    path = cache.path("fit", "result")
    content, before = bytearray(path.read_bytes()), path.stat()
    content[2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(Damaged, match=r"^fit/result: "):
        cache.do(step, refuse)


def test_a_damaged_step_that_is_stale_anyway_is_simply_done_again(cache: Cache, step: Step) -> None:
    """What is worthless under the new settings may be broken too: nobody is asked about it."""
    cache.do(step, act)
    cache.path("fit", "result").unlink()
    assert cache.do(replace(step, inputs={}), act) is False


def test_a_file_that_somebody_added_disturbs_nothing(cache: Cache, step: Step) -> None:
    """Notes beside a finished output don't make it damaged, and stay."""
    cache.do(step, act)
    cache.path("fit", "notes").write_text("mine")
    assert cache.do(step, refuse) is True
    assert cache.path("fit", "notes").read_text() == "mine"


def test_another_setting_costs_no_finished_work(cache: Cache, step: Step) -> None:
    """What a step made under the settings before stays beside it: going back to them finds it done."""
    other = replace(step, inputs={})
    assert cache.do(step, act) is False
    assert cache.do(other, act) is False
    assert cache.do(step, refuse) is True
    assert cache.do(other, refuse) is True


def test_work_that_failed_under_new_settings_leaves_the_old_at_hand(cache: Cache, step: Step) -> None:
    """A network that diverges after a change of settings takes nobody's last good one with it."""

    def diverge(folder: Path) -> None:
        (folder / "last").write_text("epoch 2")
        raise ArithmeticError

    cache.do(step, act)
    with pytest.raises(ArithmeticError):
        cache.do(replace(step, inputs={}), diverge)
    assert cache.do(step, refuse) is True
    assert cache.path(".fit.before", "last").read_text() == "epoch 2"


@pytest.mark.parametrize("again", ["first", "third"])
@pytest.mark.parametrize("renames", [1, 2, 3])
def test_a_kill_while_two_outputs_change_places_loses_no_finished_work(
    cache: Cache, step: Step, monkeypatch: pytest.MonkeyPatch, renames: int, again: str
) -> None:
    """Whatever rename was the last one, on the way back to the first settings or on to third ones: both outputs that
    there is room for are found done by who asks next.
    """
    settings = {name: replace(step, inputs={"settings": name}) for name in ("first", "second", "third")}
    cache.do(settings["first"], act)
    cache.do(settings["second"], act)

    made = 0
    rename = Path.rename

    def killed(source: Path, target: Path) -> Path:
        nonlocal made
        made += 1
        moved = rename(source, target)
        if made == renames:
            raise KeyboardInterrupt
        return moved

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", killed)
        with contextlib.suppress(KeyboardInterrupt):
            cache.do(settings[again], act)
    assert cache.do(settings[again], act) is (again == "first" or made < renames)
    assert cache.do(settings["second"], refuse) is True


def test_a_damaged_output_of_the_settings_before_stands_in_nobodys_way(cache: Cache, step: Step) -> None:
    """It can't be used any more; what lies in the step's own folder is kept in its place."""
    cache.do(step, act)
    cache.do(replace(step, inputs={}), act)
    cache.path(".fit.before", "step.json").write_text("[")

    assert cache.do(replace(step, inputs={"settings": "third"}), act) is False
    assert cache.do(replace(step, inputs={}), refuse) is True


def test_what_was_only_begun_takes_no_finished_outputs_place(cache: Cache, step: Step) -> None:
    """Settings that were tried for a moment don't cost the network that was trained under those before them."""

    def stop(folder: Path) -> None:
        raise KeyboardInterrupt

    cache.do(step, act)
    with pytest.raises(KeyboardInterrupt):
        cache.do(replace(step, inputs={}), stop)
    assert cache.do(replace(step, inputs={"settings": "third"}), act) is False
    assert cache.do(step, refuse) is True


@pytest.mark.parametrize("stamp", ["[", "[]", '{"key": 7}', "", None])
def test_a_broken_stamp_is_damage(cache: Cache, step: Step, stamp: str | None) -> None:
    """A folder with files whose stamp is lost or can't be read is named, and not thrown away unasked."""
    cache.do(step, act)
    path = cache.path("fit", "step.json")
    if stamp is None:
        path.unlink()
    else:
        path.write_text(stamp)
    with pytest.raises(Damaged, match=r"fit/step\.json"):
        cache.do(step, refuse)
    cache.discard("fit")
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


def test_a_write_that_was_cut_off_is_no_output(cache: Cache, step: Step) -> None:
    """A kill leaves the file that was to take the whole one's place, also where a library wrote it."""

    def interrupted(folder: Path) -> None:
        (folder / "last.safetensors").write_bytes(b"whole")
        (folder / ".tmpA1b2C3").write_bytes(b"")
        raise KeyboardInterrupt

    def resumed(folder: Path) -> None:
        assert {"last.safetensors", "step.json"} == {path.name for path in folder.iterdir()}

    with pytest.raises(KeyboardInterrupt):
        cache.do(step, interrupted)
    assert cache.do(step, resumed) is False
    assert ["last.safetensors"] == list(json.loads(cache.path("fit", "step.json").read_text())["files"])


def test_another_step_never_finds_what_an_interrupted_one_left(cache: Cache, step: Step) -> None:
    """What was begun under other settings is removed before work starts."""

    def stop(folder: Path) -> None:
        (folder / "result").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.do(step, stop)
    assert cache.do(replace(step, inputs={}), act) is False


def test_a_full_disk_is_told_with_the_step_that_it_stopped(cache: Cache, step: Step) -> None:
    """The system's error for a full disk names nothing; whoever reads it here learns which step had no space."""

    def fill(folder: Path) -> None:
        with Path("/dev/full").open("wb", buffering=0) as file:
            file.write(b"x")

    with pytest.raises(OSError, match=r"^\[Errno 28\] No space left on device: '.*runs/fit'$"):
        cache.do(step, fill)
    assert cache.do(step, act) is False
