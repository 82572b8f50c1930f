"""Locust users that classify real handwritten digits, in JSON and in binary.

`make loadtest` runs it headless. By hand: `locust -f loadtests/locustfile.py --host http://127.0.0.1:8000`. The model
is HONE_LOADTEST_MODEL (`digits`), the size of its images is in the server's own description of the input. Every answer
is checked: a wrong shape, or probabilities that don't add up, count as failures, as any status but 200 does.
"""

import os
import random
from typing import Any

import numpy as np
import orjson
from locust import FastHttpUser, between, events, task
from locust.exception import StopUser
from numpy.typing import NDArray

from loadtests.digits import images

MODEL = os.environ.get("HONE_LOADTEST_MODEL", "digits")
HEADER = "Inference-Header-Content-Length"
LARGEST_BINARY = 8


class Digits(FastHttpUser):
    """A client with one connection that asks, reads, checks, and waits a moment."""

    wait_time = between(0.0, 0.02)

    def on_start(self) -> None:
        """Ask what the model takes, and keep real digits of that size."""
        answer = self.client.get(f"/v2/models/{MODEL}", name="metadata")
        if answer.status_code != 200:
            raise StopUser  # counted as a failure already, and nothing else can be asked
        described = orjson.loads(answer.content)
        self.input: dict[str, Any] = described["inputs"][0]
        self.output: str = described["outputs"][0]["name"]
        self.path = f"/v2/models/{MODEL}/infer"
        self.images = images(self.input["shape"][-1])

    @task(1)
    def as_json(self) -> None:
        """One image as JSON."""
        (image,) = self._some(1)
        tensor = {**self._tensor(1), "data": image.ravel().tolist()}
        body = orjson.dumps({"inputs": [tensor]}).decode()
        headers = {"Content-Type": "application/json"}
        with self.client.post(self.path, data=body, headers=headers, name="infer json", catch_response=True) as answer:
            if answer.status_code != 200:
                answer.failure(f"status {answer.status_code}: {answer.text}")
            elif (problem := _judge(orjson.loads(answer.content)["outputs"][0]["data"], 1)) is not None:
                answer.failure(problem)

    @task(3)
    def as_binary(self) -> None:
        """A few images as one binary tensor, the answer binary too."""
        count = random.randint(1, LARGEST_BINARY)
        raw = self._some(count).tobytes()
        tensor = {**self._tensor(count), "parameters": {"binary_data_size": len(raw)}}
        wanted = [{"name": self.output, "parameters": {"binary_data": True}}]
        head = orjson.dumps({"inputs": [tensor], "outputs": wanted})
        body: Any = head + raw  # Locust says it takes text; it takes bytes
        headers = {"Content-Type": "application/octet-stream", HEADER: str(len(head))}
        with self.client.post(
            self.path, data=body, headers=headers, name="infer binary", catch_response=True
        ) as answer:
            if answer.status_code != 200:
                answer.failure(f"status {answer.status_code}: {answer.text}")
                return
            found = answer.content[int(answer.headers[HEADER]) :]
            if (problem := _judge(np.frombuffer(found, dtype=np.float32), count)) is not None:
                answer.failure(problem)

    def _some(self, count: int) -> NDArray[np.uint8]:
        """`count` random digits, uint8 [count, 1, side, side]."""
        return self.images[random.sample(range(len(self.images)), count)]

    def _tensor(self, count: int) -> dict[str, Any]:
        shape = [count, *self.input["shape"][1:]]
        return {"name": self.input["name"], "shape": shape, "datatype": self.input["datatype"]}


def _judge(values: Any, count: int) -> str | None:
    """What is wrong with the probabilities of `count` images, if anything."""
    probabilities = np.asarray(values, dtype=np.float64)
    if probabilities.size % count or not probabilities.size:
        return f"{probabilities.size} values for {count} images"
    sums = probabilities.reshape(count, -1).sum(axis=1)
    return None if np.allclose(sums, 1, atol=1e-3) else f"probabilities add up to {sums.min():.3f}-{sums.max():.3f}"


@events.init.add_listener
def load_images(**_: Any) -> None:
    """Load the images before the clock runs: importing their library takes a second, in which no user could go on."""
    images(16)


@events.quitting.add_listener
def fail_without_requests(environment: Any, **_: Any) -> None:
    """A run that sent nothing proves nothing: it fails, as one with a failed request does."""
    total = environment.stats.total
    if total.num_requests == 0 or total.num_failures > 0:
        environment.process_exit_code = 1
