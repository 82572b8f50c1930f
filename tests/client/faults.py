"""Servers that are wrong in one way each, and the checks that must find it."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from tests.client.right_server import (
    CONFIG,
    LENGTH,
    METADATA,
    MODEL,
    SETTINGS,
    TRACE,
    Asked,
    Fault,
    RightServer,
    Told,
)

PATH = f"/v2/models/{MODEL}"
ERROR = Told(status=500, body=b'{"error": "oops"}', headers={"Content-Type": "application/json"})
NOT_READ = (
    "http.binary.outputs",
    "http.binary.mixed-outputs",
    "http.binary.default-of-outputs",
    "http.binary.both-ways",
)


@dataclass(frozen=True, kw_only=True)
class Planted:
    """`found_by` are the ids of just those checks that fail."""

    name: str
    fault: Fault
    found_by: tuple[str, ...]


def told(path: str, change: Callable[[Told], Told], *, method: str = "GET") -> Fault:
    """What a path answers, changed."""

    def fault(asked: Asked, right: RightServer) -> Told | None:
        if asked.path == path and asked.method == method:
            return change(right.answer(asked))
        return None

    return fault


def content(path: str, change: Callable[[Any], Any], *, method: str = "GET") -> Fault:
    """The JSON that a path answers, changed."""
    return told(path, lambda one: one.with_json(change(one.json())), method=method)


def inferred(change: Callable[[dict[str, Any], Asked], None]) -> Fault:
    """The JSON of every inference that is all JSON, changed where it lies."""

    def fault(asked: Asked, right: RightServer) -> Told | None:
        answer = right.answer(asked)
        plain = answer.headers.get("Content-Type") == "application/json" and "Content-Encoding" not in answer.headers
        if not asked.is_infer or answer.status != 200 or not plain:
            return answer
        document = answer.json()
        change(document, asked)
        return answer.with_json(document)

    return fault


def taken(change: Callable[[dict[str, Any]], bool]) -> Fault:
    """Every inference request whose JSON `change` says it has put right, answered as if it had come so."""

    def fault(asked: Asked, right: RightServer) -> Told | None:
        try:
            document = asked.document()
            if asked.is_infer and int(asked.headers.get(LENGTH, 0)) <= len(asked.body) and change(document):
                return right.answer(asked.with_document(document))
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):
            pass
        return None

    return fault


def when(condition: Callable[[Asked], object], answer: Told) -> Fault:
    """This answer to every request of some kind."""
    return lambda asked, _right: answer if condition(asked) else None


def _no_elements_less(document: dict[str, Any]) -> bool:
    entry = document["inputs"][0]
    entry["data"].append(0.0)
    return len(entry["data"]) == 4 and entry["shape"] == [1, 4]


def _cut(document: dict[str, Any]) -> bool:
    entry = document["inputs"][0]
    return len(entry["data"]) == 5 and entry["data"].pop() is not None


def _made_positive(document: dict[str, Any]) -> bool:
    shape = document["inputs"][0]["shape"]
    shape[0] = abs(shape[0])
    return bool(shape == [1, 4])


def _made_whole(document: dict[str, Any]) -> bool:
    shape = document["inputs"][0]["shape"]
    was, shape[0] = shape[0], int(shape[0])
    return bool(was == 1.5)


def _other_inputs_left_out(document: dict[str, Any]) -> bool:
    known = [entry for entry in document["inputs"] if entry["name"] in {"x", "n"}]
    was, document["inputs"] = len(document["inputs"]), known
    return was > len(known)


def _twins_left_out(document: dict[str, Any]) -> bool:
    entries = {entry["name"]: entry for entry in document["inputs"]}
    was, document["inputs"] = len(document["inputs"]), list(entries.values())
    return was > len(entries)


def _unknown_outputs_left_out(document: dict[str, Any]) -> bool:
    return document["outputs"][0]["name"] not in {"y", "m"} and bool(document.pop("outputs"))


def _all_outputs(document: dict[str, Any]) -> bool:
    names = [one["name"] for one in document["outputs"]]
    return names == ["m"] and "parameters" not in document["outputs"][0] and bool(document.pop("outputs"))


def _own_parameters_left_out(document: dict[str, Any]) -> bool:
    return bool(document["parameters"].pop("triton_conformance", 0))


def _converted(document: dict[str, Any]) -> bool:
    entry = document["inputs"][0]
    was, entry["datatype"] = entry["datatype"], "FP32"
    return bool(entry["name"] == "x" and was == "INT64")


def _dropped_id(document: dict[str, Any], _asked: Asked) -> None:
    document.pop("id", None)


def _invented_id(document: dict[str, Any], _asked: Asked) -> None:
    document.setdefault("id", "4711")


def _other_name(document: dict[str, Any], _asked: Asked) -> None:
    document["model_name"] = "other"


def _nested(document: dict[str, Any], _asked: Asked) -> None:
    for entry in document["outputs"]:
        if entry["datatype"] != "BYTES" and len(entry["data"]) == 4:
            entry["data"] = [entry["data"]]


def _floats(document: dict[str, Any], _asked: Asked) -> None:
    for entry in document["outputs"]:
        if entry["datatype"] == "INT64":
            entry["data"] = [float(value) for value in entry["data"]]


def _worst_classes(document: dict[str, Any], asked: Asked) -> None:
    for entry in document["outputs"]:
        if entry["datatype"] == "BYTES":
            entry["data"].reverse()


def _mixed_rows(document: dict[str, Any], _asked: Asked) -> None:
    for entry in document["outputs"]:
        if entry["shape"][0] == 2:
            entry["data"][0] += 100


def _short_header(asked: Asked, right: RightServer) -> Told | None:
    """A length beyond the body is taken for the body's."""
    length = asked.headers.get(LENGTH, "0")
    if length.isdecimal() and int(length) > len(asked.body) and "content-encoding" not in asked.headers:
        return right.answer(replace(asked, headers={**asked.headers, LENGTH: str(len(asked.body))}))
    return None


