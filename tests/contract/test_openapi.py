"""What /openapi.json says, held against what a real server does."""

import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import pytest
import schemathesis
from fastapi.routing import APIRoute
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.checks import negative_data_rejection
from schemathesis.openapi import from_url
from schemathesis.schemas import BaseSchema

from loadtests.served import ROOT
from service.logs import LogControl
from service.protocol.client_memory import ClientMemory
from service.protocol.http.app import build_app
from service.protocol.limits import Limits
from tests.contract.double_engine import DoubleEngine
from tests.integration.alphabet import write_alphabet
from tests.integration.served import Served, serving, write_model

AnyCase: TypeAlias = Case[Any]
Operation: TypeAlias = APIOperation[Any, Any, Any, Any]
EXAMPLES = 12
"""Requests that are made up for each operation, beside those at the bounds of what it takes."""
MODELS = ("abc", "digits", "mlp")
ROUTES = build_app(DoubleEngine(), Limits(), LogControl(), ClientMemory(allowed=True)).routes
LABELS = [f"{method} {route.path}" for route in ROUTES if isinstance(route, APIRoute) for method in route.methods or ()]
LENGTH = "Inference-Header-Content-Length"
CHECKS = {
    # 501, 503 and 504 say that the server won't, not that it failed; what fits a schema needn't fit a model.
    "not_a_server_error": {"expected-statuses": ["2xx", "4xx", "501", "503", "504"]},
    "positive_data_acceptance": {"enabled": False},
}


@pytest.fixture(scope="module")
def region() -> Iterator[Path]:
    """What the example of a region needs to be there."""
    path = Path("/dev/shm/hone-example")
    path.write_bytes(bytes(64))
    yield path
    path.unlink(missing_ok=True)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, region: Path) -> Iterator[Served]:
    """A server that lets clients do all that there is to do: pictures, texts, numbers, regions, traces."""
    root = tmp_path_factory.mktemp("models")
    shutil.copytree(ROOT / "models" / "digits", root / "digits")
    write_alphabet(root, "abc")
    write_model(root, "mlp")
    flags = ("--model-control-mode", "explicit", "--load-model", "*", "--allow-client-shm")
    traces = str(tmp_path_factory.mktemp("traces") / "trace.json")
    with serving(root, *flags, "--trace-file", traces) as server:
        yield server


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[httpx.Client]:
    """Of that server."""
    with httpx.Client(base_url=served.http, timeout=20) as client:
        yield client


@pytest.fixture(scope="module")
def document(client: httpx.Client) -> dict[str, Any]:
    """While all models are served."""
    found: dict[str, Any] = client.get("/openapi.json").json()
    return found


@pytest.fixture(scope="module")
def schema(served: Served, document: dict[str, Any]) -> BaseSchema:
    """The document as Schemathesis reads it."""
    config = schemathesis.Config.from_dict({"checks": CHECKS})
    return from_url(f"{served.http}/openapi.json", config=config)


