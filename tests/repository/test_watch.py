"""What changed since the last look: complete versions only, and everything in the end."""

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from service.errors import ArtifactError
from service.repository.checks import Checks
from service.repository.folder import ModelFolder, VersionFolder
from service.repository.watch import MOMENTS, Changes, Watch
from tests.repository.cards import card_of

NOTHING = Changes(folders=[], gone=[])


class CountingChecks(Checks):
    """Remembers which versions were read."""

    read: ClassVar[list[int]] = []

    def version(self, root: Path, name: str, version: int, filename: str) -> VersionFolder:
        self.read.append(version)
        return super().version(root, name, version, filename)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


@pytest.fixture
def watch(root: Path) -> Watch:
    return Watch(root, Checks())


def write(root: Path, version: int = 1, content: bytes = b"model", *, card: bool = False, name: str = "m") -> Path:
    """A version of a model; with `card`, one whose card vouches for its file."""
    folder = root / name / str(version)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(content)
    if card:
        (folder / "card.json").write_bytes(card_of(folder))
    return folder


def only(changes: Changes) -> ModelFolder:
    assert not changes.gone
    (folder,) = changes.folders
    return folder


def versions(folder: ModelFolder) -> list[int]:
    return [version.version for version in folder.versions]


def settle(watch: Watch, serving: Sequence[int] = ()) -> list[int]:
    """Two looks; the versions that the second one brings."""
    watch.look({"m": serving})
    return versions(only(watch.look({"m": serving})))


def test_a_new_model_is_taken_at_the_second_look(root: Path, watch: Watch) -> None:
    """At the first it might still be being copied; once it was taken, it is news no more."""
    write(root)

    assert NOTHING == watch.look({})
    assert [1] == versions(only(watch.look({})))
    assert NOTHING == watch.look({"m": {1}})


def test_a_file_that_grows_is_not_taken(root: Path, watch: Watch) -> None:
    """A version is left out for as long as it differs from one look to the next, then it comes by itself."""
    write(root, 1)
    settle(watch)
    for size in range(1, 5):
        write(root, 2, b"x" * size)
        assert all(versions(folder) == [1] for folder in watch.look({"m": {1}}).folders)

    assert [2] == versions(only(watch.look({"m": {1}})))


def test_a_file_that_is_overwritten_in_place_is_not_taken(root: Path, watch: Watch) -> None:
    """The same number of bytes and the old time of modification deceive nobody: the time of change tells."""
    path = write(root) / "model.onnx"
    settle(watch)
    before = path.stat()
    path.write_bytes(b"MODEL")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert NOTHING == watch.look({"m": {1}})
    assert [1] == versions(only(watch.look({"m": {1}})))


def test_a_card_vouches_for_a_new_version_at_once(root: Path, watch: Watch) -> None:
    """Files that fit the digests on their card are complete, however young they are."""
    write(root, 1)
    settle(watch)
    write(root, 2, card=True)

    assert [2] == versions(only(watch.look({"m": {1}})))


def test_a_card_that_came_before_its_files_vouches_for_nothing(root: Path, watch: Watch) -> None:
    """A version that differs from its card is waited for while it changes; when it stays so, it is refused."""
    write(root, 1)
    settle(watch)
    folder = write(root, 2, b"whole", card=True)
    (folder / "model.onnx").write_bytes(b"whol")

    waiting = only(watch.look({"m": {1}}))
    assert [1] == versions(waiting)
    assert ([], [2]) == (list(waiting.refused), list(waiting.waiting))
    refused = only(watch.look({"m": {1}}))
    assert ([1], [2]) == (versions(refused), list(refused.refused))
    assert NOTHING == watch.look({"m": {1}})

    (folder / "model.onnx").write_bytes(b"whole")
    assert [2] == versions(only(watch.look({"m": {1}})))


def test_a_version_that_serves_and_changes_has_no_stand_in(root: Path, watch: Watch) -> None:
    """While the newest version is being overwritten, the generation that serves goes on, and no older one comes up."""
    write(root, 1)
    write(root, 2)
    assert [2] == settle(watch)
    write(root, 2, b"other")

    assert NOTHING == watch.look({"m": {2}})
    assert [2] == versions(only(watch.look({"m": {2}})))


