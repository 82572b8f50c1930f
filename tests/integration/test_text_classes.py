"""Texts sent to a real server as they are, for models that take tokens."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from service.artifact.card import Resize, ToTensor
from service.artifact.tokenizing import MAX_TEXT_BYTES
from tests.integration.classifier import LABELS, LONGEST, TEXTS, encode, steps, write_card, write_classifier
from tests.integration.served import Served, metric, serving, write_model
from tests.integration.test_check import check


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Encoders of texts of any length and of one length, and a model whose card says nothing."""
    root = tmp_path_factory.mktemp("models")
    write_classifier(root, "topics")
    write_classifier(root, "padded", padded=True)
    write_model(root, "mlp")
    with serving(root) as server:
        yield server


def predict(served: Served, model: str, content: bytes, **headers: str) -> httpx.Response:
    return httpx.post(
        f"{served.http}/v1/models/{model}:predict",
        content=content,
        headers={"content-type": "text/plain; charset=utf-8", **headers},
        timeout=60,
    )


def infer(served: Served, model: str, tensors: dict[str, NDArray[np.int64]]) -> list[float]:
    """The probabilities for tokens."""
    inputs = [
        {"name": name, "shape": list(array.shape), "datatype": "INT64", "data": array.ravel().tolist()}
        for name, array in tensors.items()
    ]
    answer = httpx.post(f"{served.http}/v2/models/{model}/infer", json={"inputs": inputs}, timeout=60)
    found: list[float] = answer.json()["outputs"][0]["data"]
    return found


def told(answer: httpx.Response) -> dict[str, float]:
    """Probabilities by labels."""
    assert 200 == answer.status_code, answer.text
    predictions: list[dict[str, Any]] = answer.json()["predictions"]
    return {one["label"]: one["probability"] for one in predictions}


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("model", ["topics", "padded"])
def test_a_text_has_the_probabilities_of_its_tokens(served: Served, model: str, text: str) -> None:
    """Those that the plain protocol gives for what the library makes of it, also where it is filled up."""
    expected = dict(zip(LABELS, infer(served, "topics", encode(text)), strict=True))

    found = told(predict(served, model, text.encode()))

    assert expected == pytest.approx(found, abs=1e-5)
    assert sorted(found.values(), reverse=True) == list(found.values())


def test_texts_differ(served: Served) -> None:
    """The encoder reads what it is sent."""
    assert len({round(told(predict(served, "topics", text.encode()))[LABELS[0]], 4) for text in TEXTS}) > 2


def test_hostile_texts(served: Served) -> None:
    """What is no text is refused as the client's fault, whatever is one is read; the next one is served."""
    answer = predict(served, "topics", b"an \xff")
    assert (400, "invalid_request") == (answer.status_code, answer.json()["reason"])
    assert 'model "topics": the text isn\'t UTF-8: byte 3' == answer.json()["error"]
    answer = predict(served, "topics", b"a " * (MAX_TEXT_BYTES // 2 + 1))
    assert 400 == answer.status_code
    assert "send a part of it" in answer.json()["error"]
    assert 413 == predict(served, "topics", b"a" * 10_000_000).status_code
    assert told(predict(served, "topics", b"")) == pytest.approx(told(predict(served, "topics", b" \0\0 ")))
    for text in ("\0".join(TEXTS), "x" * MAX_TEXT_BYTES, "\u202e\U0001f600\ufffe"):
        assert 1 == pytest.approx(sum(told(predict(served, "topics", text.encode())).values()), abs=1e-5)


def test_models_that_take_no_text(served: Served) -> None:
    """They say what to do, and a model of texts takes no picture."""
    answer = predict(served, "mlp", b"text")
    assert (501, "unsupported") == (answer.status_code, answer.json()["reason"])
    expected = 'the card of model "mlp" doesn\'t say how a text becomes its inputs: send them as tensors'
    assert expected == answer.json()["error"]
    assert 501 == predict(served, "topics", b"x", **{"content-type": "image/png"}).status_code


def test_a_worker_that_ends_is_followed_by_one_that_gets_the_tokenizer(served: Served) -> None:
    """Which none of them has read by itself."""
    before = told(predict(served, "topics", b"for a while"))
    for pid in served.workers():
        os.kill(pid, signal.SIGKILL)

    assert before == told(predict(served, "topics", b"for a while"))
    assert metric(served, "hone_requests_total", model="topics", protocol="v1", outcome="ok") >= 2


def test_what_was_read_at_the_load_is_followed(tmp_path: Path) -> None:
    """A tokenizer is the generation's, whatever becomes of its file."""
    folder = write_classifier(tmp_path, "topics")
    with serving(tmp_path) as served:
        (folder / "tokenizer.json").unlink()
        assert 3 == len(told(predict(served, "topics", b"for a while")))


def test_check_says_what_does_not_fit(tmp_path: Path) -> None:
    """Of texts and of pictures: names, datatypes, shapes, and what the tokenizer can't do. `run` refuses the same."""
    unpadded = {**steps(padded=True), "token_type_ids": steps()["token_type_ids"]}
    renamed = {name.replace("input_ids", "ids"): one for name, one in steps().items()}
    write_card(write_classifier(tmp_path, "renamed"), renamed)
    write_card(write_classifier(tmp_path, "unpadded", padded=True), unpadded)
    write_card(write_classifier(tmp_path, "some"), {"input_ids": steps()["input_ids"]})
    picture = (Resize(height=8, width=8, filter="area"), ToTensor(layout="CHW", datatype="FP32"))
    write_card(write_model(tmp_path, "mlp"), {"x": picture})
    broken = write_classifier(tmp_path, "broken")
    (broken / "tokenizer.json").write_text("{}")
    write_card(broken, steps())
    write_classifier(tmp_path, "sound")

    code, rows = check(tmp_path)

    assert 2 == code
    problems = {row["model"]: row["problem"] for row in rows}
    place = "1/card.json: transforms:"
    length = f"has {LONGEST} tokens whatever the text: set max_length to that, and pad"
    assert problems.pop("broken").startswith("broken/1/tokenizer.json: isn't a tokenizer: ")
    assert {
        "renamed": f'renamed/{place} the model has no input "ids"',
        "unpadded": f'unpadded/{place} input "token_type_ids": {length}',
        "some": f'some/{place} nothing makes input "attention_mask": say how, or leave transforms empty',
        "mlp": f'mlp/{place} input "x": is made of shape [-1, 8, 8], the model takes [64]',
        "sound": None,
    } == problems