def test_every_route_is_described_and_no_other(document: dict[str, Any]) -> None:
    """With what it is for, what it answers, and each parameter of its path."""
    described = {
        f"{method.upper()} {path}": operation
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    assert set(LABELS) == set(described)
    assert len(LABELS) == len({one["operationId"] for one in described.values()})
    for label, operation in described.items():
        assert operation["summary"], label
        names = [resolved(document, one) for one in operation["parameters"]]
        assert {f"{{{one['name']}}}" for one in names if one["in"] == "path"} == {
            part for part in label.replace(":predict", "").split("/") if part.startswith("{")
        }


def test_every_part_is_used(document: dict[str, Any]) -> None:
    """What operations have in common is said once, and nothing that none of them means."""
    text = str(document)
    for kind, parts in document["components"].items():
        for name in parts:
            assert f"'#/components/{kind}/{name}'" in text, name


def test_examples_run_as_pasted(client: httpx.Client, schema: BaseSchema, document: dict[str, Any]) -> None:
    """Every operation, with the examples of its parameters and its body, answers as it says that it does when it can.

    In the order of the document; a model that was unloaded is loaded again.
    """
    bodies = 0
    client.post("/v2/systemsharedmemory/unregister")  # what another test may have left
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            address, answers = path, operation["responses"]
            for one in (resolved(document, parameter) for parameter in operation["parameters"]):
                if one["in"] == "path":
                    address = address.replace(f"{{{one['name']}}}", one["example"])
            expected = 200 if "200" in answers else 501
            for media, content in shown(document, operation):
                bodies += content is not None
                answer = client.request(
                    method, address, json=content, headers={"Content-Type": media} if media else None
                )
                assert expected == answer.status_code, (method, address, answer.text)
                described = schema.find_operation_by_label(f"{method.upper()} {path}")
                assert described is None or described.validate_response(answer) is None
            if address.endswith("/unload"):
                assert client.post(address.replace("/unload", "/load")).status_code in {200, 501}
    assert bodies > 10


def test_examples_are_of_what_is_served(client: httpx.Client, document: dict[str, Any]) -> None:
    """Texts are asked of a model that writes them; without models there are examples all the same."""
    parameters, before = document["components"]["parameters"], document["components"]["examples"]
    assert ("mlp", "abc") == (parameters["model"]["example"], parameters["author"]["example"])
    for name in MODELS:
        client.post(f"/v2/repository/models/{name}/unload")
    try:
        without = client.get("/openapi.json").json()["components"]
    finally:
        for name in MODELS:
            client.post(f"/v2/repository/models/{name}/load")

    assert "model" == without["parameters"]["model"]["example"]
    assert before.keys() == without["examples"].keys()
    assert document == client.get("/openapi.json").json()


def test_a_page_shows_the_document(client: httpx.Client) -> None:
    """Whatever prefix a proxy puts before it."""
    page = client.get("/docs")
    assert (200, "text/html; charset=utf-8") == (page.status_code, page.headers["Content-Type"])
    assert "url: 'openapi.json'" in page.text


def test_another_method_is_told_all_that_there_are(client: httpx.Client) -> None:
    """Also where each of them has a route of its own."""
    refused = client.delete("/v2/logging")
    assert (405, "GET, POST") == (refused.status_code, refused.headers["Allow"])
    assert "DELETE isn't allowed" in refused.json()["error"]


@pytest.mark.parametrize("label", [label for label in LABELS if label != "GET /openapi.json"])
def test_an_operation_does_what_is_said_of_it(
    label: str, served: Served, client: httpx.Client, schema: BaseSchema, document: dict[str, Any]
) -> None:
    """Whatever it is sent, as the document has it or not: no failure, no answer that isn't described.

    The routes of a version are those of the model once more, so the bounds of what they take are tried there only.
    """
    operation = schema.find_operation_by_label(label)
    assert operation is not None
    if "{version}" not in label:
        config = schema.config.generation_for(operation=operation, phase="coverage")
        modes = list(GenerationMode)
        for case in schema.iter_coverage_cases(operation, generation_modes=modes, generation_config=config):
            judge(case, served)

    @settings(
        derandomize=True,
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=st.one_of([cases(operation, mode) for mode in GenerationMode] + likely_cases(operation, document)))
    def made_up(case: AnyCase) -> None:
        judge(case, served)

    made_up()
    if label.endswith("/unload"):
        for name in MODELS:
            client.post(f"/v2/repository/models/{name}/load").raise_for_status()


def cases(operation: Operation, mode: GenerationMode) -> st.SearchStrategy[AnyCase]:
    """Requests of any path, and to each model."""
    known = [{"model": name, **({"version": "1"} if "{version}" in operation.path else {})} for name in MODELS]
    paths = [None, *known] if "{model}" in operation.path else [None]
    return st.sampled_from(paths).flatmap(lambda path: operation.as_strategy(mode, path_parameters=path))


def likely_cases(operation: Operation, document: dict[str, Any]) -> list[st.SearchStrategy[AnyCase]]:
    """What the example says with all else made up, so that not everything is refused."""
    described = document["paths"][operation.path][operation.method]
    path = {
        one["name"]: one["example"]
        for one in (resolved(document, parameter) for parameter in described["parameters"])
        if one["in"] == "path"
    }

    def likely(case: AnyCase, media: str, body: dict[str, Any]) -> AnyCase:
        case.body, case.media_type = {**(case.body if isinstance(case.body, dict) else {}), **body}, media
        for name in (LENGTH, "Content-Encoding"):
            case.headers.pop(name, None)
        return case

    return [
        operation.as_strategy(path_parameters=path).map(partial(likely, media=media, body=body))
        for media, body in shown(document, described)
        if media
    ]


def judge(case: AnyCase, served: Served) -> None:
    """Send it, and hold the answer against the document."""
    raw = LENGTH in case.headers  # then the body is no JSON, or only part of it is
    case.call_and_validate(base_url=served.http, excluded_checks=[negative_data_rejection] if raw else [])


def shown(document: dict[str, Any], operation: dict[str, Any]) -> list[tuple[str | None, Any]]:
    """Media type and content of each example of a body; one without where there is none."""
    bodies = operation.get("requestBody", {}).get("content", {})
    found = [
        (media, resolved(document, one)["value"])
        for media, body in bodies.items()
        for one in (*body.get("examples", {}).values(), *([{"value": body["example"]}] if "example" in body else []))
    ]
    return found or [(None, None)]


def resolved(document: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """A part itself, where it stands among the components."""
    if "$ref" not in part:
        return part
    kind, name = part["$ref"].removeprefix("#/components/").split("/")
    found: dict[str, Any] = document["components"][kind][name]
    return found
