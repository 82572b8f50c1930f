"""Models come and go while requests are answered, and no request notices."""

import contextlib
import random
import re
import shutil
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from tests.integration.load import Clients, Tally
from tests.integration.models import lengths
from tests.integration.served import CONFIG, Served, mlp, run_to_end, serving, write_model

POLL = ("--model-control-mode", "poll", "--repository-poll-secs")
EXPLICIT = ("--model-control-mode", "explicit")
PATIENCE = 30.0


class Index:
    """The stock client's view of what is served."""

    def __init__(self, served: Served) -> None:
        self.client = triton.InferenceServerClient(served.http.removeprefix("http://"), network_timeout=60)

    def states(self) -> dict[str, str]:
        """State by model and version, `mlp/1`."""
        entries = self.client.get_model_repository_index()
        return {f"{entry['name']}/{entry.get('version', '')}": entry.get("state", "") for entry in entries}

    def reason(self, name: str, version: str) -> str:
        (found,) = [
            str(entry.get("reason", ""))
            for entry in self.client.get_model_repository_index()
            if (entry["name"], entry.get("version")) == (name, version)
        ]
        return found

    def wait(self, **states: str) -> None:
        """Until the index holds exactly this, `mlp_1="READY"`."""
        wanted = {name.replace("_", "/"): state for name, state in states.items()}
        eventually(lambda: self.states() == wanted, lambda: f"{self.states()}, not {wanted}")


def eventually(condition: Callable[[], bool], told: Callable[[], str]) -> None:
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until, told()
        time.sleep(0.05)


def assert_swapped(tally: Tally, old: str, new: str) -> None:
    """Whoever asked after an answer of the new version was there was not answered by the old one."""
    sent_to_old, _ = tally.times(old)
    _, there_from_new = tally.times(new)
    assert sent_to_old
    assert there_from_new
    assert max(sent_to_old) <= min(there_from_new)


def test_a_new_version_takes_over_under_load_and_a_bad_or_half_copied_one_does_not(tmp_path: Path) -> None:
    """No request is lost, refused or answered wrongly; once the new version has answered, the old one never does."""
    write_model(tmp_path, "mlp")
    with serving(tmp_path, *POLL, "0.2") as served:
        index = Index(served)
        workers = len(served.workers())
        with Clients(served.address, 4, seeds={"1": 0, "2": 2, "4": 4}) as clients:
            write_model(tmp_path, "mlp", config=None, model=mlp(2), version=2)
            index.wait(mlp_2="READY")
            write_model(tmp_path, "mlp", config=None, model=b"nonsense", version=3)
            index.wait(mlp_2="READY", mlp_3="UNAVAILABLE")
            assert "isn't ONNX" in index.reason("mlp", "3")
            copy_slowly(mlp(4), tmp_path / "mlp" / "4", lambda: index.wait(mlp_2="READY", mlp_3="UNAVAILABLE"))
            index.wait(mlp_4="READY")
            tally = clients.stop()

        assert ([], []) == (tally.wrong, tally.lost)
        assert_swapped(tally, "1", "2")
        assert_swapped(tally, "2", "4")
        eventually(lambda: len(served.workers()) == workers, lambda: f"{served.workers()}, there were {workers}")
        assert f"{len(tally.times('4')[0])}.0" == scraped(served, 'hone_requests_total{model="mlp",outcome="ok",.*"4"}')
        assert [] == [line for line in served.log if line.get("level") == "error" and line["event"] != "not served"]


