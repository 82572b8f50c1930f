"""Texts that a real server writes token by token, over HTTP and gRPC."""

import contextlib
import json
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.grpc as triton
from tokenizers import Tokenizer
from tritonclient.utils import InferenceServerException

from tests.integration.alphabet import CONFIG, CONTEXT, write_alphabet
from tests.integration.served import Served, metric, run_to_end, serving, write_model
from tests.integration.test_ensemble import eventually


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A decoder that takes prompts in one step, one that takes a token a step, and a model that writes nothing."""
    root = tmp_path_factory.mktemp("models")
    write_alphabet(root, "abc")
    write_alphabet(root, "one", steps=1)
    write_model(root, "mlp")
    with serving(root) as server:
        yield server


def post(served: Served, path: str, **content: Any) -> httpx.Response:
    """The answer to a request."""
    return httpx.post(served.http + path, json=content, timeout=20)


def generate(served: Served, text: str, *, model: str = "abc", **parameters: Any) -> Any:
    """The answer as JSON, with its status."""
    answer = post(served, f"/v2/models/{model}/generate", text_input=text, parameters=parameters)
    return {"status": answer.status_code, **answer.json()}


def events(served: Served, text: str, *, model: str = "abc", **parameters: Any) -> list[Any]:
    """The events of a stream."""
    answer = post(served, f"/v2/models/{model}/generate_stream", text_input=text, parameters=parameters)
    assert (200, "text/event-stream; charset=utf-8") == (answer.status_code, answer.headers["content-type"])
    parts = answer.text.split("\n\n")
    assert "" == parts.pop()
    return [json.loads(part.removeprefix("data: ")) for part in parts]


@pytest.mark.parametrize("model", ["abc", "one"])
def test_a_text_goes_on_from_its_prompt(served: Served, model: str) -> None:
    """Until it is as long as it may be, or the model ends it; the answer says which, and how long it is."""
    assert {
        "status": 200,
        "model_name": model,
        "model_version": "1",
        "text_output": "defgh",
        "finish_reason": "length",
        "generated_tokens": 5,
    } == generate(served, "abc", model=model, max_tokens=5)
    whole = generate(served, "a", model=model, max_tokens=1000)
    assert ("eos", "bcdefghijklmnopqrstuvwxyz") == (whole["finish_reason"], whole["text_output"][:25])
    assert 30 == whole["generated_tokens"]


def test_a_zero_at_the_end_of_a_prompt_is_read(served: Served) -> None:
    """It is a token as any other, also over `infer`."""
    entry = {"name": "text_input", "shape": [1, 1], "datatype": "BYTES", "data": ["ab\0"]}
    told = post(served, "/v2/models/abc/infer", inputs=[entry], parameters={"max_tokens": 2}).json()

    assert ["ab"] == told["outputs"][0]["data"]
    assert "ab" == generate(served, "ab\0", max_tokens=2)["text_output"]


def test_chance_and_its_seed(served: Served) -> None:
    """With temperature it is by chance, and by the same chance with the same seed."""
    texts = [generate(served, "yz", temperature=1.0, seed=seed, max_tokens=1)["text_output"] for seed in range(12)]
    assert {" ", "\n"} == set(texts)
    assert texts == [
        generate(served, "yz", temperature=1.0, seed=seed, max_tokens=1)["text_output"] for seed in range(12)
    ]


def test_parameters_stand_where_they_like(served: Served) -> None:
    """In `parameters` or beside the text; what nobody knows is passed over in both places, as clients of other servers
    send it.
    """
    usual = {"max_tokens": 3, "bad_words": "", "stop_words": "", "timeout": 5_000_000, "priority": 1, "max_token": 2}
    for content in (usual, {"parameters": usual}, {"stop": ["z"], "parameters": usual}):
        told = post(served, "/v2/models/abc/generate", text_input="ab", **content)
        assert (200, "cde") == (told.status_code, told.json().get("text_output")), told.text


def test_a_stream_gives_tokens_as_they_are_made(served: Served) -> None:
    """The last event says why it ended; nothing of what ends it is given out."""
    told = events(served, "ab", max_tokens=4)
    assert ["c", "d", "e", "f", ""] == [event["text_output"] for event in told]
    assert [None] * 4 + ["length"] == [event.get("finish_reason") for event in told]
    stopped = events(served, "ab", stop=["fgh", "xyz"])
    assert "cde" == "".join(event["text_output"] for event in stopped)
    assert ("stop", 6) == (stopped[-1]["finish_reason"], stopped[-1]["generated_tokens"])


def test_whole_characters_are_given_out(served: Served) -> None:
    """One of three bytes, and so of three tokens, comes when it is whole."""
    answer = post(served, "/v2/models/abc/generate_stream", text_input="\u20ac", max_tokens=3)
    assert 200 == answer.status_code
    assert "\ufffd" not in answer.text


def test_texts_that_are_written_at_the_same_time_share_batches(served: Served) -> None:
    """And each is what it would have been alone."""
    before = [metric(served, f"hone_{name}_total", model="one") for name in ("inference", "execution")]
    starts = "abcdefghijklmnop"
    with ThreadPoolExecutor(len(starts)) as pool:
        texts = list(pool.map(lambda one: generate(served, one, model="one", max_tokens=8)["text_output"], starts))
    after = [metric(served, f"hone_{name}_total", model="one") for name in ("inference", "execution")]

    assert ["".join(chr(ord(one) + step) for step in range(1, 9)) for one in starts] == texts
    rows, batches = (now - then for now, then in zip(after, before, strict=True))
    assert rows == 8 * len(starts)
    assert rows > 1.1 * batches
    assert 0 == metric(served, "hone_sequences", model="one")


def test_a_client_that_goes_away_ends_its_text(served: Served) -> None:
    """Nothing more is computed for it."""
    long = {"text_input": "a", "parameters": {"max_tokens": 30}}
    before = metric(served, "hone_requests_total", model="one", outcome="cancelled")
    for _ in range(20):
        with httpx.stream("POST", f"{served.http}/v2/models/one/generate_stream", json=long, timeout=20) as answer:
            next(answer.iter_bytes())
        if metric(served, "hone_requests_total", model="one", outcome="cancelled") > before:
            break
    until = time.monotonic() + 10
    while metric(served, "hone_sequences", model="one") and time.monotonic() < until:
        time.sleep(0.05)

    assert 0 == metric(served, "hone_sequences", model="one")
    assert metric(served, "hone_requests_total", model="one", outcome="cancelled") > before


def test_a_worker_that_is_killed_ends_no_text(served: Served) -> None:
    """It goes on where it was."""
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(events, served, "a", model="one", max_tokens=1000)
        time.sleep(0.02)
        for pid in served.workers():
            os.kill(pid, signal.SIGKILL)
        told = writing.result(20)
    assert "bcdefghijklmnopqrstuvwxyz" == "".join(event["text_output"] for event in told)[:25]


@pytest.mark.parametrize(
    "status, words, content",
    [
        (400, "text_input has 0 tokens", {"text_input": ""}),
        (400, "text_input has 50 tokens", {"text_input": "a" * 50}),
        (400, '"text_input" must be a text', {"text_input": 5}),
        (400, '"text_input" must be a text', {}),
        (400, '"prompt" must be a string, a number', {"text_input": "a", "prompt": {}}),
        (400, '"top_k" is given twice', {"text_input": "a", "top_k": 1, "parameters": {"top_k": 1}}),
        (400, '"text_input" is given twice', {"text_input": "a", "parameters": {"text_input": "b"}}),
        (400, "max_tokens is true", {"text_input": "a", "max_tokens": True}),
        (400, "stop is 5", {"text_input": "a", "stop": 5}),
        (400, "parameter stop must be", {"text_input": "a", "stop": [5]}),
        (400, "parameter stop_words must be", {"text_input": "a", "stop_words": [5]}),
        (400, "parameter stop_words must be", {"text_input": "a", "parameters": {"stop_words": "[5]"}}),
        (400, "sequence_id is -1", {"text_input": "a", "sequence_id": -1}),
        (400, "timeout is", {"text_input": "a", "timeout": "soon"}),
        (504, "not written within|not finished within", {"text_input": "a", "timeout": 1}),
        (400, "top_p is 2", {"text_input": "a", "parameters": {"top_p": 2}}),
        (400, "max_tokens is 0", {"text_input": "a", "max_tokens": 0}),
        (400, "timeout is", {"text_input": "a", "parameters": {"timeout": -1}}),
        (400, '"parameters" must be an object', {"text_input": "a", "parameters": []}),
        (504, "not written within|not finished within", {"text_input": "a", "parameters": {"timeout": 1}}),
    ],
)
@pytest.mark.parametrize("door", ["generate", "generate_stream"])
def test_refused(served: Served, door: str, status: int, words: str, content: Any) -> None:
    """With the status of the error, also where events were asked for: none has been sent."""
    answer = post(served, f"/v2/models/abc/{door}", **content)
    told = answer.json()

    assert status == answer.status_code, told
    assert any(word in told["error"] for word in words.split("|"))


def test_models_that_write_nothing(served: Served) -> None:
    """They say so; one that isn't there is one that isn't there."""
    told = generate(served, "a", model="mlp")
    assert (501, "unsupported") == (told["status"], told["reason"])
    assert 404 == generate(served, "a", model="nobody")["status"]


def asked(text: str) -> list[Any]:
    """The inputs of a request by gRPC."""
    tensor = triton.InferInput("text_input", [1, 1], "BYTES")
    tensor.set_data_from_numpy(np.array([[text.encode()]], np.object_))
    return [tensor]


def said(result: Any) -> str:
    text: str = result.as_numpy("text_output").item().decode()
    return text


def test_over_a_grpc_stream(served: Served) -> None:
    """Two texts at once, their pieces as they are made; the last says that it is the last."""
    answers: Queue[Any] = Queue()
    with triton.InferenceServerClient(served.grpc) as client:
        assert client.get_model_config("abc").config.model_transaction_policy.decoupled
        client.start_stream(lambda result, error: answers.put(error or result))
        for name, text in (("1", "ab"), ("2", "lm")):
            client.async_stream_infer("abc", asked(text), request_id=name, parameters={"max_tokens": 6})
        texts, open_ones = {"1": "", "2": ""}, {"1", "2"}
        while open_ones:
            result = answers.get(timeout=20)
            answer = result.get_response()
            texts[answer.id] += said(result)
            if answer.parameters["triton_final_response"].bool_param:
                open_ones.remove(answer.id)
                assert "length" == answer.parameters["finish_reason"].string_param
        client.async_stream_infer("abc", asked("a" * 50), request_id="3")
        refused = answers.get(timeout=20)
        client.stop_stream()

    assert {"1": "cdefgh", "2": "nopqrs"} == texts
    assert isinstance(refused, InferenceServerException)
    assert "text_input has 50 tokens" in str(refused)


def test_in_one_answer_by_the_usual_calls(served: Served) -> None:
    """ModelInfer and `infer` take a text in one piece."""
    with triton.InferenceServerClient(served.grpc) as client:
        result = client.infer("abc", asked("ab"), parameters={"max_tokens": 3})
        assert "cde" == said(result)
        assert 3 == result.get_response().parameters["generated_tokens"].int64_param
    entry = {"name": "text_input", "shape": [1, 1], "datatype": "BYTES", "data": ["ab"]}
    answer = post(served, "/v2/models/abc/infer", inputs=[entry], parameters={"max_tokens": 3})
    told = answer.json()
    assert ("length", ["cde"]) == (told["parameters"]["finish_reason"], told["outputs"][0]["data"])


@pytest.mark.parametrize("rows", [0, 2, 65])
def test_one_text_a_request(served: Served, rows: int) -> None:
    """Its configuration says so, however many texts share a step, and so does the refusal of another number."""
    with triton.InferenceServerClient(served.grpc) as client:
        assert 1 == client.get_model_config("abc").config.max_batch_size
        assert [-1, 1] == client.get_model_metadata("abc").inputs[0].shape
    assert 1 == httpx.get(f"{served.http}/v2/models/abc/config").json()["max_batch_size"]
    entry = {"name": "text_input", "shape": [rows, 1], "datatype": "BYTES", "data": ["ab"] * rows}
    answer = post(served, "/v2/models/abc/infer", inputs=[entry])

    assert (400, f'{rows} rows, but model "abc" writes one text a request') == (
        answer.status_code,
        answer.json()["error"],
    )


def test_a_text_is_one_inference(served: Served) -> None:
    """The steps that it took are executions; one that was refused is no inference."""

    def counts() -> tuple[int, int]:
        with triton.InferenceServerClient(served.grpc) as client:
            (found,) = client.get_inference_statistics("one").model_stats
        return found.inference_count, found.execution_count

    before = counts()
    assert 200 == generate(served, "ab", model="one", max_tokens=5)["status"]
    assert 400 == generate(served, "", model="one")["status"]
    inferences, executions = (now - then for now, then in zip(counts(), before, strict=True))
    assert (1, 6) == (inferences, executions)


@pytest.mark.parametrize(
    "words, config, keep",
    [
        ("tokenizer.json: no such file, but hone.generate needs it", CONFIG, False),
        ('token is "ids", the inputs besides states are', CONFIG.replace("token=input_ids", "token=ids"), True),
        ('logits is "l", the outputs besides', CONFIG.replace("logits=logits", "logits=l"), True),
        ("context=... is missing", CONFIG.replace("context=40", ""), True),
        ('unknown word "bos"', CONFIG.replace("context=40", "context=40 bos=1"), True),
        (
            "sequence_batching must name the states",
            CONFIG[CONFIG.index("parameters") :],
            True,
        ),
        ('the only input is "text_input"', CONFIG + 'input { name: "x" data_type: TYPE_FP32 dims: [ 1 ] }', True),
    ],
)
def test_models_that_cant_be_served(tmp_path: Path, words: str, config: str, *, keep: bool) -> None:
    """The reason names what is missing."""
    write_alphabet(tmp_path, "abc", config=config)
    if not keep:
        (tmp_path / "abc" / "tokenizer.json").unlink()
    code, log = run_to_end(
        ["run", "--model-repository", str(tmp_path), "--http-port", "0", "--grpc-port", "0", "--metrics-port", "0"]
    )

    assert 2 == code
    assert words in log.replace('\\"', '"')


def test_a_tokenizer_that_cuts_or_fills_does_neither(tmp_path: Path) -> None:
    """What it was saved with for training isn't for serving: the prompt is read as it is."""
    write_alphabet(tmp_path, "abc")
    path = tmp_path / "abc" / "tokenizer.json"
    made = Tokenizer.from_file(str(path))
    made.enable_truncation(3)
    made.enable_padding(length=10)
    made.save(str(path))
    with serving(tmp_path) as served:
        assert "hijk" == generate(served, "abcdefg", max_tokens=4)["text_output"]


