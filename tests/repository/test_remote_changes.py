"""Models that another server computes, while their configs change: the config is all there is to look at."""

from pathlib import Path

import pytest

from service.repository.checks import Checks
from service.repository.folder import ModelFolder
from service.repository.watch import Changes, Watch

REMOTE = 'parameters { key: "hone.remote" value { string_value: "east" } }\n'
NOTHING = Changes(folders=[], gone=[])


def write(root: Path, text: str = "") -> Path:
    (root / "m").mkdir(exist_ok=True)
    path = root / "m" / "config.pbtxt"
    path.write_text(REMOTE + text)
    return path


def only(changes: Changes) -> ModelFolder:
    assert not changes.gone
    (folder,) = changes.folders
    return folder


def versions(folder: ModelFolder) -> list[int]:
    return [version.version for version in folder.versions]


@pytest.fixture
def watch(tmp_path: Path) -> Watch:
    """A watch over a repository with one such model, which was taken."""
    write(tmp_path)
    watch = Watch(tmp_path, Checks())
    watch.look({})
    assert [1] == versions(only(watch.look({})))
    return watch


def test_no_folder_is_missed(watch: Watch) -> None:
    """A served version without a folder isn't one whose folder has gone."""
    assert [NOTHING] * 3 == [watch.look({"m": {1}}) for _ in range(3)]


def test_a_changed_config_is_news(watch: Watch, tmp_path: Path) -> None:
    """At the second look at which it is the same, like every config."""
    write(tmp_path, "version_policy { specific { versions: [ 3, 7 ] } }")

    assert NOTHING == watch.look({"m": {1}})
    changed = only(watch.look({"m": {1}}))
    assert ([7, 3], {3, 7}) == (versions(changed), set(changed.present))
    assert NOTHING == watch.look({"m": {3, 7}})


@pytest.mark.parametrize("text", ["nonsense", 'backend: "openvino"', 'parameters { key: "hone.precision" }'])
def test_a_bad_config_takes_nothing_away(watch: Watch, tmp_path: Path, text: str) -> None:
    """What is served counts as present until the config can be read again, and is news once."""
    write(tmp_path, text)
    watch.look({"m": {1}})
    bad = only(watch.look({"m": {1}}))

    assert bad.problem
    assert ([], {1}) == (versions(bad), set(bad.present))
    assert NOTHING == watch.look({"m": {1}})


def test_a_config_that_has_gone(watch: Watch, tmp_path: Path) -> None:
    """A folder without a config and without a version has nothing to serve; that must be so twice."""
    (tmp_path / "m" / "config.pbtxt").unlink()

    assert NOTHING == watch.look({"m": {1}})
    empty = only(watch.look({"m": {1}}))
    assert "no version folder" in (empty.problem or "")
    assert not empty.present


@pytest.mark.parametrize("stale", [False, True])
def test_what_cannot_be_served_is_not_brought_again(watch: Watch, tmp_path: Path, *, stale: bool) -> None:
    """A version that was refused stays refused until the config changes, whatever else lies in the folder."""
    if stale:
        (tmp_path / "m" / "7").mkdir()
        (tmp_path / "m" / "7" / "model.onnx").write_bytes(b"left over")
    write(tmp_path, "version_policy { specific { versions: [ 3, 7 ] } }")
    watch.look({"m": {1}})
    assert [7, 3] == versions(only(watch.look({"m": {1}})))

    first = watch.again("m", {7: "no such version"}, {1})
    second = watch.again("m", {3: "no such version"}, {1})
    assert first
    assert second
    assert ([3], {7: "m/7: no such version"}) == (versions(first), first.refused)
    assert ([], {7, 3}) == (versions(second), set(second.refused))

    write(tmp_path, "version_policy { specific { versions: [ 7 ] } }")
    watch.look({"m": {1}})
    assert [7] == versions(only(watch.look({"m": {1}})))


def test_loaded_by_request(watch: Watch, tmp_path: Path) -> None:
    """A load by request takes the config as it is, and one that is still being written takes nothing away."""

    def scribble(_seconds: float) -> None:
        write(tmp_path, "#" * len((tmp_path / "m" / "config.pbtxt").read_text()))

    (folder,) = watch.take(["m"], {"m": {1}})
    restless = Watch(tmp_path, Checks(), calm=60, pause=scribble)
    (unsure,) = restless.take(["m"], {"m": {1}})

    assert [1] == versions(folder)
    assert "still being written" in (unsure.problem or "")
    assert {1} == unsure.present


def test_what_was_refused_is_reconsidered(watch: Watch, tmp_path: Path) -> None:
    """What a remote lacked it may have by the next look, though no file has changed; what serves stays until then."""
    write(tmp_path, "version_policy { specific { versions: [ 7 ] } }")
    watch.look({"m": {1}})
    watch.look({"m": {1}})
    refused = watch.again("m", {7: "not there yet"}, {1})
    assert refused
    assert ([], {7}) == (versions(refused), set(refused.present))
    assert NOTHING == watch.look({"m": {1}})

    watch.reconsider("m")
    assert [7] == versions(only(watch.look({"m": {1}})))
