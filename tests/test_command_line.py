"""What the operator is told about settings that don't go together."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from service import settings
from service.command_line import dispatch
from service.exit_code import ExitCode
from service.settings import Settings


@pytest.fixture(autouse=True)
def left_as_found() -> Iterator[None]:
    """A verb changes what its process logs and how it ends, and here other tests share the process."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    structlog.reset_defaults()
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    "flags,text",
    [
        (
            ["--model-control-mode", "explicit", "--host", "0.0.0.0"],
            "anybody who reaches 0.0.0.0 could load and unload",
        ),
        (["--model-control-mode", "explicit", "--host", "example.org"], "anybody who reaches example.org"),
        (["--load-model", "digits"], "only goes with --model-control-mode explicit"),
        (["--model-control-mode", "explicit", "--load-model", "../x"], "'../x' isn't the name of a model"),
        (["--model-control-mode", "poll", "--repository-poll-secs", "0"], "greater than 0"),
        (["--model-control-mode", "always"], "--model-control-mode (HONE_MODEL_CONTROL_MODE)"),
    ],
)
def test_control_modes_that_cannot_be_are_named(
    flags: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line that names the flag and says what to do instead, and exit code 2."""
    assert ExitCode.WRONG_SETTING == dispatch(["run", *flags])
    assert text in capsys.readouterr().err


@pytest.mark.parametrize(
    "flags,text",
    [
        (["--trace-level", "TIMESTAMPS"], "--trace-level (HONE_TRACE_LEVEL): needs --trace-file"),
        (["--trace-file", "/nowhere/at/all.json"], "--trace-file (HONE_TRACE_FILE): its folder doesn't exist"),
        (["--trace-file", "/tmp"], "--trace-file (HONE_TRACE_FILE): is a folder"),
        (["--trace-rate", "0"], "--trace-rate (HONE_TRACE_RATE)"),
    ],
)
def test_traces_that_cannot_be_are_named(flags: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Before any request has to do without."""
    assert ExitCode.WRONG_SETTING == dispatch(["run", *flags])
    assert text in capsys.readouterr().err


@pytest.mark.parametrize(
    "flags,text",
    [
        (["--otlp-endpoint", "collector:4318"], "--otlp-endpoint (HONE_OTLP_ENDPOINT): must be http://host:port"),
        (["--otlp-endpoint", "ftp://collector"], "must be http://host:port"),
        (["--otlp-endpoint", "http://user:secret@collector"], "must be http://host:port"),
        (["--otlp-endpoint", "http://collector/?x=1"], "must be http://host:port"),
        (["--trace-sample-ratio", "1.5"], "--trace-sample-ratio (HONE_TRACE_SAMPLE_RATIO)"),
    ],
)
def test_collectors_that_cannot_be_are_named(flags: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With what an address looks like."""
    assert ExitCode.WRONG_SETTING == dispatch(["run", *flags])
    assert text in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["run", "check", "profile"])
def test_keys_that_cannot_be_are_named(verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is missing or no key, and a folder that holds none: with the file's name, by each verb that loads."""
    (tmp_path / "half.pem").write_text("-----BEGIN PUBLIC KEY-----\nMCowBQ")
    (tmp_path / "empty").mkdir()
    for path, problem in (
        (tmp_path / "missing.pem", "missing.pem: can't be read"),
        (tmp_path / "half.pem", "half.pem: holds no whole key in PEM"),
        (tmp_path, "half.pem: holds no whole key in PEM"),
        (tmp_path / "empty", "empty: no file in this folder ends in .pem"),
    ):
        assert ExitCode.WRONG_SETTING == dispatch([verb, "--require-signature", str(path)])
        assert f"--require-signature (HONE_REQUIRE_SIGNATURE): {problem}" in capsys.readouterr().err


def test_what_a_collector_needs_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Where it isn't installed."""
    monkeypatch.setattr(settings, "find_spec", lambda _: None)
    assert ExitCode.WRONG_SETTING == dispatch(["run", "--otlp-endpoint", "http://collector:4318"])
    assert "needs OpenTelemetry, which the extra otel installs" in capsys.readouterr().err


@pytest.mark.parametrize(
    "url,path",
    [
        ("http://collector:4318", "/v1/traces"),
        ("https://collector/", "/v1/traces"),
        ("http://[::1]:4318/v1/traces", ""),
        ("http://gateway/otlp/traces", ""),
    ],
)
def test_a_collector_has_a_path(url: str, path: str) -> None:
    """That of the protocol, unless it is given."""
    assert url.rstrip("/") + path == Settings.model_validate({"otlp_endpoint": url}).otlp_endpoint


def test_a_single_file_does_not_change(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """There is no repository to follow behind one model file."""
    (tmp_path / "m.onnx").write_bytes(b"x")

    assert ExitCode.WRONG_SETTING == dispatch([str(tmp_path / "m.onnx"), "--model-control-mode", "poll"])
    assert "needs a repository" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words,text",
    [
        (["gone.onnx"], "gone.onnx: no such file"),
        (["run", "gone.onnx"], "gone.onnx: no such file"),
        (["check", "gone.onnx"], "gone.onnx: no such file"),
        (["profile", "gone.onnx"], "gone.onnx: no such file"),
        (["check", "gone"], "gone: no such file or folder"),
        (
            ["chek"],
            (
                "chek: no such verb, file or folder; the verbs are run, check, profile, bench, conformance,"
                " did you mean check?"
            ),
        ),
    ],
)
def test_a_word_that_names_nothing_is_named(words: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One line with the word as it was given and what it was taken for, not a flag that nobody gave."""
    assert ExitCode.WRONG_SETTING == dispatch(words)
    assert f"hone-serve: {text}\n" == capsys.readouterr().err


@pytest.mark.parametrize("words", [["bench", "--rate", "-1"], ["conformance", "--timeout", "-1"]])
def test_who_reads_no_environment_names_no_variable(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Only what was given."""
    assert ExitCode.WRONG_SETTING == dispatch([*words, "http://127.0.0.1:9"])
    assert capsys.readouterr().err.startswith(f"hone-serve: {words[1]}: ")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_models_can_be_loaded_by_request_on_this_machine(host: str) -> None:
    """On a loopback listener nobody from outside can."""
    settings = Settings.model_validate({"host": host, "model_control_mode": "explicit", "load_model": "a, b"})

    assert ("a", "b") == settings.load_model


def test_a_user_without_a_home_has_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container may run as a user that nobody listed: the server starts all the same, and keeps no findings."""
    monkeypatch.setenv("XDG_CACHE_HOME", "~nobody-of-this-name/cache")

    assert Settings.model_validate({}).cache_dir is None
    assert Path("/else") == Settings.model_validate({"cache_dir": "/else"}).cache_dir


def test_remotes_in_a_variable() -> None:
    """Several servers have commas or spaces between them."""
    settings = Settings.model_validate({"remote": "east=h:1, west=grpcs://h:2 north=h:3"})

    assert ("east=h:1", "west=grpcs://h:2", "north=h:3") == settings.remote


def test_a_remote_model_is_not_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`profile` measures this machine, so a model that another server computes is refused by name."""
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "config.pbtxt").write_text('parameters { key: "hone.remote" value { string_value: "east" } }')

    assert ExitCode.WRONG_SETTING == dispatch(["profile", "m", "--model-repository", str(tmp_path)])
    assert "m: a remote server computes it" in capsys.readouterr().err