def test_a_tokenizer_that_panics_is_refused(tmp_path: Path) -> None:
    """When the model is loaded, not when somebody asks."""
    write_alphabet(tmp_path, "abc")
    path = tmp_path / "abc" / "tokenizer.json"
    path.write_text(path.read_text().replace('"truncation": null', '"truncation": {"direction": "Up"}'))
    code, log = run_to_end(
        ["run", "--model-repository", str(tmp_path), "--http-port", "0", "--grpc-port", "0", "--metrics-port", "0"]
    )
    assert 2 == code
    assert "isn't a tokenizer" in log


def test_a_prompt_that_is_much_too_long_is_not_read(served: Served) -> None:
    """It is refused by its size, since reading it would hold up everybody."""
    began = time.monotonic()
    told = generate(served, "ab" * 1_000_000)
    assert (400, True) == (told["status"], "bytes, at most" in told["error"])
    assert time.monotonic() - began < 2


def test_a_changed_tokenizer_is_a_changed_model(tmp_path: Path) -> None:
    """A load by request serves the new one; a broken one is refused, and the old one goes on."""
    write_alphabet(tmp_path, "abc")
    path = tmp_path / "abc" / "tokenizer.json"
    with serving(tmp_path, "--model-control-mode", "explicit", "--load-model", "abc") as served:
        load = "/v2/repository/models/abc/load"
        path.write_text(path.read_text().replace('"<end>"', '"<over>"'))
        assert 200 == post(served, load).status_code
        eventually(lambda: sum(line.get("event") == "serving" for line in served.log) == 2)
        path.write_text("{}")
        assert 200 != post(served, load).status_code
        assert "bc" == generate(served, "a", max_tokens=2)["text_output"]


