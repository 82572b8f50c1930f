"""Clients that do something wrong: no time, no patience, no sense, and inputs that end a worker."""

import random
import socket
from typing import Any

import numpy as np
import orjson

from loadtests.request import Request, binary_request
from loadtests.served import HOST
from loadtests.soaking.ledger import LEFT, LOST, OK, WRONG
from loadtests.soaking.networks import BREAKS, FRAGILE, REFUSED, ROWS, Network, rows
from loadtests.soaking.scene import Caller, Scene

NEW_POISON = 0.3
"""Share of the poisoner's requests with inputs that the service hasn't seen."""


def hurried(scene: Scene, role: str, network: Network, *, seed: int, pause: float) -> None:
    """Gives between nothing to speak of and a fifth of a second for an answer."""
    draw, caller = random.Random(seed), Caller(scene)
    while not scene.over.is_set():
        row = draw.randrange(ROWS)
        request = _row(network, row, role)
        asked = scene.ask(role, network.name, row)
        kind, found = caller.ask(request, {"X-Request-Timeout-Ms": f"{draw.uniform(0.5, 200):.1f}"})
        if kind == OK:
            scene.answered(asked, found["model_version"], np.array(found["outputs"][0]["data"]))
        else:
            scene.failed(asked, kind, str(found))
        scene.pause(draw.random() * 2 * pause)
    caller.close()


def senseless(scene: Scene, role: str, network: Network, *, seed: int, pause: float) -> None:
    """Sends what can't be understood or doesn't fit, over a connection that goes on to be used."""
    draw, caller = random.Random(seed), Caller(scene)
    path = f"/v2/models/{network.name}/infer"
    good: dict[str, Any] = {"name": "x", "datatype": "FP32", "shape": [1, rows().shape[1]], "data": rows()[0].tolist()}
    bodies = [
        b"nonsense",
        b"{}",
        orjson.dumps({"inputs": [{**good, "shape": [1, 3]}]}),
        orjson.dumps({"inputs": [{**good, "datatype": "INT64"}]}),
        orjson.dumps({"inputs": [{**good, "name": "z"}]}),
        orjson.dumps({"inputs": [good], "parameters": {"timeout": "soon"}}),
    ]
    while not scene.over.is_set():
        scene.ledger.begin(role, network.name)
        kind, found = caller.ask(Request(path=path, body=draw.choice(bodies)))
        scene.ledger.end(role, network.name, kind, text=str(found))
        scene.pause(draw.random() * 2 * pause)
    caller.close()


def impatient(scene: Scene, role: str, network: Network, *, seed: int, pause: float) -> None:
    """Closes the connection before the answer: in the middle of the request, or some time after it."""
    draw = random.Random(seed)
    while not scene.over.is_set():
        whole = _row(network, draw.randrange(ROWS), role).raw(scene.address)
        part = whole if draw.random() < 0.8 else whole[: draw.randrange(1, len(whole))]
        scene.ledger.begin(role, network.name)
        try:
            with socket.create_connection((HOST, scene.port), timeout=10) as connection:
                connection.sendall(part)
                scene.pause(draw.random() * 0.1)
        except OSError as error:
            scene.ledger.end(role, network.name, LOST, text=repr(error))
        else:
            scene.ledger.end(role, network.name, LEFT)
        scene.pause(draw.random() * 2 * pause)


def poisonous(scene: Scene, role: str, *, seed: int, pause: float) -> None:
    """Sends inputs that end the fragile model's worker, some of them again and again, and some that it refuses."""
    draw, caller = random.Random(seed), Caller(scene)
    while not scene.over.is_set():
        ends = draw.random() < 0.7
        tag = draw.randrange(10**6) if draw.random() < NEW_POISON else draw.randrange(3)
        k, at = [BREAKS if ends else 1, tag, tag, tag], [1 if ends else REFUSED]
        body = orjson.dumps(
            {
                "inputs": [
                    {"name": "k", "datatype": "INT32", "shape": [1, 4], "data": k},
                    {"name": "at", "datatype": "INT32", "shape": [1, 1], "data": at},
                ]
            }
        )
        scene.ledger.begin(role, FRAGILE)
        kind, found = caller.ask(Request(path=f"/v2/models/{FRAGILE}/infer", body=body))
        scene.ledger.end(role, FRAGILE, WRONG if kind == OK else kind, text=str(found))
        scene.pause(draw.random() * 2 * pause)
    caller.close()


def _row(network: Network, row: int, identity: str) -> Request:
    return binary_request(f"/v2/models/{network.name}/infer", identity, "x", "FP32", rows()[row : row + 1])
