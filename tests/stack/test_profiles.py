"""What profiles add: Locust's page and workers, a Hone in front of another server, one that serves what was trained."""

import json
import subprocess
import urllib.parse
import urllib.request
from typing import Any

from tests.stack.digits import golden
from tests.stack.stack import ROOT, Stack, docker, eventually, get

BASE = "python:3.11-slim-bookworm"
ASK = """
import json, urllib.request
body = json.dumps({"inputs": [{"name": "image", "shape": [1, 1, 24, 24], "datatype": "UINT8", "data": %s}]}).encode()
url = "http://127.0.0.1:8000/v2/models/digits/infer"
answer = urllib.request.urlopen(urllib.request.Request(url, body, {"Content-Type": "application/json"}))
print(json.dumps(json.load(answer)["outputs"][0]["data"]))
"""
READY = """
import urllib.request
print(urllib.request.urlopen("http://127.0.0.1:8000/v2/%s").status)
"""


def ready(stack: Stack, hone: str, what: str = "models/digits") -> bool:
    """Whether a Hone says that its digits are ready, or something else."""
    try:
        return "200" == stack.inside(READY % f"{what}/ready", hone).strip()
    except subprocess.CalledProcessError:
        return False


def classified(stack: Stack, hone: str) -> list[int]:
    """The classes that a Hone finds for golden samples, one request each."""
    images, _ = golden()
    found = [json.loads(stack.inside(ASK % image.ravel().tolist(), hone)) for image in images[:3]]
    return [values.index(max(values)) for values in found]


def expected() -> list[int]:
    """The classes that were published for them."""
    _, probabilities = golden()
    return [int(one) for one in probabilities[:3].argmax(1)]


def test_locusts_workers_load_hone_from_its_page(stack: Stack) -> None:
    """The profile `load` has a page, from which two workers are told to send, and every answer is right."""
    stack.up("locust-master", "locust-worker")
    try:
        page = f"http://{stack.address('locust-master', 8089)}"
        assert eventually(lambda: len(stats(page)["workers"]), [2]) == 2
        urllib.request.urlopen(f"{page}/swarm", urllib.parse.urlencode({"user_count": 4, "spawn_rate": 4}).encode())
        assert eventually(lambda: total(page)["num_requests"] > 100, [True])
        urllib.request.urlopen(f"{page}/stop", b"")
        assert total(page)["num_failures"] == 0
    finally:
        stack.compose("rm", "--stop", "--force", "locust-master", "locust-worker")


def stats(page: str) -> dict[str, Any]:
    """What Locust's page shows."""
    status, body = get(f"{page}/stats/requests")
    return dict(json.loads(body)) if status == 200 else {"workers": [], "stats": [{"num_requests": 0}]}


def total(page: str) -> dict[str, Any]:
    """The sum of all kinds of requests."""
    return dict(stats(page)["stats"][-1])


def test_hone_stands_in_front_of_another_server(stack: Stack) -> None:
    """With the models of deploy/triton all is computed by the remote server, here the stack's own Hone over gRPC."""
    with stack.aside(HONE_MODEL_REPOSITORY="./deploy/triton", HONE_REMOTE="triton=hone:8001") as front:
        assert eventually(lambda: ready(stack, front), [True])
        described = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:8000/v2/models/digits').read())"
        assert '"platform":"remote"' in stack.inside(described, front)
        assert expected() == classified(stack, front)


def test_hone_serves_what_is_published_into_the_volume(stack: Stack) -> None:
    """A Hone that polls the trainer's volume waits while that is empty, and serves a model as soon as it is there."""
    with stack.aside(HONE_SERVES="/trained", HONE_MODEL_CONTROL_MODE="poll", HONE_REPOSITORY_POLL_SECS="1") as hone:
        assert eventually(lambda: ready(stack, hone, "health"), [True])
        volumes = ["--volume", f"{stack.project}_trained:/models", "--volume", f"{ROOT / 'models'}:/from:ro"]
        publish = "cp -r /from/digits /models/.unfinished && mv /models/.unfinished /models/digits"
        docker("run", "--rm", *volumes, BASE, "sh", "-c", publish)
        assert eventually(lambda: ready(stack, hone), [True])
        assert expected() == classified(stack, hone)