def test_the_configuration_that_is_shown_can_be_loaded(tmp_path: Path) -> None:
    """With the decoder's `max_batch_size` or without: clients see the same."""
    write_alphabet(tmp_path, "abc")
    with serving(tmp_path, *EXPLICIT) as served:
        shown = httpx.get(f"{served.http}/v2/models/abc/config").json()
        for most in (1, 8):
            config = json.dumps({**shown, "max_batch_size": most})
            loaded = post(served, "/v2/repository/models/abc/load", parameters={"config": config})
            assert 200 == loaded.status_code, loaded.text
            assert "bc" == generate(served, "a", max_tokens=2)["text_output"]
            assert shown == httpx.get(f"{served.http}/v2/models/abc/config").json()


def test_texts_that_end_it_may_be_given_in_both_ways(served: Served) -> None:
    """All of them count; what is no text is refused."""
    told = post(served, "/v2/models/abc/generate", text_input="abc", stop=["z"], stop_words=["f"]).json()
    assert "de" == told["text_output"]
    nested = '{"text_input": "abc", "stop": [' + "[" * 900 + "]" * 900 + "]}"
    assert 400 == httpx.post(f"{served.http}/v2/models/abc/generate", content=nested).status_code


@contextlib.contextmanager
def writing(served: Served, milliseconds: int = 60000) -> Iterator[Iterator[str]]:
    """The rest of a text that is longer than it may take, of which the first piece has come."""
    long = {"text_input": "a", "parameters": {"max_tokens": 90000}}
    url = f"{served.http}/v2/models/abc/generate_stream"
    with httpx.stream(
        "POST", url, json=long, timeout=20, headers={"x-request-timeout-ms": str(milliseconds)}
    ) as answer:
        parts = answer.iter_text()
        next(parts)
        yield parts


