"""Clients that do nothing wrong: tritonclient in a closed loop, and the project's own generator in an open one."""

import random
import time

import numpy as np
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from loadtests.request import binary_request
from loadtests.soaking.ledger import LOST, OK, WRONG
from loadtests.soaking.networks import FRAGILE, LARGEST, ROWS, TABLE, Network, expected_of_fragile, rows
from loadtests.soaking.scene import PATIENCE, Scene, close
from service.client.arrivals import poisson
from service.client.open_loop import Offer, offer
from service.client.outcome import SKIPPED, Outcome

BURST_SECONDS = 2.0
REASONS = {"404": "model_not_found", "503": "unavailable", "504": "deadline_exceeded", "500": "error"}
"""What a status of tritonclient's error is called here; it doesn't tell the reason."""


def steady(scene: Scene, role: str, network: Network, *, seed: int, pause: float, binary: bool) -> None:
    """A stock client that asks for one random row after another, and checks each answer."""
    draw = random.Random(seed)
    client = triton.InferenceServerClient(scene.address, connection_timeout=PATIENCE, network_timeout=PATIENCE)
    while not scene.over.is_set():
        row = draw.randrange(ROWS)
        tensor = triton.InferInput("x", [1, rows().shape[1]], "FP32")
        tensor.set_data_from_numpy(rows()[row : row + 1], binary_data=binary)
        wanted = [triton.InferRequestedOutput("y", binary_data=binary)]
        asked = scene.ask(role, network.name, row)
        try:
            answer = client.infer(network.name, [tensor], outputs=wanted)
        except InferenceServerException as error:
            scene.failed(asked, REASONS.get(str(error.status()), str(error.status())), str(error))
        except Exception as error:
            scene.failed(asked, LOST, repr(error))
            client = triton.InferenceServerClient(scene.address, connection_timeout=PATIENCE, network_timeout=PATIENCE)
        else:
            scene.answered(asked, answer.get_response()["model_version"], answer.as_numpy("y")[0])
        scene.pause(draw.random() * 2 * pause)
    client.close()


def careful(scene: Scene, role: str, *, seed: int, pause: float) -> None:
    """A stock client of the fragile model that sends what it can compute, three rows a request."""
    draw = np.random.default_rng(seed)
    client = triton.InferenceServerClient(scene.address, connection_timeout=PATIENCE, network_timeout=PATIENCE)
    while not scene.over.is_set():
        k = draw.integers(0, LARGEST, (3, 4), np.int32)
        at = draw.integers(0, TABLE, (3, 1), np.int32)
        inputs = [triton.InferInput("k", [3, 4], "INT32"), triton.InferInput("at", [3, 1], "INT32")]
        for tensor, values in zip(inputs, (k, at), strict=True):
            tensor.set_data_from_numpy(values)
        scene.ledger.begin(role, FRAGILE)
        began = time.monotonic()
        try:
            answer = client.infer(FRAGILE, inputs).as_numpy("y")
        except InferenceServerException as error:
            scene.ledger.end(role, FRAGILE, REASONS.get(str(error.status()), "error"), text=str(error))
        except Exception as error:
            scene.ledger.end(role, FRAGILE, LOST, text=repr(error))
            client = triton.InferenceServerClient(scene.address, connection_timeout=PATIENCE, network_timeout=PATIENCE)
        else:
            right = close(answer, expected_of_fragile(k, at))
            scene.ledger.end(role, FRAGILE, OK if right else WRONG, seconds=time.monotonic() - began)
        scene.pause(float(draw.random()) * 2 * pause)
    client.close()


def stream(
    scene: Scene, role: str, network: Network, *, rate: float, seed: int, pause: float, deadline_ms: float | None = None
) -> None:
    """Bursts of Poisson arrivals from the project's own generator, with a deadline or none. It doesn't read numbers."""
    request = binary_request(f"/v2/models/{network.name}/infer", role, "x", "FP32", rows()[:1])
    headers = {} if deadline_ms is None else {"X-Request-Timeout-Ms": f"{deadline_ms:g}"}
    raw = type(request)(path=request.path, body=request.body, headers={**request.headers, **headers})
    host, _, port = scene.address.partition(":")
    while not scene.over.is_set():
        arrivals = poisson(rate, BURST_SECONDS, seed)
        seed += 1
        scene.ledger.begin(role, network.name, len(arrivals))
        what = Offer(
            host=host,
            port=int(port),
            requests=[raw.raw(scene.address)],
            arrivals=arrivals,
            seconds=BURST_SECONDS,
            patience=PATIENCE,
        )
        try:
            outcome = offer(what)
        except OSError as error:
            scene.ledger.end(role, network.name, LOST, text=repr(error), requests=len(arrivals))
        else:
            _enter(scene, role, network.name, outcome)
        scene.pause(pause)


def _enter(scene: Scene, role: str, model: str, outcome: Outcome) -> None:
    names = {"200": OK, "broken": LOST, "unanswered": LOST} | REASONS
    slowest = outcome.percentiles((200,), (100,))[0]
    for status, count in outcome.counts().items():
        scene.ledger.end(role, model, names.get(status, status), seconds=slowest, requests=count)
    assert not outcome.count((SKIPPED,))