def _no_length(asked: Asked, right: RightServer) -> Told | None:
    """A length that is no number is no length."""
    if not asked.headers.get(LENGTH, "0").isdecimal():
        return right.answer(replace(asked, headers={}))
    return None


def _bytes_left(asked: Asked, right: RightServer) -> Told | None:
    """Bytes behind the last tensor are nobody's."""
    return right.answer(replace(asked, body=asked.body[:-3])) if asked.body.endswith(b"\1" + bytes(10)) else None


def _data_wins(asked: Asked, right: RightServer) -> Told | None:
    """An input with data needs no bytes."""
    if b'"data"' not in asked.body or b"binary_data_size" not in asked.body or asked.headers.get(LENGTH, "x") == "x":
        return None
    document = asked.document()
    entry = document["inputs"][0]
    if "data" not in entry or not entry.pop("parameters", None):
        return None
    return right.answer(replace(asked, body=json.dumps(document).encode(), headers={}))


def _headless(asked: Asked, right: RightServer) -> Told | None:
    """Binary data without the header that says where it begins."""
    answer = right.answer(asked)
    headers = {name: value for name, value in answer.headers.items() if name.lower() != LENGTH}
    return replace(answer, headers=headers)


def _big_endian(asked: Asked, right: RightServer) -> Told | None:
    answer = right.answer(asked)
    if b"classification" in asked.body:
        return answer
    length = int(answer.headers.get("Inference-Header-Content-Length", len(answer.body)))
    rest = answer.body[length:]
    return replace(answer, body=answer.body[:length] + rest[::-1])


def _default_ignored(document: dict[str, Any]) -> bool:
    return bool(document["parameters"].pop("binary_data_output")) and "outputs" not in document


