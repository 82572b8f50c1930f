"""Hone conforms: `hone-serve conformance` against a real server, over HTTP and gRPC."""

import json
from collections.abc import Iterator

import pytest

from service.client.conformance.suite import CHECKS
from service.command_line import dispatch
from service.exit_code import ExitCode
from tests.integration import models
from tests.integration.alphabet import write_alphabet
from tests.integration.served import CONFIG, Served, serving, write_model

LABELLED = CONFIG.replace("dims: [ 10 ] }", 'dims: [ 10 ] label_filename: "labels.txt" }')
NOT_OF_THESE_MODELS = {"http.binary.half-precision-in-json"}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with models that between them have what the checks ask for, and such as count otherwise than others."""
    root = tmp_path_factory.mktemp("models")
    write_model(root, "mlp", config=LABELLED)
    (root / "mlp" / "labels.txt").write_text("\n".join(f"class {number}" for number in range(10)))
    write_model(root, "texts", config="max_batch_size: 4", model=models.texts())
    write_model(root, "lengths", config="max_batch_size: 4", model=models.lengths())
    write_model(root, "fixed", config=None, model=models.fixed())
    write_model(root, "cached", config=CONFIG + "response_cache { enable: true }")
    write_alphabet(root, "abc")
    with serving(root, "--allow-client-shm", "--response-cache-byte-size", "1000000") as server:
        yield server


def test_every_check_passes_or_says_why_not(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    """Over the models together each check was tried and passed, but for one of what none of them has."""
    passed: set[str] = set()
    for model in ("mlp", "texts", "lengths", "fixed", "cached", "abc"):
        code = dispatch(["conformance", served.http, "--grpc-url", served.grpc, "--model", model, "--json"])
        found = json.loads(capsys.readouterr().out)
        failed = {one["id"]: one["reason"] for one in found["checks"] if one["outcome"] == "failed"}
        assert {} == failed
        assert (ExitCode.OK, True) == (code, found["conforms"])
        passed |= {one["id"] for one in found["checks"] if one["outcome"] == "passed"}

    assert NOT_OF_THESE_MODELS == {check.id for check in CHECKS} - passed


def test_the_table_says_what_it_comes_to(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    """The first model is asked that is ready and plain, `abc` and `cached` aren't; what was skipped for one reason is
    one row.
    """
    assert ExitCode.OK == dispatch(["conformance", served.http, "--only", "health"])

    said = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "http.health.live required passed" in said
    assert "grpc.health.live required skipped no gRPC address was" in said
    assert "and 2 more" in said
    assert "model fixed: 7 passed, 0 failed, 5 skipped conforms" in said
