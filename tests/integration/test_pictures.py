"""Pictures and texts sent to a real server as they are."""

import io
import os
import shutil
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from loadtests.served import ROOT
from tests.integration.alphabet import write_alphabet
from tests.integration.models import texts
from tests.integration.served import Served, metric, serving, write_model


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The committed digits, whose card says how a picture becomes their input, and models without such a card."""
    root = tmp_path_factory.mktemp("models")
    shutil.copytree(ROOT / "models" / "digits", root / "digits")
    write_model(root, "mlp")
    write_model(root, "texts", config=None, model=texts())
    write_alphabet(root, "abc")
    with serving(root) as server:
        yield server


def picture(number: int, form: str = "PNG", size: int = 120) -> bytes:
    """A scanned digit as ink on paper."""
    pixels = 255 - (load_digits().images[number] * 255 / 16).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).resize((size, size), Image.Resampling.BICUBIC).save(stream, form)
    return stream.getvalue()


def predict(served: Served, model: str, content: bytes, media: str, **headers: str) -> httpx.Response:
    return httpx.post(
        f"{served.http}/v1/models/{model}:predict",
        content=content,
        headers={"content-type": media, **headers},
        timeout=60,
    )


@pytest.mark.parametrize("form, media", [("PNG", "image/png"), ("JPEG", "image/jpeg; quality=high")])
def test_a_picture_is_classified(served: Served, form: str, media: str) -> None:
    """By label and probability, the likeliest first; nearly all of forty scans are known again."""
    right = 0
    for number in range(40):
        answer = predict(served, "digits", picture(number, form), media)
        assert 200 == answer.status_code, answer.text
        told = answer.json()["predictions"]
        assert 5 == len(told)
        chances = [one["probability"] for one in told]
        assert sorted(chances, reverse=True) == chances
        assert all(one["label"] == str(one["index"]) for one in told)
        right += told[0]["index"] == load_digits().target[number]
    assert right >= 36


def test_what_is_no_picture_is_refused(served: Served) -> None:
    """As the client's fault, and the next one is served."""
    answer = predict(served, "digits", b"nonsense", "image/png")
    assert (400, "invalid_request") == (answer.status_code, answer.json()["reason"])
    bomb = io.BytesIO()
    Image.new("1", (30000, 30000)).save(bomb, "PNG")
    answer = predict(served, "digits", bomb.getvalue(), "image/png")
    assert 400 == answer.status_code
    assert "are decoded" in answer.json()["error"]
    assert 200 == predict(served, "digits", picture(0), "image/png").status_code
    answer = predict(served, "digits", picture(0, "GIF"), "Image/GIF")
    assert (400, 'the body is "image/gif", expected image/png or image/jpeg') == (
        answer.status_code,
        answer.json()["error"],
    )


def test_models_that_take_no_pictures(served: Served) -> None:
    """They say so."""
    for model in ("mlp", "texts", "abc"):
        answer = predict(served, model, picture(0), "image/png")
        assert (501, "unsupported") == (answer.status_code, answer.json()["reason"])
    assert 404 == predict(served, "nobody", picture(0), "image/png").status_code
    assert 501 == predict(served, "mlp", b"text", "text/plain").status_code


def test_a_text_is_a_text(served: Served) -> None:
    """It is the only element of a model's only input, for one that writes texts too."""
    assert {"predictions": ["Grüße"]} == predict(served, "texts", "Grüße".encode(), "text/plain").json()
    assert predict(served, "abc", b"xy", "text/plain; charset=utf-8").json()["predictions"][0][0].startswith("z")
    assert 400 == predict(served, "texts", b"\xff", "text/plain").status_code


def test_a_deadline_covers_the_decoding(served: Served) -> None:
    """What can't be decoded in time isn't."""
    answer = predict(served, "digits", picture(0, size=6000), "image/png", **{"x-request-timeout-ms": "5"})
    assert answer.status_code in (503, 504), answer.text


def test_pictures_of_clients_that_left_are_not_decoded(served: Served) -> None:
    """Whoever comes behind a crowd that has gone is answered as if it hadn't been there."""
    stream = io.BytesIO()
    Image.new("RGBA", (6000, 6000)).save(stream, "PNG")
    head = "POST /v1/models/digits:predict HTTP/1.1\r\nhost: h\r\ncontent-type: image/png\r\n"
    body = stream.getvalue()
    crowd = [socket.create_connection(served.address) for _ in range(20)]  # each takes more than half a second
    for one in crowd:
        one.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
    assert 504 == predict(served, "digits", picture(0), "image/png", **{"x-request-timeout-ms": "300"}).status_code
    for one in crowd:
        one.close()
    assert 200 == predict(served, "digits", picture(0), "image/png", **{"x-request-timeout-ms": "6000"}).status_code
    assert metric(served, "hone_requests_total", model="digits", protocol="v1", outcome="cancelled") >= 10


def test_a_worker_that_ends_over_a_picture_is_followed_by_another(served: Served) -> None:
    """Whoever is killed meanwhile, the picture is decoded."""
    assert 200 == predict(served, "digits", picture(0), "image/png").status_code
    for pid in served.workers():
        os.kill(pid, signal.SIGKILL)
    assert 200 == predict(served, "digits", picture(0), "image/png").status_code
    assert metric(served, "hone_requests_total", model="digits", protocol="v1", outcome="ok") >= 2


def test_a_large_picture_is_bounded_as_binary_data_is(tmp_path: Path) -> None:
    """By the flag for binary bodies."""
    write_model(tmp_path, "mlp")
    with serving(tmp_path, "--max-binary-bytes", "1024") as server:
        answer = predict(server, "mlp", bytes(2000), "image/png")
    assert (413, "too_large") == (answer.status_code, answer.json()["reason"])