def _default_wins(asked: Asked, right: RightServer) -> Told | None:
    """binary_data_output, whatever an output says of itself."""
    if asked.is_infer and b'"binary_data": false' in asked.body and b"binary_data_output" in asked.body:
        body = asked.body.replace(b'"binary_data": false', b'"binary_data": true')
        return right.answer(replace(asked, body=body))
    return None


def _mislabelled(asked: Asked, right: RightServer) -> Told | None:
    """gzip that isn't."""
    if asked.headers.get("accept-encoding") != "gzip":
        return None
    plain = right.answer(replace(asked, headers={}))
    return replace(plain, headers={**plain.headers, "Content-Encoding": "gzip"})


def _unasked(asked: Asked, right: RightServer) -> Told | None:
    """gzip for who accepts nothing of the kind."""
    return (
        right.answer(replace(asked, headers={**asked.headers, "accept-encoding": "gzip"}))
        if (asked.headers.get("accept-encoding") == "identity")
        else None
    )


def _coding_ignored(asked: Asked, right: RightServer) -> Told | None:
    if asked.headers.get("content-encoding") == "x-none":
        return right.answer(replace(asked, headers={}))
    return None


def _uncounted(asked: Asked, right: RightServer) -> Told | None:
    answer = right.answer(asked)
    right.requests = right.rows = 1
    return answer


def _rows_uncounted(asked: Asked, right: RightServer) -> Told | None:
    answer = right.answer(asked)
    right.rows = right.requests
    return answer


def hits(*, inferences: Callable[[RightServer], int]) -> Fault:
    """All requests but the first are answered by a cache, which inference_count says so much of."""

    def change(answer: dict[str, Any], right: RightServer) -> dict[str, Any]:
        (one,) = answer["model_stats"]
        hit = {"count": max(right.requests - 1, 0), "ns": 1000}
        one["inference_stats"]["cache_hit"] = hit
        return {"model_stats": [{**one, "inference_count": inferences(right), "execution_count": 1}]}

    def fault(asked: Asked, right: RightServer) -> Told | None:
        answer = right.answer(asked)
        return answer.with_json(change(answer.json(), right)) if asked.path == f"{PATH}/stats" else answer

    return fault


def _failures_counted(asked: Asked, right: RightServer) -> Told | None:
    answer = right.answer(asked)
    right.requests += asked.is_infer and asked.body == b"{"
    return answer


def _harmed(asked: Asked, right: RightServer) -> Told | None:
    """What was refused too often takes the server down."""
    return ERROR if asked.path == "/v2/health/ready" and right.failures > 10 else None


def _half_read(asked: Asked, right: RightServer) -> Told | None:
    """What follows a refusal on a connection is refused."""
    return ERROR if asked.turn and right.last.status == 404 else None


def _labelled(asked: Asked, right: RightServer) -> Told | None:
    """A header for binary data, and none of it."""
    answer = right.answer(asked)
    others = {LENGTH, "content-encoding"} & {name.lower() for name in answer.headers}
    if not asked.is_infer or answer.status != 200 or others:
        return answer
    return replace(answer, headers={**answer.headers, "Inference-Header-Content-Length": str(len(answer.body))})


def _text(asked: Asked, right: RightServer) -> Told | None:
    answer = right.answer(asked)
    is_plain = asked.is_infer and answer.headers.get("Content-Type") == "application/json" and answer.status == 200
    return replace(answer, headers={**answer.headers, "Content-Type": "text/plain"}) if is_plain else answer


def yes(asked: Asked, right: RightServer) -> Told | None:
    """What must be refused is answered like the request before it."""
    answer = right.answer(asked)
    if answer.status < 400:
        right.taken = answer if asked.is_infer else right.taken
        return answer
    return right.taken if asked.is_infer else Told(status=200, body=b'{"name": "other", "model_stats": []}')


