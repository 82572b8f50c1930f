"""Scheduling as clients see it: deadlines, priorities, large requests, lengths, and models that mates would disturb."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException

from tests.integration import models
from tests.integration.served import CONFIG, Served, metric, reference, serving, write_model

LENGTHS = """
max_batch_size: 8
dynamic_batching { }
parameters { key: "hone.length.ids" value { string_value: "axis=1 buckets=4,8,16 pad=9 mask=mask" } }
parameters { key: "hone.unpad.states" value { string_value: "axis=1 like=ids" } }
"""
LEVELS = CONFIG.replace("dynamic_batching { }", "dynamic_batching { priority_levels: 2 default_priority_level: 2 }")
FINITE = CONFIG + 'parameters { key: "hone.reject_non_finite" value { string_value: "true" } }'


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    root = tmp_path_factory.mktemp("scheduling")
    write_model(root, "mlp")
    write_model(root, "levels", config=LEVELS)
    write_model(root, "finite", config=FINITE)
    write_model(root, "lengths", config=LENGTHS, model=models.lengths())
    write_model(root, "centred", config="max_batch_size: 8 dynamic_batching { }", model=models.centred())
    write_model(root, "single", config="max_batch_size: 8 dynamic_batching { }", model=models.single())
    write_model(root, "slow", config="max_batch_size: 4 dynamic_batching { }", model=models.slow())
    with serving(root, "--cache-dir", str(root.parent / "cache")) as server:
        yield server


def ask(served: Served, model: str, name: str, array: NDArray[Any], **options: Any) -> Any:
    """By a client of its own, since the stock client belongs to one thread."""
    tensor = triton.InferInput(name, list(array.shape), {"f": "FP32", "i": "INT64"}[array.dtype.kind])
    tensor.set_data_from_numpy(array)
    with triton.InferenceServerClient(served.http.removeprefix("http://")) as client:
        return client.infer(model, [tensor], **options)


def test_a_hopeless_deadline_is_refused_with_the_reason(served: Served) -> None:
    """503 at once: when it would be finished, what was left, how much is ahead, and that it may be tried again."""
    x = {"name": "x", "datatype": "FP32", "shape": [1, 64], "data": [0.0] * 64}
    request = urllib.request.Request(
        f"{served.http}/v2/models/slow/infer",
        data=json.dumps({"inputs": [x]}).encode(),
        headers={"X-Request-Timeout-Ms": "0.5"},
    )
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)

    body = json.loads(caught.value.read())
    assert 503 == caught.value.code
    assert caught.value.headers["Retry-After"]
    assert "deadline_infeasible" == body["reason"]
    assert "and 0.5 ms are left; 0 rows are to be computed before" in body["error"]
    assert metric(served, "hone_rejected_total", model="slow", reason="deadline_infeasible") >= 1


@pytest.mark.parametrize("timeout", [-1, "soon"])
def test_a_timeout_that_is_none_is_refused(served: Served, timeout: object) -> None:
    """Negative and non-numeric timeouts are the client's mistake; 0 means none."""
    x = {"name": "x", "datatype": "FP32", "shape": [1, 64], "data": [0.0] * 64}
    for given, status in ((timeout, 400), (0, 200)):
        body = json.dumps({"inputs": [x], "parameters": {"timeout": given}}).encode()
        request = urllib.request.Request(f"{served.http}/v2/models/mlp/infer", data=body)
        try:
            code = urllib.request.urlopen(request).status
        except urllib.error.HTTPError as error:
            code = error.code
        assert status == code


@pytest.mark.parametrize(
    "model, priority, text", [("levels", 3, "has levels 1 to 2"), ("levels", 2, None), ("mlp", 9, None)]
)
def test_priorities_are_levels_of_the_model(served: Served, model: str, priority: int, text: str | None) -> None:
    """A level that the model doesn't have is refused; a model without levels takes any, as Triton does."""
    x = np.ones((1, 64), np.float32)
    if text is None:
        np.testing.assert_allclose(
            reference(x), ask(served, model, "x", x, priority=priority).as_numpy("y"), rtol=1e-4, atol=1e-4
        )
        return
    with pytest.raises(InferenceServerException, match=text):
        ask(served, model, "x", x, priority=priority)