def copy_slowly(content: bytes, folder: Path, check: Callable[[], None]) -> None:
    """A copy that takes several looks at the repository."""
    folder.mkdir()
    with (folder / "model.onnx").open("wb", buffering=0) as file:
        for part in range(20):
            file.write(content[part * len(content) // 20 : (part + 1) * len(content) // 20])
            check()
            time.sleep(0.05)


def scraped(served: Served, sample: str) -> str:
    with urllib.request.urlopen(f"{served.metrics}/metrics", timeout=5) as response:
        found = re.search(rf"^{sample} (\S+)$", response.read().decode(), re.MULTILINE)
    assert found, sample
    return found[1]


def test_polling_follows_the_repository(tmp_path: Path) -> None:
    """Models that appear are loaded, those that vanish unloaded, changed ones swapped; it may start with none."""
    with serving(tmp_path, *POLL, "0.1") as served:
        index = Index(served)
        assert {} == index.states()
        write_model(tmp_path, "one")
        write_model(tmp_path, "two", config=CONFIG + "version_policy { all { } }")
        index.wait(one_1="READY", two_1="READY")
        write_model(tmp_path, "two", config=None, version=2)
        index.wait(one_1="READY", two_1="READY", two_2="READY")
        (tmp_path / "one" / "config.pbtxt").write_text(CONFIG.replace("16", "8"))
        eventually(lambda: index.client.get_model_config("one")["max_batch_size"] == 8, lambda: "the old config")
        (tmp_path / "one" / "config.pbtxt").write_text("max_batch_size: -1")
        eventually(lambda: "max_batch_size" in index.reason("one", "1"), lambda: "no reason")
        assert "READY" == index.states()["one/1"]
        shutil.rmtree(tmp_path / "two")
        index.wait(one_1="READY")
        shutil.rmtree(tmp_path / "one")
        index.wait()

        eventually(lambda: not served.workers(), lambda: "workers are left")
        assert index.client.is_server_ready()


def test_models_are_loaded_and_unloaded_by_request(tmp_path: Path) -> None:
    """The stock client's methods work; under load every request is answered, or told that the model isn't there."""
    version = write_model(tmp_path, "mlp")
    write_model(tmp_path, "other", config=None)
    with serving(tmp_path, *EXPLICIT, "--load-model", "mlp") as served:
        index = Index(served)
        client = index.client
        assert {"mlp/1": "READY", "other/": ""} == index.states()
        client.load_model("other")
        assert client.is_model_ready("other")
        client.unload_model("other")
        assert not client.is_model_ready("other")
        assert {"mlp/1": "READY", "other/1": "UNAVAILABLE"} == index.states()
        client.unload_model("nobody")
        with pytest.raises(InferenceServerException, match='there is no model "nobody" in the repository'):
            client.load_model("nobody")

        with Clients(served.address, 4, seeds={"1": 0, "2": 2}) as clients:
            (version / "model.onnx").write_bytes(b"nonsense")
            with pytest.raises(InferenceServerException, match=r"isn't ONNX.*version 1 goes on serving"):
                client.load_model("mlp")
            write_model(tmp_path, "mlp", config=None, model=mlp(2), version=2)
            client.load_model("mlp")
            time.sleep(0.3)  # for somebody to be answered by the new version
            tally = clients.stop()
        assert ([], []) == (tally.wrong, tally.lost)
        assert_swapped(tally, "1", "2")

        with Clients(served.address, 4, seeds={"2": 2}) as clients:
            time.sleep(0.3)
            client.unload_model("mlp")
            tally = clients.stop()
        assert tally.answered
        assert [] == tally.lost
        assert all(wrong.startswith("404 ") and "model_not_found" in wrong for wrong in tally.wrong)
        eventually(lambda: not served.workers(), lambda: "workers are left")


def test_a_removed_version_goes_on_while_its_successor_is_bad(tmp_path: Path) -> None:
    """Polled: a folder that took the place of the old one by two renames has a version that doesn't fit its config.
    Loaded by request: there is no version, then a broken one. What has gone altogether, or is unloaded, is gone.
    """
    repository, new = tmp_path / "repository", tmp_path / "new"
    write_model(repository, "mlp")
    write_model(new, "mlp", model=lengths(), version=2)
    with serving(repository, *POLL, "0.2") as served, Clients(served.address, 1, seeds={"1": 0, "3": 3}) as clients:
        index = Index(served)
        (repository / "mlp").rename(tmp_path / "old")
        (new / "mlp").rename(repository / "mlp")
        index.wait(mlp_1="READY", mlp_2="UNAVAILABLE")
        time.sleep(1)  # some looks more
        write_model(repository, "mlp", config=None, model=mlp(3), version=3)
        index.wait(mlp_3="READY")
        tally = clients.stop()
        assert ([], []) == (tally.wrong, tally.lost)
        assert_swapped(tally, "1", "3")
        shutil.rmtree(repository / "mlp")
        index.wait()

    (tmp_path / "old").rename(repository / "mlp")
    with serving(repository, *EXPLICIT, "--load-model", "mlp") as served:
        client = Index(served).client
        shutil.rmtree(repository / "mlp" / "1")
        with pytest.raises(InferenceServerException, match=r"no version folder.*version 1 goes on serving"):
            client.load_model("mlp")
        write_model(repository, "mlp", config=None, model=b"nonsense", version=2)
        with pytest.raises(InferenceServerException, match=r"isn't ONNX.*version 1 goes on serving"):
            client.load_model("mlp")
        assert client.is_model_ready("mlp")
        client.unload_model("mlp")
        assert not client.is_model_ready("mlp")


def test_a_load_says_which_versions_it_brought_and_which_not(tmp_path: Path) -> None:
    """Each refused version is named with its reason, once; what serves then was loaded in its stead, or went on."""
    write_model(tmp_path, "a", config=None)
    with serving(tmp_path, *EXPLICIT, "--load-model", "a") as served:
        index = Index(served)
        write_model(tmp_path, "a", config=None, model=mlp(3), version=3)
        write_model(tmp_path, "a", config=None, model=b"nonsense", version=9)
        refused = "a/9: the model file isn't ONNX: unknown wire type 6"

        def load(serves: str) -> None:
            with pytest.raises(InferenceServerException, match=f"{refused}; {serves}$"):
                index.client.load_model("a")

        load("version 3 was loaded instead")
        load("version 3 goes on serving")
        (tmp_path / "a" / "config.pbtxt").write_text(CONFIG + "version_policy { all { } }")
        load("versions 1, 3 were loaded instead")
        (tmp_path / "a" / "3" / "model.onnx").write_bytes(mlp(5))
        load("version 3 was loaded; version 1 goes on serving")
        assert refused == index.reason("a", "9")
        index.client.close()


def test_loading_needs_the_mode_and_a_model_that_is_there(tmp_path: Path) -> None:
    """In another mode a request to load names the flag; asked for what isn't there, the server doesn't start. From the
    start, the newest version that can be loaded serves.
    """
    write_model(tmp_path, "mlp")
    write_model(tmp_path, "mlp", config=None, model=b"nonsense", version=2)
    with serving(tmp_path) as served:
        index = Index(served)
        assert {"mlp/1": "READY", "mlp/2": "UNAVAILABLE"} == index.states()
        client = index.client
        for change in (client.load_model, client.unload_model):
            with pytest.raises(InferenceServerException, match="--model-control-mode explicit"):
                change("mlp")
        with pytest.raises(InferenceServerException, match="--model-control-mode explicit"):
            client.load_model("mlp", config="{}", files={"file:1/model.onnx": mlp(1)})
        assert client.is_model_ready("mlp")
    ports = ("--http-port", "0", "--grpc-port", "0", "--metrics-port", "0")
    code, errors = run_to_end(["run", "--model-repository", str(tmp_path), *ports, *EXPLICIT, "--load-model", "nobody"])

    assert 2 == code
    assert r"there is no model \"nobody\" in the repository" in errors


def test_a_repository_that_is_edited_at_random_harms_nobody(tmp_path: Path) -> None:
    """Whatever is written, removed and renamed during scans: who isn't concerned is served, and sound models are in
    the end.
    """
    write_model(tmp_path, "mlp")
    rng = random.Random(7)
    with serving(tmp_path, *POLL, "0.02") as served:
        index = Index(served)
        with Clients(served.address, 1) as clients:
            until = time.monotonic() + 5
            while time.monotonic() < until:
                with contextlib.suppress(OSError):
                    edit(tmp_path, rng)
                time.sleep(rng.random() * 0.05)
            tally = clients.stop()
        for path in tmp_path.iterdir():
            if path.name != "mlp":
                path.unlink() if path.is_symlink() or path.is_file() else shutil.rmtree(path)
        write_model(tmp_path, "a", model=mlp(1))
        index.wait(mlp_1="READY", a_1="READY")

        assert ([], []) == (tally.wrong, tally.lost)
        assert tally.answered
        assert [] == [line for line in served.log if "exception" in line]
        assert 0 == served.stop()


def edit(root: Path, rng: random.Random) -> None:
    """One thing that somebody may do to model a or b."""
    model = root / rng.choice("ab")
    version = model / rng.choice(["1", "2"])
    content = mlp(rng.randrange(3))
    match rng.randrange(9):
        case 0 | 1:
            version.mkdir(parents=True, exist_ok=True)
            (version / "model.onnx").write_bytes(content)
        case 2:
            version.mkdir(parents=True, exist_ok=True)
            (version / "model.onnx").write_bytes(content[: rng.randrange(len(content))])
        case 3:
            (model / "config.pbtxt").write_text(CONFIG[: rng.randrange(len(CONFIG))])
        case 4:
            (version / "card.json").write_text(rng.choice(["", "{}", "nonsense"]))
        case 5:
            shutil.rmtree(version)
        case 6:
            shutil.rmtree(model)
        case 7:
            model.rename(root / rng.choice("abc"))
        case _:
            version.symlink_to(rng.choice(["1", "2", "..", "/tmp"]))