def no(asked: Asked, right: RightServer) -> Told | None:
    """Three questions are answered, and then nothing but the first inference when it comes again in just that form."""
    right.asked.append(asked)
    inferences = [one for one in right.asked if one.is_infer and one.method == "POST"]
    is_first = bool(inferences) and asked == inferences[0]
    return None if is_first or len(right.asked) <= 3 else Told(status=500, body=b"no")


def constant(datatype: str) -> Fault:
    """A server of one input, which answers each inference alike, but for one that is nothing but bytes."""
    tensor = {"name": "x", "datatype": datatype, "shape": [1]}
    output = {"name": "y", "datatype": "FP32", "shape": [1]}
    about = {"name": MODEL, "platform": "none", "inputs": [tensor], "outputs": [output]}
    reply = {"model_name": MODEL, "outputs": [{**output, "data": [1.0]}]}

    def fault(asked: Asked, right: RightServer) -> Told | None:
        if asked.path in {PATH, f"{PATH}/config"}:
            return Told(status=200, body=json.dumps(about if asked.path == PATH else {"max_batch_size": 0}).encode())
        if asked.is_infer and asked.headers.get(LENGTH) != "0":
            return Told(status=200, body=json.dumps(reply).encode())
        return None

    return fault


def _any_version(asked: Asked, right: RightServer) -> Told | None:
    return right.answer(replace(asked, path=asked.path.replace("987654", "1"))) if asked.is_infer else None


def _strings(config: dict[str, Any]) -> dict[str, Any]:
    return {**config, "dynamic_batching": {"max_queue_delay_microseconds": "100"}}


