"""`hone-serve conformance` against a real tritonserver, and against a Hone that passes everything through to it."""

import json

import pytest

from service.client.conformance.check import Level
from service.command_line import dispatch
from service.exit_code import ExitCode
from tests.integration.served import Served
from tests.triton.tritonserver import TritonServer

MODELS = ("sleep", "same_0", "same_4")
"""One of FP32 alone, and two of all datatypes."""


def failures(url: str, address: str, model: str, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """Level by id of what failed; the exit code must fit, and most must have passed."""
    code = dispatch(["conformance", url, "--grpc-url", address, "--model", model, "--json"])
    found = json.loads(capsys.readouterr().out)
    failed = {one["id"]: one["level"] for one in found["checks"] if one["outcome"] == "failed"}
    assert (code == ExitCode.OK) == (set(failed.values()) <= {Level.RECOMMENDED}), failed
    assert found["counts"]["passed"] > 100
    return failed


@pytest.mark.parametrize("model", MODELS)
def test_triton_conforms(triton: TritonServer, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What is required, and all extensions that it lists: the suite isn't made to Hone's measure."""
    assert set(failures(triton.http, triton.address, model, capsys).values()) <= {Level.RECOMMENDED}


@pytest.mark.parametrize("model", MODELS)
def test_hone_conforms_with_what_triton_computes(hone: Served, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    """All of it, with every datatype of the protocol."""
    assert {} == failures(hone.http, hone.grpc, model, capsys)
