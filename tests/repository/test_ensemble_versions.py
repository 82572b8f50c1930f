"""Folders of models that are made of other models."""

from pathlib import Path

import pytest

from service.repository.checks import Checks
from service.repository.scan import scan_model
from service.repository.watch import Watch
from tests.engine.ensemble.doubles import step, tensors


def write(root: Path, *steps: str, more: str = "") -> None:
    (root / "e").mkdir()
    ends = tensors("input", "in:FP32:3") + tensors("output", "out:FP32:3")
    scheduling = f"ensemble_scheduling {{ {' '.join(steps) or step('a', 'x=in', 'y=out')} }}"
    (root / "e" / "config.pbtxt").write_text(f'platform: "ensemble" {ends} {scheduling} {more}')


@pytest.mark.parametrize(
    "folders, policy, versions",
    [
        ([], "", [1]),
        (["1"], "", [1]),
        (["2", "7", "x"], "", [7]),
        (["2", "7"], "version_policy { all { } }", [7, 2]),
        ([], "version_policy { specific { versions: [ 3 ] } }", [3]),
        (["2"], "version_policy { specific { versions: [ 3 ] } }", []),
    ],
)
def test_versions(tmp_path: Path, folders: list[str], policy: str, versions: list[int]) -> None:
    """Version folders count though they are empty, and without one there is version 1, or what the policy names."""
    write(tmp_path, more=policy)
    for name in folders:
        (tmp_path / "e" / name).mkdir()
    found = scan_model(tmp_path, "e", Checks(require_card=True).check)

    assert versions == [version.version for version in found.versions]
    assert (not versions) is bool(found.problem)
    assert {tmp_path / "e" / "config.pbtxt"}.issuperset(version.model_path for version in found.versions)


def test_a_step_that_leads_nowhere(tmp_path: Path) -> None:
    """It would never run, which a warning says."""
    write(tmp_path, step("a", "x=in", "y=out"), step("b", "x=out", "y=idle"))

    assert (
        'e/config.pbtxt: step 2 (model "b") never runs: no output of the ensemble needs what it makes',
    ) == scan_model(tmp_path, "e").warnings


@pytest.mark.parametrize("key", ["hone.precision", "hone.length.x", "hone.batch_buckets", "intra_op_thread_count"])
def test_what_only_a_model_that_computes_can_do(tmp_path: Path, key: str) -> None:
    """Is refused, since it would have no effect here."""
    value = {"hone.precision": "f16", "hone.length.x": "axis=1 buckets=4"}.get(key, "8")
    write(tmp_path, more=f'max_batch_size: 8 parameters {{ key: "{key}" value {{ string_value: "{value}" }} }}')

    assert f"e/config.pbtxt: {key} is for the models that compute" in (scan_model(tmp_path, "e").problem or "")


def test_a_poll_follows_the_config(tmp_path: Path) -> None:
    """What is in a version folder makes no difference; no folder can be missing."""
    write(tmp_path)
    watch = Watch(tmp_path, Checks(), calm=0.0)
    (taken,) = watch.take(["e"], {})
    serving = {"e": [version.version for version in taken.versions]}
    assert [1] == serving["e"]
    for _ in range(2):
        assert not watch.look(serving).folders
    (tmp_path / "e" / "1").mkdir()
    (tmp_path / "e" / "1" / "note").write_text("x")
    found = [folder for _ in range(2) for folder in watch.look(serving).folders]
    assert all(folder.versions[0].same_files(taken.versions[0]) for folder in found)
    (tmp_path / "e" / "config.pbtxt").write_text((tmp_path / "e" / "config.pbtxt").read_text() + "max_batch_size: 2")
    found = [folder for _ in range(2) for folder in watch.look(serving).folders]
    assert [2] == [folder.config.max_batch_size for folder in found if folder.config]


def test_the_config_of_a_name(tmp_path: Path) -> None:
    """As it lies there, without taking anything; none for what isn't there, is broken, or isn't a name."""
    write(tmp_path)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.pbtxt").write_text("{")
    watch = Watch(tmp_path, Checks())
    found = watch.config("e")

    assert found
    assert ("a",) == (found.ensemble_scheduling and found.ensemble_scheduling.models)
    assert [None, None, None] == [watch.config(name) for name in ("nobody", "broken", "../e")]