PLANTED = (
    Planted(name="not live", fault=told("/v2/health/live", lambda _: ERROR), found_by=("http.health.live",)),
    Planted(
        name="says that it isn't ready",
        fault=told("/v2/health/ready", lambda one: replace(one, body=b'{"ready": false}')),
        found_by=("http.health.ready",),
    ),
    Planted(
        name="everything is ready",
        fault=when(lambda asked: asked.path.endswith("/ready"), Told(status=200)),
        found_by=("http.health.unknown-model", "http.health.unknown-version"),
    ),
    Planted(
        name="another method is another path",
        fault=when(lambda asked: asked.method == "GET" and asked.is_infer, replace(ERROR, status=404)),
        found_by=("http.infer.wrong-method",),
    ),
    Planted(
        name="server metadata without a version",
        fault=content("/v2", lambda one: {**one, "version": 1}),
        found_by=("http.metadata.server",),
    ),
    Planted(
        name="metadata of another",
        fault=content(PATH, lambda one: {**one, "name": "other"}),
        found_by=("http.metadata.model",),
    ),
    Planted(
        name="a version that isn't there is listed",
        fault=content(PATH, lambda one: {**one, "versions": ["0", "1"]}),
        found_by=("http.metadata.versions",),
    ),
    Planted(
        name="twin outputs in the metadata",
        fault=content(f"{PATH}", lambda one: {**one, "outputs": [*one["outputs"], METADATA["outputs"][0]]}),
        found_by=("http.metadata.tensors",),
    ),
    Planted(
        name="sizes as text",
        fault=content(PATH, lambda one: {**one, "outputs": [{**one["outputs"][0], "shape": ["-1", "4"]}]}),
        found_by=("http.metadata.shapes",),
    ),
    Planted(
        name="errors of another shape",
        fault=lambda asked, _right: (
            Told(status=400, body=b'{"detail": "no"}', headers=ERROR.headers) if asked.body == b"{" else None
        ),
        found_by=("http.errors.object",),
    ),
    Planted(
        name="unknown paths in another shape",
        fault=when(lambda asked: asked.path == "/v2/no-such-path", Told(status=404, body=b"Not Found")),
        found_by=("http.errors.object-of-routes",),
    ),
    Planted(
        name="only what says that it is JSON",
        fault=when(lambda asked: asked.is_infer and "content-type" not in asked.headers and asked.body, ERROR),
        found_by=("http.infer.any-content-type",),
    ),
    Planted(
        name="a body that was refused is read as a request",
        fault=_half_read,
        found_by=("http.connection.after-a-refusal",),
    ),
    Planted(
        name="64-bit integers as text",
        fault=content(f"{PATH}/config", _strings),
        found_by=("http.config.integers",),
    ),
    Planted(
        name="dims with the batch",
        fault=content(
            f"{PATH}/config", lambda one: {**one, "input": [{**entry, "dims": [-1, 4]} for entry in CONFIG["input"]]}
        ),
        found_by=("http.config.batch-axis",),
    ),
    Planted(name="the id is lost", fault=inferred(_dropped_id), found_by=("http.infer.id",)),
    Planted(name="an id is made up", fault=inferred(_invented_id), found_by=("http.infer.no-id",)),
    Planted(name="the answer of another model", fault=inferred(_other_name), found_by=("http.infer.answers",)),
    Planted(name="nested answers", fault=inferred(_nested), found_by=("http.infer.flat-answer",)),
    Planted(name="integers as floats", fault=inferred(_floats), found_by=("http.infer.elements",)),
    Planted(
        name="rows change each other",
        fault=inferred(_mixed_rows),
        found_by=("http.infer.batch",),
    ),
    Planted(name="all outputs always", fault=taken(_all_outputs), found_by=("http.infer.requested-output",)),
    Planted(
        name="missing elements are zero", fault=taken(_no_elements_less), found_by=("http.infer.too-few-elements",)
    ),
    Planted(name="further elements are cut off", fault=taken(_cut), found_by=("http.infer.too-many-elements",)),
    Planted(name="sizes lose their sign", fault=taken(_made_positive), found_by=("http.infer.negative-axis",)),
    Planted(name="sizes are rounded", fault=taken(_made_whole), found_by=("http.infer.fractional-axis",)),
    Planted(
        name="unknown inputs are ignored", fault=taken(_other_inputs_left_out), found_by=("http.infer.unknown-input",)
    ),
    Planted(name="the last twin counts", fault=taken(_twins_left_out), found_by=("http.infer.twin-inputs",)),
    Planted(
        name="unknown outputs are ignored",
        fault=taken(_unknown_outputs_left_out),
        found_by=("http.infer.unknown-output",),
    ),
    Planted(name="datatypes are converted", fault=taken(_converted), found_by=("http.infer.wrong-datatype",)),
    Planted(name="any version will do", fault=_any_version, found_by=("http.infer.unknown-version",)),
    Planted(
        name="no answer to an empty body",
        fault=when(lambda asked: asked.is_infer and asked.method == "POST" and not asked.body, Told(status=0)),
        found_by=("http.infer.empty-body",),
    ),
    Planted(
        name="malformed JSON is the server's fault",
        fault=when(lambda asked: asked.path == f"{PATH}/infer" and asked.body == b"{", ERROR),
        found_by=("http.errors.client-faults",),
    ),
    Planted(
        name="an output that isn't as it is described",
        fault=content(
            PATH, lambda one: {**one, "outputs": [{**one["outputs"][0], "shape": [-1, 5]}, one["outputs"][1]]}
        ),
        found_by=("http.infer.outputs-as-described", "http.config.batch-axis"),
    ),
    Planted(name="JSON that says it is text", fault=_text, found_by=("http.infer.content-type",)),
    Planted(name="a length without binary data", fault=_labelled, found_by=("http.binary.not-asked-for",)),
    Planted(
        name="the length under gzip is that of the gzip",
        fault=when(
            lambda asked: asked.headers.get("content-encoding") == "gzip" and LENGTH in asked.headers,
            replace(ERROR, status=400),
        ),
        found_by=("http.compression.binary",),
    ),
    Planted(
        name="no elements, no bytes: no tensor",
        fault=when(lambda asked: b'"binary_data_size": 0}' in asked.body, replace(ERROR, status=400)),
        found_by=("http.binary.no-elements",),
    ),
    Planted(name="refusals do harm", fault=_harmed, found_by=("http.errors.unharmed",)),
    Planted(name="a long length is cut", fault=_short_header, found_by=("http.binary.length-beyond-body",)),
    Planted(
        name="a length that is no number is ignored",
        fault=_no_length,
        found_by=("http.binary.length-not-a-number", "http.binary.length-negative"),
    ),
    Planted(name="bytes are left over", fault=_bytes_left, found_by=("http.binary.bytes-left-over",)),
    Planted(name="data wins over bytes", fault=_data_wins, found_by=("http.binary.size-and-data",)),
    Planted(
        name="binary data without its header",
        fault=_headless,
        found_by=(*NOT_READ, "http.binary.headers", "http.classification.as-binary"),
    ),
    Planted(
        name="the wrong end first",
        fault=_big_endian,
        found_by=("http.binary.outputs", "http.binary.default-of-outputs", "http.binary.both-ways"),
    ),
    Planted(
        name="binary_data_output is ignored",
        fault=taken(_default_ignored),
        found_by=("http.binary.default-of-outputs",),
    ),
    Planted(
        name="binary_data_output can't be overridden", fault=_default_wins, found_by=("http.binary.default-overridden",)
    ),
    Planted(
        name="reserved parameters are taken",
        fault=taken(_own_parameters_left_out),
        found_by=("http.parameters.reserved",),
    ),
    Planted(
        name="no parameters but the protocol's",
        fault=when(lambda asked: b"conformance_text" in asked.body, replace(ERROR, status=400)),
        found_by=("http.parameters.custom",),
    ),
    Planted(name="gzip that isn't", fault=_mislabelled, found_by=("http.compression.gzip-answer",)),
    Planted(name="compressed unasked", fault=_unasked, found_by=("http.compression.not-asked-for",)),
    Planted(name="codings are ignored", fault=_coding_ignored, found_by=("http.compression.unknown-coding",)),
    Planted(
        name="nothing is counted",
        fault=_uncounted,
        found_by=("http.statistics.success", "http.statistics.inferences", "http.statistics.rows"),
    ),
    Planted(name="requests are counted, not rows", fault=_rows_uncounted, found_by=("http.statistics.rows",)),
    Planted(
        name="hits of a cache are inferences",
        fault=hits(inferences=lambda right: right.rows),
        found_by=("http.statistics.inferences", "http.statistics.rows"),
    ),
    Planted(name="refusals are successes", fault=_failures_counted, found_by=("http.statistics.refusals",)),
    Planted(
        name="an index in an object",
        fault=content(
            "/v2/repository/index", lambda one: {"models": one} if isinstance(one, list) else one, method="POST"
        ),
        found_by=tuple(f"http.repository.{word}" for word in ("index", "states", "empty-body", "only-ready")),
    ),
    Planted(
        name="the filter of the index is ignored",
        fault=lambda asked, right: right.answer(replace(asked, body=b"")) if b'"ready": true' in asked.body else None,
        found_by=("http.repository.only-ready",),
    ),
    Planted(
        name="the worst classes first",
        fault=inferred(_worst_classes),
        found_by=("http.classification.order",),
    ),
    Planted(
        name="one setting changes another",
        fault=when(
            lambda asked: asked.path == "/v2/logging" and b"log_info" in asked.body,
            Told(status=200, body=json.dumps({**SETTINGS, "log_error": False}).encode()),
        ),
        found_by=("http.logging.change",),
    ),
    Planted(
        name="a rate as a number",
        fault=content("/v2/trace/setting", lambda _: {**TRACE, "trace_rate": 1000}),
        found_by=("http.trace.settings",),
    ),
)