def test_a_config_is_taken_at_the_second_look(root: Path, watch: Watch) -> None:
    """Nothing vouches for a config, and half of one may parse; with it comes all that it changes."""
    write(root, 1, card=True)
    write(root, 2, card=True)
    assert [2] == settle(watch)
    (root / "m" / "config.pbtxt").write_text("version_policy { all {} }")

    assert NOTHING == watch.look({"m": {2}})
    assert [2, 1] == versions(only(watch.look({"m": {2}})))


@pytest.mark.parametrize(
    "policy,expected",
    [("latest { num_versions: 2 }", [3, 2]), ("all {}", [3, 2, 1]), ("specific { versions: [ 1, 3 ] }", [3, 1])],
)
def test_version_policies_hold_for_what_comes_later(root: Path, watch: Watch, policy: str, expected: list[int]) -> None:
    """A version that appears is served if the policy says so, and moves others out if it says so."""
    for version in (1, 2):
        write(root, version)
    (root / "m" / "config.pbtxt").write_text(f"version_policy {{ {policy} }}")
    settle(watch)
    write(root, 3)

    assert expected == settle(watch)


def test_what_is_missing_must_be_missing_twice(root: Path, watch: Watch) -> None:
    """A folder that is replaced by two renames was never gone; one that is removed is gone at the second look."""
    write(root)
    settle(watch)
    (root / "m").rename(root / ".old")
    assert NOTHING == watch.look({"m": {1}})
    (root / ".old").rename(root / "m")
    assert NOTHING == watch.look({"m": {1}})
    assert NOTHING == watch.look({"m": {1}})

    shutil.rmtree(root / "m")
    assert NOTHING == watch.look({"m": {1}})
    assert Changes(folders=[], gone=["m"]) == watch.look({"m": {1}})
    assert NOTHING == watch.look({})


def test_a_version_that_is_missing_must_be_missing_twice(root: Path, watch: Watch) -> None:
    """The same for a version: an older one comes up when it has been gone for two looks."""
    write(root, 1)
    write(root, 2)
    settle(watch)
    shutil.rmtree(root / "m" / "2")

    assert NOTHING == watch.look({"m": {2}})
    assert [1] == versions(only(watch.look({"m": {2}})))


def test_what_looks_the_same_is_not_read_again(root: Path) -> None:
    """Versions are checked, and their digests computed, when stat says that they changed, and at no other time."""
    checks = CountingChecks()
    checks.read.clear()
    watch = Watch(root, checks)
    write(root, 1, card=True)
    (root / "m" / "config.pbtxt").write_text("version_policy { all {} }")
    settle(watch)
    for _ in range(3):
        watch.look({"m": {1}})
    write(root, 2, card=True)
    watch.look({"m": {1}})
    watch.look({"m": {1, 2}})

    assert [1, 2] == checks.read


def test_a_version_that_could_not_be_loaded_stays_refused(root: Path, watch: Watch) -> None:
    """The next best takes its place, with the reason given, until its files change."""
    write(root, 1)
    write(root, 2)
    settle(watch)
    folder = watch.again("m", {2: "no good"}, ())
    assert folder
    assert ([1], {2: "m/2: no good"}) == (versions(folder), folder.refused)
    write(root, 3)
    assert [3] == settle(watch, [1])

    shutil.rmtree(root / "m" / "3")
    watch.look({"m": {3}})
    assert [1] == versions(only(watch.look({"m": {3}})))
    write(root, 2, b"better")
    assert [2] == settle(watch, [1])


def test_a_version_that_serves_without_its_folder_is_no_news(root: Path, watch: Watch) -> None:
    """While what lies in its place is refused it goes on, and nothing is brought again until something changes."""
    write(root, 1)
    settle(watch)
    shutil.rmtree(root / "m" / "1")
    write(root, 2)
    assert [2] == settle(watch, [1])
    refused = watch.again("m", {2: "no good"}, {1})
    assert refused
    assert ([], {2}) == (versions(refused), set(refused.present))
    assert [NOTHING] * 3 == [watch.look({"m": {1}}) for _ in range(3)]

    write(root, 2, b"better")
    assert [2] == settle(watch, [1])


def test_a_load_by_request_takes_nothing_away(root: Path, watch: Watch) -> None:
    """What serves counts as present, though its folder has gone and no other is there."""
    write(root, 1)
    settle(watch)
    shutil.rmtree(root / "m" / "1")
    (folder,) = watch.take(["m"], {"m": {1}})

    assert (True, {1}) == (folder.problem is not None, set(folder.present))