def test_a_request_of_many_rows_is_computed_in_batches(served: Served) -> None:
    """Fifty rows to a model of at most sixteen: one answer of fifty rows, from four batches."""
    x = np.random.default_rng(1).normal(size=(50, 64)).astype(np.float32)
    before = metric(served, "hone_execution_total", model="mlp")

    np.testing.assert_allclose(reference(x), ask(served, "mlp", "x", x).as_numpy("y"), rtol=1e-4, atol=1e-4)
    assert before + 4 == metric(served, "hone_execution_total", model="mlp")


def test_what_is_not_finite_is_refused_where_the_model_says_so(served: Served) -> None:
    """NaN is an input like any other, unless the configuration refuses it."""
    x = np.full((1, 64), np.nan, np.float32)
    assert np.isnan(ask(served, "mlp", "x", x).as_numpy("y")).all()
    with pytest.raises(InferenceServerException, match='"x" holds NaN or infinity'):
        ask(served, "finite", "x", x)


def test_lengths_are_padded_and_answers_cut_back(served: Served) -> None:
    """Requests of many lengths at once, without a mask: each answer has its own length, and padding changed nothing."""

    def one(length: int) -> None:
        ids = np.arange(1, length + 1)[None]
        answer = ask(served, "lengths", "ids", ids)
        np.testing.assert_array_equal(2 * ids, answer.as_numpy("states"))
        assert [ids.sum()] == answer.as_numpy("total").tolist()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, [1, 3, 4, 5, 7, 8, 9, 13, 16] * 5))
    with pytest.raises(InferenceServerException, match="has length 17, the longest that this model takes is 16"):
        one(17)
    assert metric(served, "hone_padding_ratio_count", model="lengths") > 0


def test_a_model_that_mates_disturb_computes_one_request_at_a_time(served: Served) -> None:
    """It is found out when the model is loaded, said in a metric and in the log, and kept to under load."""

    def one(value: int) -> None:
        answer = ask(served, "centred", "x", np.full((1, 4), value, np.float32)).as_numpy("y")
        assert not answer.any()

    def counted() -> tuple[float, float]:
        executions = metric(served, "hone_execution_total", model="centred")
        return executions, metric(served, "hone_inference_total", model="centred")

    before = counted()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(200)))
    assert (200, 200) == tuple(np.subtract(counted(), before))
    assert 0 == metric(served, "hone_model_batch_independent", model="centred")
    assert 1 == metric(served, "hone_model_batch_independent", model="mlp")
    assert any(line["event"].startswith("a batch-mate changes answers") for line in served.log)


def test_a_request_to_a_model_that_mates_disturb_is_not_cut(served: Served) -> None:
    """Its rows are mates too: up to a whole batch they are computed together, and more than that is refused."""
    x = np.arange(36, dtype=np.float32).reshape(9, 4)
    np.testing.assert_allclose(x[:8] - x[:8].mean(axis=0), ask(served, "centred", "x", x[:8]).as_numpy("y"), atol=1e-5)
    with pytest.raises(
        InferenceServerException, match=r"9 rows, .* takes 1 to 8 in a request, no more than in a batch"
    ):
        ask(served, "centred", "x", x)


def test_a_model_that_takes_one_row_only_is_given_one(served: Served) -> None:
    """Where the runtime refuses any two rows nothing can be said of mates: requests don't share batches."""

    def one(value: int) -> None:
        answer = ask(served, "single", "x", np.full((1, 4), value, np.float32)).as_numpy("y")
        assert [[value + 1] * 4] == answer.tolist()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(100)))
    assert 0 == metric(served, "hone_model_batch_independent", model="single")
    (line,) = [line for line in served.log if line["event"].startswith("it isn't known") and line["model"] == "single"]
    assert line["reason"].startswith("it refuses rows together that it computes alone: ")


def test_what_was_measured_is_found_again(tmp_path: Path) -> None:
    """The second start takes findings from the cache folder as they are; a broken file there is measured anew."""
    write_model(tmp_path / "models", "mlp")
    cache = tmp_path / "cache"
    for spoilt in (False, False, True):
        before = {path: path.read_bytes() for path in cache.glob("*.json")}
        with serving(tmp_path / "models", "--cache-dir", str(cache)):
            pass
        (file,) = cache.glob("*.json")
        assert json.loads(file.read_bytes())["buckets"][0]["rows"] == 1
        assert not before or spoilt or before == {file: file.read_bytes()}
        if before:
            file.write_text("{")