def last(parts: Iterator[str]) -> Any:
    """The last event."""
    return json.loads("".join(parts).strip().rpartition("data: ")[2])


LONG = CONFIG.replace(f"context={CONTEXT}", "context=100000")
EXPLICIT = ("--model-control-mode", "explicit", "--load-model", "abc")


def test_a_text_that_the_server_has_no_time_for_ends_with_a_reason(tmp_path: Path) -> None:
    """The last event says so, where the connection would be cut off a moment later; also where the model that writes it
    was replaced meanwhile.
    """
    write_alphabet(tmp_path, "abc", config=LONG, ends_at=10**6)
    with serving(tmp_path, "--exit-timeout-secs", "2", *EXPLICIT) as served:
        with writing(served) as old:
            (tmp_path / "abc" / "config.pbtxt").write_text(LONG.replace("16", "15"))
            assert 200 == post(served, "/v2/repository/models/abc/load").status_code
            with writing(served) as new:
                served.process.send_signal(signal.SIGTERM)
                assert ["draining"] * 2 == [last(parts)["reason"] for parts in (old, new)]
        assert 0 == served.process.wait(20)


def test_a_text_goes_on_though_its_model_is_replaced(tmp_path: Path) -> None:
    """For as long as the text itself may take; an unload waits no longer than for anything else."""
    write_alphabet(tmp_path, "abc", config=LONG, ends_at=10**6)
    config = tmp_path / "abc" / "config.pbtxt"
    with serving(tmp_path, "--exit-timeout-secs", "0.05", *EXPLICIT) as served:
        workers = len(served.workers())
        with writing(served, 5000) as parts:
            config.write_text(LONG.replace("16", "15"))
            assert 200 == post(served, "/v2/repository/models/abc/load").status_code
            assert "bcd" == generate(served, "a", max_tokens=3)["text_output"]
            assert "deadline_exceeded" == last(parts)["reason"]
        served.wait_for("ended")
        assert workers == len(served.workers())
        with writing(served) as parts:
            assert 200 == post(served, "/v2/repository/models/abc/unload").status_code
            assert "worker_lost" == last(parts)["reason"]
        assert [] == served.workers()