def test_busy_models_are_left_out(root: Path, watch: Watch) -> None:
    """A model that is being loaded is looked at when that is over."""
    write(root)
    watch.look({})

    assert NOTHING == watch.look({}, busy={"m"})
    assert [1] == versions(only(watch.look({})))


def test_a_repository_that_cannot_be_listed_is_an_error(root: Path, watch: Watch) -> None:
    """That a disk is away for a moment doesn't mean that every model was removed."""
    write(root)
    settle(watch)
    root.rename(root.with_name("away"))
    for _ in range(3):
        with pytest.raises(ArtifactError, match="models: no such folder"):
            watch.look({"m": {1}})
    root.with_name("away").rename(root)

    assert NOTHING == watch.look({"m": {1}})


def test_the_first_look_waits_until_nothing_is_written(root: Path) -> None:
    """What is taken on request hasn't been written to for a moment; what doesn't calm down isn't taken."""
    path = write(root) / "model.onnx"
    pauses: list[float] = []

    def write_on(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) != 3:
            path.write_bytes(b"x" * len(pauses))

    (folder,) = Watch(root, Checks(), calm=3600, pause=write_on).take(["m"], {})
    assert ([1], 3) == (versions(folder), len(pauses))

    (folder,) = Watch(root, Checks(), calm=3600, pause=write_on).take(["m"], {"m": {1}})
    assert ("m: its files are still being written", [1]) == (folder.problem, list(folder.present))

    (folder,) = Watch(root, Checks(), calm=0, pause=write_on).take(["m"], {})
    assert ([1], 3 + MOMENTS) == (versions(folder), len(pauses))


def test_a_link_that_leads_nowhere_and_a_pipe_are_no_files(root: Path, watch: Watch) -> None:
    """Whatever lies about in a repository, a look ends, and says what is wrong."""
    (write(root, 1) / "card.json").symlink_to("card.json")
    os.mkfifo(root / "m" / "config.pbtxt")
    (root / "m" / "dangling").symlink_to("nowhere")
    watch.look({})

    assert "m/config.pbtxt: isn't a file" == only(watch.look({})).problem


# Between two looks each of three versions may be written to, removed, or left alone; some get a card in the end.
STAY = ("leave", "leave")
EDITS = st.lists(st.tuples(*[st.sampled_from(["leave", "leave", "append", "card", "remove"])] * 3), max_size=8)


@settings(max_examples=40)
@given(EDITS)
@example([("append", *STAY), (*STAY, "leave"), ("append", "card", "leave"), ("remove", *STAY)])  # gone while written to
def test_only_complete_versions_are_taken_and_all_of_them_in_the_end(edits: list[tuple[str, ...]]) -> None:
    """What is taken had the same content at the look before or fits its card; two quiet looks later nothing is left."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "m").mkdir()
        (root / "m" / "config.pbtxt").write_text("version_policy { all {} }")
        watch = Watch(root, Checks())
        served: dict[int, bytes] = {}
        before: dict[int, bytes] = {}
        for step in [*edits, ("leave",) * 3, ("leave",) * 3]:
            for version, edit in enumerate(step, 1):
                change(root / "m" / str(version), edit)
            now = contents(root)
            for found in watch.look({"m": set(served)}).folders:
                for new in found.versions:
                    assert new.card or before.get(new.version) == now[new.version]
                stay = served.keys() if found.present and not found.versions else found.present
                kept = {version: content for version, content in served.items() if version in stay}
                served = kept | {new.version: now[new.version] for new in found.versions}
            before = now

        assert served == contents(root) or not contents(root)


def change(folder: Path, edit: str) -> None:
    path = folder / "model.onnx"
    if edit == "remove":
        shutil.rmtree(folder, ignore_errors=True)
    elif edit in ("append", "card"):
        folder.mkdir(exist_ok=True)
        (folder / "card.json").unlink(missing_ok=True)
        with path.open("ab") as file:
            file.write(b"more")
        if edit == "card":
            (folder / "card.json").write_bytes(card_of(folder))


def contents(root: Path) -> dict[int, bytes]:
    return {int(path.parent.name): path.read_bytes() for path in root.glob("m/*/model.onnx")}
